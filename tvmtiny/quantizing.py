"""Making a full-integer model from a float one, and measuring what that costs in accuracy."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any
from warnings import catch_warnings
from zipfile import BadZipFile

import flatbuffers
import numpy as np

from tvmtiny.errors import (
    InputDataError,
    InputError,
    QuantizeError,
    UnsupportedModelError,
)
from tvmtiny.errors.base import quoted
from tvmtiny.frontend.flatbuffer import schema, unpack_model
from tvmtiny.frontend.model import load
from tvmtiny.frontend.reader import FILE_IDENTIFIER, Graph, read_graph
from tvmtiny.host.packages import importing
from tvmtiny.importers import read_content
from tvmtiny.inputs import input_names
from tvmtiny.ops import Tensor
from tvmtiny.ops.shared.quantization import INTEGER_RANGES, round_half_away
from tvmtiny.oracle import run_litert_outputs, silenced

#: The array of a data file that holds the right class of each sample.
LABELS = "labels"
_SIGNATURE = "serving_default"
_WIDTHS = ("int8", "int16")


@dataclass(frozen=True)
class OutputChange:
    """How an output differs on the given data.

    Attributes
    ----------
    name
        Of the tensor.
    max_abs_diff, mean_abs_diff
        Between the float model and the dequantized output of the quantized one.
    largest
        Magnitude of the float model's output.
    same_argmax
        Share of samples whose largest element is the same one.
    """

    name: str
    max_abs_diff: float
    mean_abs_diff: float
    largest: float
    same_argmax: float


@dataclass(frozen=True, eq=False)
class Quantized:
    """A quantized model and how it compares with the float one.

    Attributes
    ----------
    content
        The .tflite file.
    samples
        How many were used, for calibration and for comparison.
    bytes_before, bytes_after
        Sizes of the files.
    outputs
        One entry an output.
    accuracy_before, accuracy_after
        Share of samples whose largest element of the first output is the label; None without
        labels.
    """

    content: bytes
    samples: int
    bytes_before: int
    bytes_after: int
    outputs: tuple[OutputChange, ...]
    accuracy_before: float | None = None
    accuracy_after: float | None = None


def quantize(
    source: str | os.PathLike[str] | bytes,
    data: Mapping[str, np.ndarray] | str | os.PathLike[str],
    *,
    activations: str = "int8",
) -> Quantized:
    """Quantize a float model with ``ai-edge-quantizer``: int8 weights, integer activations.

    Parameters
    ----------
    source
        A .tflite file with float32 inputs, or its content.
    data
        One float32 array per input by name, the first dimension counting samples; or a ``.npz``
        file with them. ``labels``, integers, are the right classes of a classifier.
    activations
        ``int8`` or ``int16``.

    Raises
    ------
    ToolMissingError
        ``ai-edge-quantizer`` is not installed, or does not work.
    InputError, InputDataError
        If the model is no float model, or the data does not fit it.
    QuantizeError
        If the quantizer fails, or gives a model that cannot be compiled.
    """
    if activations not in _WIDTHS:
        raise InputError(
            f"activations cannot be {quoted(activations)}; known: {', '.join(_WIDTHS)}"
        )
    content = read_content(source)
    path = "the model" if isinstance(source, bytes) else str(source)
    graph = read_graph(content, path)
    if any(t.dtype != "float32" for t in graph.inputs):
        raise InputError(f"{path} has inputs that are not float32; quantize takes a float model")
    arrays = data if isinstance(data, Mapping) else _read_arrays(Path(data))
    samples = _samples(graph, arrays)
    labels = _labels(arrays, len(samples))
    quantized = _quantize(content, samples, activations, path)
    try:
        model = load(quantized, name="quantized")
    except InputError as error:
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
    )


def _read_arrays(path: Path) -> Mapping[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as content:
            if isinstance(content, np.ndarray):
                raise ValueError("one array instead of several")
            return {name: content[name] for name in content.files}
    except (OSError, ValueError, EOFError, BadZipFile, TypeError) as error:
        reason = getattr(error, "strerror", None) or "not a .npz file"
        raise InputDataError(str(path), str(reason), "FILE.npz", str(path)) from error


def _samples(graph: Graph, arrays: Mapping[str, np.ndarray]) -> list[list[np.ndarray]]:
    """The inputs of each run."""
    columns, counts = [], set()
    for tensor, known in zip(graph.inputs, input_names(graph.inputs), strict=True):
        array = next((arrays[name] for name in known if name in arrays), None)
        if array is None:
            given = ", ".join(arrays) or "nothing"
            raise InputDataError(tensor.name, "missing", f"an array named {known[0]}", given)
        count = array.size // max(tensor.elements, 1)
        if not count or array.size != count * tensor.elements or array.dtype.kind not in "fiu":
            wanted = f"numbers in the shape (samples, {', '.join(map(str, tensor.shape[1:]))})"
            got = f"{array.dtype} {list(array.shape)}"
            raise InputDataError(tensor.name, "wrong dtype or shape", wanted, got)
        counts.add(count)
        columns.append(array.astype(np.float32).reshape(count, *tensor.shape))
    if len(counts) > 1:
        names = ", ".join(t.name for t in graph.inputs)
        wanted = "as many samples for each input"
        raise InputDataError(names, "different numbers of samples", wanted, str(sorted(counts)))
    return [list(sample) for sample in zip(*columns, strict=True)]


def _labels(arrays: Mapping[str, np.ndarray], count: int) -> np.ndarray | None:
    labels = arrays.get(LABELS)
    if labels is None:
        return None
    if labels.size != count or labels.dtype.kind not in "iu":
        got = f"{labels.dtype} {list(labels.shape)}"
        raise InputDataError(LABELS, "wrong dtype or shape", f"{count} integers", got)
    return labels.reshape(-1)


def _quantize(
    content: bytes, samples: Sequence[Sequence[np.ndarray]], activations: str, path: str
) -> bytes:
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
            # The quantizer's own calibration averages over samples, which clips the extreme ones.
            observer = calibrator.Calibrator(signed, qsv_update_func=min_max_update)
            observer.calibrate({_SIGNATURE: frames}, manager)
            work = quantizer.Quantizer(signed, rules)
            return _with_own_names(
                bytes(work.quantize(observer.get_model_qsvs()).quantized_model), content, path
            )
        except Exception as error:
            # The quantizer is an alpha release: it raises whatever its numpy code does.
            reason = f"ai-edge-quantizer failed with {type(error).__name__}: {error}"
            raise QuantizeError(path, reason) from error


def _with_signature(content: bytes) -> bytes:
    """The model as the quantizer wants it: with a signature, and operators of today's field."""
    names = schema()
    model = unpack_model(content)
    for code in model.operatorCodes:
        # Old files have just the narrow field; the quantizer would take every operator for an ADD.
        code.builtinCode = max(code.builtinCode, code.deprecatedBuiltinCode)
    signature = names.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = _SIGNATURE, 0
    graph = model.subgraphs[0]
    signature.inputs = list(_tensor_maps(names, "input", graph.inputs))
    signature.outputs = list(_tensor_maps(names, "output", graph.outputs))
    model.signatureDefs = [signature]
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), file_identifier=FILE_IDENTIFIER)
    return bytes(builder.Output())


def _tensor_maps(names: Any, prefix: str, indices: Sequence[int]) -> Iterator[Any]:
    for position, index in enumerate(indices):
        entry = names.TensorMapT()
        entry.name, entry.tensorIndex = f"{prefix}_{position}", int(index)
        yield entry


def _with_own_names(quantized: bytes, content: bytes, path: str) -> bytes:
    """The quantized model with the names that the signature of the float one, `content`, has."""
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
    builder = flatbuffers.Builder(len(quantized))
    builder.Finish(model.Pack(builder), file_identifier=FILE_IDENTIFIER)
    return bytes(builder.Output())


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
