"""Compare many models with LiteRT in one build: numpy references, and C under sanitizers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from host_runner import HostResult, run_on_host
from litert_check import first_runs
from merge_models import MergedModel
from random_graphs import INEXACT

import tvmtiny
from tests.ops.three_ways import difference, input_data
from tvmtiny.errors import OracleRefusalError, TvmtinyError
from tvmtiny.frontend import Model
from tvmtiny.frontend.flatbuffer import unpack_model
from tvmtiny.frontend.variables import with_assigned
from tvmtiny.frontend.writer import packed
from tvmtiny.ops import Node, Tensor
from tvmtiny.oracle import run_litert

#: Allowed error of float32 results of operators that sum, relative to the largest magnitude.
_TOLERANCE = 2e-5
_KINDS = ("mixed", "random", "ends")
#: Targets of the C; the code differs between them, and the host runs all of it.
_TARGETS = ("cortex-m4", "cortex-m0", "cortex-m7")
#: Operators whose float results are sums of terms that may cancel.
_SUMS = (
    *("AVERAGE_POOL_2D", "BATCH_MATMUL", "CONV_2D", "CUMSUM", "DEPTHWISE_CONV_2D", "MEAN", "SUM"),
    *("FULLY_CONNECTED", "GELU", "RESIZE_BILINEAR", "SVDF", "TRANSPOSE_CONV"),
)
#: Special floats that are tried in graphs of the operators below.
_SPECIAL = np.array([np.inf, -np.inf, np.nan, -0.0, 3e38, -3e38, 1e-40], np.float32)
#: Operators that are exact for infinities and NaN.
_EXACT_FOR_ALL = (
    *("ABS", "ADD", "BROADCAST_TO", "CONCATENATION", "DIV", "MAXIMUM", "MINIMUM", "MUL", "NEG"),
    *("PACK", "PAD", "RELU", "RELU6", "RELU_N1_TO_1", "RESHAPE", "REVERSE_V2", "SLICE", "SPLIT"),
    *("STRIDED_SLICE", "SUB", "TILE", "TRANSPOSE", "UNPACK"),
)


@dataclass(frozen=True)
class Outcome:
    """The outcome of a comparison.

    Attributes
    ----------
    kind
        ``exact``, ``refused`` by tvmtiny or ``refused by LiteRT``; all others are failures:
        ``wrong reference``, ``wrong bytes``, ``sanitizer or compiler``, ``traceback``.
    detail
        The first line of the explanation.
    """

    kind: str
    detail: str = ""

    @property
    def failed(self) -> bool:
        """Whether the outcome is a fault of tvmtiny."""
        return self.kind not in ("exact", "refused", "refused by LiteRT")


Limits = Mapping[str, tuple[float, float]]
Frames = Sequence[Sequence[np.ndarray]]


@dataclass(frozen=True, eq=False)
class _Case:
    """A model that LiteRT runs."""

    model: Model
    frames: Frames
    expected: Sequence[Mapping[int, np.ndarray]]


def frames_for(content: bytes, seed: int, limits: Limits) -> Frames:
    """Inputs of several kinds for a model; those named in `limits` have smaller ranges."""
    rng = np.random.default_rng(seed)
    graph = tvmtiny.load(content).graph
    frames = [
        [input_data(t, kind, rng, limits.get(t.name)) for t in graph.inputs] for kind in _KINDS
    ]
    if all(node.operator in _EXACT_FOR_ALL for node in graph.nodes):
        frames.append([_special(t, rng, limits.get(t.name)) for t in graph.inputs])
    return frames


def compare(models: Mapping[str, tuple[bytes, Frames]], number: int) -> dict[str, Outcome]:
    """Compare models with LiteRT, each on its frames.

    Parameters
    ----------
    models
        .tflite files and inputs by name.
    number
        Number that chooses the target and the place of inputs and outputs.
    """
    found: dict[str, Outcome] = {}
    cases: dict[str, _Case] = {}
    for name, (content, frames) in models.items():
        outcome = _prepared(content, frames)
        if isinstance(outcome, Outcome):
            found[name] = outcome
        else:
            cases[name] = outcome
    found.update(_run(cases, number))
    return {name: found[name] for name in models}


def _prepared(content: bytes, frames: Frames) -> _Case | Outcome:
    """Load a model, run LiteRT, and compare the numpy references with LiteRT's results."""
    try:
        model = tvmtiny.load(content)
        runs = first_runs(model.graph, content, frames)
        expected = [with_assigned(model.graph, values) for values in runs]
        with np.errstate(all="ignore"):
            results = [model.reference(f) for f in frames]
    except TvmtinyError as error:
        by_litert = isinstance(error, OracleRefusalError)
        return Outcome("refused by LiteRT" if by_litert else "refused", type(error).__name__)
    except Exception as error:
        return Outcome("traceback", f"{type(error).__name__}: {error}")
    for got, wanted in zip(results, expected, strict=True):
        wrong = _difference(model, got, wanted)
        if wrong:
            return Outcome("wrong reference", wrong)
    if not model.graph.inputs:
        return Outcome("exact", "there is nothing to run")
    return _Case(model, frames, expected)


def _run(cases: Mapping[str, _Case], number: int) -> dict[str, Outcome]:
    """Compare the C of all models with LiteRT; after a failure, compare each model alone."""
    if not cases:
        return {}
    try:
        return _run_together(cases, number)
    except pytest.fail.Exception as error:
        outcome = Outcome("sanitizer or compiler", str(error.msg))
    except Exception as error:
        outcome = Outcome("traceback", f"{type(error).__name__}: {error}")
    if len(cases) == 1:
        return dict.fromkeys(cases, outcome)
    names, half = [*cases], len(cases) // 2
    first, second = names[:half], names[half:]
    found = _run({n: cases[n] for n in first}, number) | _run({n: cases[n] for n in second}, number)
    if any(o.failed for o in found.values()):
        return found
    return found | {names[0]: Outcome(outcome.kind, f"only together: {outcome.detail}")}


def _run_together(cases: Mapping[str, _Case], number: int) -> dict[str, Outcome]:
    merged, places = MergedModel(), {}
    for name, case in cases.items():
        content = unpack_model(case.model.content)
        tensors = len(content.subgraphs[0].tensors)
        places[name] = merged.add(name, content), tensors
    count = max(len(case.frames) for case in cases.values())
    frames = [
        [x for case in cases.values() for x in case.frames[i % len(case.frames)]]
        for i in range(count)
    ]
    model = tvmtiny.load(merged.build(), name="graphs")
    io = "external" if number % 2 else "arena"
    artifact = tvmtiny.compile(model, _TARGETS[number % len(_TARGETS)], io=io)
    with TemporaryDirectory() as folder:
        results = run_on_host(artifact, frames, Path(folder))
    found = {}
    for name, case in cases.items():
        found[name] = Outcome("exact")
        for i, result in enumerate(results):
            expected = case.expected[i % len(case.frames)]
            got, wanted = _values(artifact, model, result, *places[name], expected)
            wrong = _difference(case.model, got, wanted)
            if wrong:
                found[name] = Outcome("wrong bytes", wrong)
                break
    return found


def _values(
    artifact: tvmtiny.Artifact,
    model: Model,
    result: HostResult,
    first: int,
    count: int,
    expected: Mapping[int, np.ndarray],
) -> tuple[dict[int, np.ndarray], dict[int, np.ndarray]]:
    """Results of one of the models by its own tensor indices, and the expected values.

    Parameters
    ----------
    first, count
        Index of its first tensor among the tensors of all models, and the number of its tensors.
    """
    got, wanted = {}, dict(expected)
    for layer, data in zip(artifact.layers, result.layers, strict=True):
        index = layer.tensor - first
        # States are numbered after the tensors of the file.
        if not 0 <= index < count:
            continue
        got[index] = data
        if layer.kept_channels is not None and index in wanted:
            wanted[index] = expected[index][..., list(layer.kept_channels)]
    for tensor, output in zip(model.graph.outputs, result.outputs, strict=True):
        if 0 <= tensor.index - first < count:
            got[tensor.index - first] = output.data
    return got, wanted


def _difference(
    model: Model, got: Mapping[int, np.ndarray], expected: Mapping[int, np.ndarray]
) -> str:
    """The first node whose results differ; empty if there is none."""
    inexact: set[int] = set()
    for node in model.graph.nodes:
        rough = node.operator in INEXACT or any(t.index in inexact for t in node.inputs if t)
        for tensor in node.outputs:
            if rough and tensor.dtype == "float32":
                inexact.add(tensor.index)
            if tensor.index not in got or tensor.index not in expected:
                continue
            tolerance = _TOLERANCE * _size(node, expected) if tensor.index in inexact else 0.0
            found = difference(got[tensor.index], expected[tensor.index], tolerance)
            if found:
                return f"{_words(node)}: {found}"
    return ""


def _size(node: Node, expected: Mapping[int, np.ndarray]) -> float:
    """The magnitude of the terms that an inexact float is summed from, relative to the results."""
    floats = [expected.get(t.index, t.data) for t in node.inputs if t and t.dtype == "float32"]
    if node.operator not in _SUMS or any(x is None or not x.size for x in floats):
        return 1.0
    sizes = [float(np.abs(x[np.isfinite(x)]).max(initial=0.0)) for x in floats[:2] if x is not None]
    result = expected[node.output.index]
    largest = float(np.abs(result[np.isfinite(result)]).max(initial=0.0))
    return max(1.0, prod(sizes) / largest) if largest else 1.0


def _words(node: Node) -> str:
    tensors = [*(t for t in node.inputs if t is not None), *node.outputs]
    shown = []
    for tensor in tensors:
        q = tensor.quantization
        scale = f" {q.scales[0]:.9g} {q.zero_points[0]}" if q is not None else ""
        shown.append(f"{tensor.dtype}{list(tensor.shape)}{scale}")
    return f"{node.operator}({', '.join(shown)})"


def _special(
    tensor: Tensor, rng: np.random.Generator, limits: tuple[float, float] | None
) -> np.ndarray:
    if tensor.dtype == "float32" and limits is None:
        return rng.choice(_SPECIAL, tensor.shape)
    return input_data(tensor, "mixed", rng, limits)


def reduced(
    content: bytes, frames: Frames, fails: Callable[[bytes, Frames], bool]
) -> tuple[bytes, Frames]:
    """Find the smallest part of a model that still fails, with inputs for it.

    Operators are left out one by one, from the last to the first, until none can be left out. The
    outputs of operators in between become inputs, with the values that LiteRT computes.

    Parameters
    ----------
    fails
        Predicate for a model and its inputs; it is called with parts that need not be valid.
    """
    values = [run_litert(content, frame) for frame in frames]
    operators = len(unpack_model(content).subgraphs[0].operators)
    kept, best = list(range(operators)), (content, frames)
    shrinks = True
    while shrinks:
        shrinks = False
        for operator in reversed(kept):
            fewer = [i for i in kept if i != operator]
            part = _part(content, fewer, values) if fewer else None
            if part is not None and fails(*part):
                kept, best, shrinks = fewer, part, True
    return best


def _part(
    content: bytes, kept: Sequence[int], values: Sequence[Mapping[int, np.ndarray]]
) -> tuple[bytes, Frames] | None:
    """Return the model of some operators; None if their inputs are not values."""
    model = unpack_model(content)
    graph = model.subgraphs[0]
    graph.operators = [graph.operators[i] for i in kept]
    written = [int(i) for o in graph.operators for i in o.outputs]
    read = dict.fromkeys(int(i) for o in graph.operators for i in o.inputs if i >= 0)
    graph.inputs = [i for i in read if i not in written and not _constant(model, graph.tensors[i])]
    graph.outputs = [i for i in written if i not in read or i in graph.outputs]
    model.signatureDefs = None
    if not graph.inputs or any(i not in v for i in graph.inputs for v in values):
        return None
    return packed(model), [[v[i] for i in graph.inputs] for v in values]


def _constant(model: schema.ModelT, tensor: schema.TensorT) -> bool:
    data = model.buffers[tensor.buffer].data
    return tensor.isVariable or (data is not None and len(data) > 0)
