"""Quantize a float model to full integer, and measure the loss of accuracy."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from io import StringIO
from typing import Any
from warnings import catch_warnings

import numpy as np

from tvmtiny.datasets import IMAGE_RANGE, Data, Samples, find_samples, shaped
from tvmtiny.errors import (
    DynamicRangeModelError,
    InputDataError,
    InputError,
    QuantizeError,
    UnsupportedModelError,
)
from tvmtiny.errors.base import quoted, short_name
from tvmtiny.frontend.flatbuffer import schema, unpack_model
from tvmtiny.frontend.model import load
from tvmtiny.frontend.reader import read_graph
from tvmtiny.frontend.verify import dynamic_range
from tvmtiny.frontend.writer import packed
from tvmtiny.host.imports import importing
from tvmtiny.importers import read_content
from tvmtiny.ops import Tensor
from tvmtiny.ops.shared.graph import Graph
from tvmtiny.ops.shared.quantization import INTEGER_RANGES, round_half_away
from tvmtiny.oracle import run_litert_outputs, silenced

#: Name of the array with the class of each sample in a data file.
LABELS = "labels"
_SIGNATURE = "serving_default"
_WIDTHS = ("int8", "int16")
#: Below this number of samples, the user is warned that ranges are unreliable.
_FEW_SAMPLES = 10
#: Limit on tensor names listed in a sentence.
_MOST_NAMES = 3


@dataclass(frozen=True)
class OutputChange:
    """Difference of one output between the float and the quantized model.

    Attributes
    ----------
    name
        Name of the output tensor.
    max_abs_diff, mean_abs_diff
        Largest and mean absolute difference between the float output and the dequantized one.
    largest
        Largest magnitude of the float model's output.
    same_argmax
        Share of samples for which both models agree on the largest element.
    """

    name: str
    max_abs_diff: float
    mean_abs_diff: float
    largest: float
    same_argmax: float


@dataclass(frozen=True, eq=False)
class Quantized:
    """A quantized model and its comparison with the float model.

    Attributes
    ----------
    content
        Content of the .tflite file.
    samples
        Number of samples used for calibration and for comparison.
    bytes_before, bytes_after
        Sizes of the two files.
    outputs
        One entry for each output.
    accuracy_before, accuracy_after
        Share of samples whose largest element of the first output is the label; None if there are
        no labels.
    notes
        Doubts about the samples and changes made to them or to the model, one sentence each.
    """

    content: bytes
    samples: int
    bytes_before: int
    bytes_after: int
    outputs: tuple[OutputChange, ...]
    accuracy_before: float | None = None
    accuracy_after: float | None = None
    notes: tuple[str, ...] = ()


def quantize(
    source: str | os.PathLike[str] | bytes | object,
    data: Data,
    *,
    activations: str = "int8",
    image_range: tuple[float, float] = IMAGE_RANGE,
    signature: str | None = None,
) -> Quantized:
    """Quantize a float model with ``ai-edge-quantizer`` to int8 weights and integer activations.

    Parameters
    ----------
    source
        A .tflite file with float32 inputs, its content, or any other source that `tvmtiny.load`
        takes.
    data
        Float samples of each input, optionally with the classes of a classifier as labels; see
        `tvmtiny.datasets.find_samples`.
    activations
        ``int8`` or ``int16``.
    image_range
        Values to which the bytes 0 and 255 of images are mapped.
    signature
        Name of the signature to quantize; by default the file's first subgraph is quantized.

    Returns
    -------
    Quantized
        The quantized model and its comparison with the float model on the samples.

    Raises
    ------
    ToolMissingError
        ``ai-edge-quantizer``, or Pillow for images, is not installed or does not work.
    DynamicRangeModelError
        If the model's weights are already quantized.
    InputError, InputDataError
        If the model is not a float model, or the data does not match it.
    QuantizeError
        If the quantizer fails, or its result cannot be compiled.
    """
    if activations not in _WIDTHS:
        raise InputError(
            f"activations cannot be {quoted(activations)}; known: {', '.join(_WIDTHS)}"
        )
    _check_package()
    path = "the model" if not isinstance(source, str | os.PathLike) else str(source)
    content, notes = _with_float_weights(read_content(source, signature=signature), path)
    graph = read_graph(content, path)
    _check_float(graph, path)
    found = find_samples(data, graph.inputs, image_range=image_range)
    samples = _samples(graph, found)
    labels = _labels(found.labels, len(samples))
    notes += (*found.notes, *_doubts(graph, samples))
    quantized, dead = _quantize(content, samples, activations, path)
    notes += _of_dead(dead)
    try:
        model = load(quantized, name="quantized")
    except InputError as error:
        if dead:
            wanted = "samples that cover the model's use, in the range of its training data"
            (note,) = _of_dead(dead)
            raise InputDataError(
                graph.inputs[0].name, note, wanted, f"{len(samples)} samples"
            ) from error
        first = error.problems[0] if isinstance(error, UnsupportedModelError) else error
        raise QuantizeError(path, f"the result cannot be compiled: {first}") from error
    before = list(run_litert_outputs(content, samples, path=path))
    inputs = (_quantized_inputs(model.graph, sample) for sample in samples)
    after = [
        [_dequantized(*pair) for pair in zip(model.graph.outputs, outputs, strict=True)]
        for outputs in run_litert_outputs(quantized, inputs)
    ]
    return Quantized(
        quantized,
        len(samples),
        len(content),
        len(quantized),
        tuple(
            _change(tensor.name, [o[i] for o in before], [o[i] for o in after])
            for i, tensor in enumerate(graph.outputs)
        ),
        _accuracy(before, labels),
        _accuracy(after, labels),
        notes,
    )


def _check_package() -> None:
    """Raise if the quantizer is missing, before any slow step."""
    with silenced(), importing("ai-edge-quantizer", "'tvmtiny[quantize]'", "to quantize a model"):
        import_module("ai_edge_quantizer")


def _check_float(graph: Graph, path: str) -> None:
    """Raise unless the model is a float model."""
    for node in graph.nodes:
        if dynamic_range(node):
            raise DynamicRangeModelError(node.operator, node.input(1).name)
    if any(node.operator == "WHILE" for node in graph.nodes):
        raise InputError(
            f"{path} has a loop (WHILE), whose values no quantizer observes: build recurrent "
            "layers with unroll=True, and convert the model again"
        )
    others = [t for t in graph.inputs if t.dtype != "float32"]
    if others:
        is_quantized = any(t.quantized for t in others)
        state = "is quantized already" if is_quantized else "has inputs that are not float32"
        raise InputError(
            f"{path} {state} ({others[0].name}: {others[0].dtype}), but quantize takes a float "
            "model; give the .tflite file that was converted without optimizations"
        )


def _samples(graph: Graph, found: Samples) -> list[list[np.ndarray]]:
    """Arrange the samples as the inputs of each run."""
    pairs = zip(graph.inputs, found.inputs, strict=True)
    columns = [shaped(tensor, array).astype(np.float32) for tensor, array in pairs]
    return [list(sample) for sample in zip(*columns, strict=True)]


def _labels(labels: np.ndarray | None, count: int) -> np.ndarray | None:
    if labels is None:
        return None
    if labels.size != count or labels.dtype.kind not in "iu":
        got = f"{labels.dtype} {list(labels.shape)}"
        raise InputDataError(LABELS, "wrong dtype or shape", f"{count} integers", got)
    return labels.reshape(-1)


def _doubts(graph: Graph, samples: Sequence[Sequence[np.ndarray]]) -> Iterator[str]:
    """Yield reasons why calibration on these samples may give poor ranges."""
    if len(samples) < _FEW_SAMPLES:
        count = "one sample" if len(samples) == 1 else f"{len(samples)} samples"
        yield (
            f"{count} cannot show what range each layer has; give about 100 of all kinds that the "
            "model will meet"
        )
    for position, tensor in enumerate(graph.inputs):
        values = np.stack([sample[position] for sample in samples])
        low, high = float(values.min()), float(values.max())
        if low == high and values.size > 1:
            yield f"the input {tensor.name} is {low:g} in all samples, so that its range is unknown"
        elif _like_bytes(values, low, high) and not _scales_itself(graph, tensor):
            yield (
                f"the input {tensor.name} has whole numbers from {low:g} to {high:g}, as raw bytes "
                "are; a model that was trained on 0 to 1, or -1 to 1, needs samples of that range"
            )


def _like_bytes(values: np.ndarray, low: float, high: float) -> bool:
    return low >= 0 and 64 < high <= 255 and bool((values == np.rint(values)).all())


def _scales_itself(graph: Graph, tensor: Tensor) -> bool:
    """Whether the model starts by scaling its input, as Keras' Rescaling layer does."""
    readers = [n for n in graph.nodes if tensor.index in {t.index for t in n.inputs if t}]
    return bool(readers) and all(n.operator in ("DIV", "MUL", "SUB") for n in readers)


def _of_dead(names: Sequence[str]) -> tuple[str, ...]:
    """Describe tensors that never change in one sentence."""
    if not names:
        return ()
    shown = ", ".join(short_name(name, 40) for name in names[:_MOST_NAMES])
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return (f"with these samples, {shown}{more} never change, so that their ranges are unknown",)


def _quantize(
    content: bytes, samples: Sequence[Sequence[np.ndarray]], activations: str, path: str
) -> tuple[bytes, list[str]]:
    """Quantize the model; also return the names of tensors that are the same for all samples."""
    nothing = StringIO()
    with silenced(), redirect_stdout(nothing), redirect_stderr(nothing), catch_warnings():
        warnings.simplefilter("ignore")
        with importing("ai-edge-quantizer", "'tvmtiny[quantize]'", "to quantize a model"):
            from ai_edge_quantizer import calibrator, quantizer, recipe, recipe_manager
            from ai_edge_quantizer.utils.qsv_utils import min_max_update
        rules = recipe.static_wi8_ai8() if activations == "int8" else recipe.static_wi8_ai16()
        frames = [{f"input_{i}": x for i, x in enumerate(sample)} for sample in samples]
        try:
            signed = bytearray(_with_signature(content))
            manager = recipe_manager.RecipeManager()
            manager.load_quantization_recipe(rules)
            # The quantizer's own calibration averages over samples, which clips extreme values.
            observer = calibrator.Calibrator(signed, qsv_update_func=min_max_update)
            observer.calibrate({_SIGNATURE: frames}, manager)
            ranges = observer.get_model_qsvs()
            work = quantizer.Quantizer(signed, rules)
            made = bytes(work.quantize(ranges).quantized_model)
            return _with_own_names(made, content, path), _dead(content, ranges, path)
        except Exception as error:
            # The quantizer is an alpha release and lets any exception of its numpy code through.
            reason = f"ai-edge-quantizer failed with {type(error).__name__}: {error}"
            raise QuantizeError(path, reason) from error


def _dead(content: bytes, ranges: Mapping[str, Any], path: str) -> list[str]:
    """List tensors whose minimum and maximum are equal, in the order of the model."""
    found = []
    for node in read_graph(content, path).nodes:
        for tensor in node.outputs:
            limits = ranges.get(tensor.name, {})
            ends = [np.asarray(limits[key]) for key in ("min", "max") if key in limits]
            if len(ends) == 2 and tensor.dtype == "float32" and (ends[0] == ends[1]).all():
                found.append(tensor.name)
    return found


def _with_float_weights(content: bytes, path: str) -> tuple[bytes, tuple[str, ...]]:
    """Replace float16 constants behind DEQUANTIZE by float32 constants."""
    graph = read_graph(content, path)
    halves = {
        node.index: node
        for node in graph.nodes
        if node.operator == "DEQUANTIZE"
        and node.input(0).dtype == "float16"
        and node.input(0).data is not None
    }
    if not halves:
        return content, ()
    model = unpack_model(content)
    subgraph = model.subgraphs[0]
    for node in halves.values():
        data = node.input(0).data
        assert data is not None
        made = schema().BufferT()
        made.data = np.frombuffer(data.astype("<f4").tobytes(), np.uint8)
        subgraph.tensors[node.output.index].buffer = len(model.buffers)
        model.buffers.append(made)
    kept = [op for i, op in enumerate(subgraph.operators) if i not in halves]
    subgraph.operators = kept
    note = f"{len(halves)} float16 constants were taken as float32"
    return packed(model), (note,)


def _with_signature(content: bytes) -> bytes:
    """Add the signature that the quantizer requires, and update old operator codes."""
    names = schema()
    model = unpack_model(content)
    for code in model.operatorCodes:
        # Old files set only the deprecated field; the quantizer would read every operator as ADD.
        code.builtinCode = max(code.builtinCode, code.deprecatedBuiltinCode)
    signature = names.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = _SIGNATURE, 0
    graph = model.subgraphs[0]
    signature.inputs = list(_tensor_maps(names, "input", graph.inputs))
    signature.outputs = list(_tensor_maps(names, "output", graph.outputs))
    model.signatureDefs = [signature]
    return packed(model)


def _tensor_maps(names: Any, prefix: str, indices: Sequence[int]) -> Iterator[Any]:
    for position, index in enumerate(indices):
        entry = names.TensorMapT()
        entry.name, entry.tensorIndex = f"{prefix}_{position}", int(index)
        yield entry


def _with_own_names(quantized: bytes, content: bytes, path: str) -> bytes:
    """Give the quantized model the signature names of the float model, `content`."""
    graph = read_graph(content, path)
    labels = {
        f"{prefix}_{position}": label
        for prefix, found in (("input", graph.input_labels), ("output", graph.output_labels))
        for position, label in enumerate(found)
        if label
    }
    if not labels:
        return quantized
    model = unpack_model(quantized)
    for signature in model.signatureDefs:
        for entry in (*signature.inputs, *signature.outputs):
            name = entry.name.decode()
            entry.name = labels.get(name, name)
    return packed(model)


def _quantized_inputs(graph: Graph, sample: Sequence[np.ndarray]) -> list[np.ndarray]:
    return [_quantized(*pair) for pair in zip(graph.inputs, sample, strict=True)]


def _quantized(tensor: Tensor, values: np.ndarray) -> np.ndarray:
    if not tensor.quantized:
        return values
    steps = round_half_away(values / np.float32(tensor.scale)) + tensor.zero_point
    return np.clip(steps, *INTEGER_RANGES[tensor.dtype]).astype(tensor.dtype)


def _dequantized(tensor: Tensor, values: np.ndarray) -> np.ndarray:
    if not tensor.quantized:
        return values
    return ((values.astype(np.float32) - tensor.zero_point) * tensor.scale).astype(np.float32)


def _change(name: str, before: list[np.ndarray], after: list[np.ndarray]) -> OutputChange:
    float_values, values = np.stack(before), np.stack(after)
    apart = np.abs(float_values.astype(np.float64) - values)
    rows, others = (v.reshape(len(v), -1).argmax(axis=1) for v in (float_values, values))
    return OutputChange(
        name,
        float(apart.max()),
        float(apart.mean()),
        float(np.abs(float_values).max()),
        float((rows == others).mean()),
    )


def _accuracy(outputs: list[list[np.ndarray]], labels: np.ndarray | None) -> float | None:
    if labels is None:
        return None
    found = np.array([output[0].reshape(-1).argmax() for output in outputs])
    return float((found == labels).mean())
