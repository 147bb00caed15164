"""Loops and branches: their lowering, and the ones that are refused in one line."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

import tvmtiny
from tests.control_models import Control, Make, Value, less, made, plus, recurrent
from tests.host_runner import run_on_host
from tests.tflite_builder import ModelBuilder
from tvmtiny.errors import InputError, ModelFormatError, UnsupportedModelError
from tvmtiny.frontend.flatbuffer import unpack_model
from tvmtiny.frontend.writer import packed
from tvmtiny.ops.shared.control_call import TURNS
from tvmtiny.ops.shared.subprogram import all_nodes, subprograms

_FOUR = Value((4,), "float32")


def _loop(test: Make, body: Make, *values: Value) -> bytes:
    return Control("WHILE", values or (Value(value=0), _FOUR), (test, body)).model()


def _doubled(b: ModelBuilder, x: Sequence[int]) -> Sequence[int]:
    return [plus(b, x[0]), made(b, "ADD", [x[1], x[1]], _FOUR)]


def _stuck(b: ModelBuilder, x: Sequence[int]) -> Sequence[int]:
    return [plus(b, x[0], 0), made(b, "ADD", [x[1], x[1]], _FOUR)]


def _small_sum(b: ModelBuilder, x: Sequence[int]) -> Sequence[int]:
    axis = b.constant("axis", np.array([0], np.int32))
    total = made(b, "SUM", [x[1], axis], Value((), "float32"))
    return less(100, dtype="float32")(b, [total])


def _unsupported(b: ModelBuilder, x: Sequence[int]) -> Sequence[int]:
    result = b.tensor("fft", (4,), "float32")
    b.op("RFFT2D", [x[1]], [result])
    return [plus(b, x[0]), result]


def _longer(b: ModelBuilder, x: Sequence[int]) -> Sequence[int]:
    return [plus(b, x[0]), made(b, "CONCATENATION", [x[1], x[1]], Value((8,), "float32"), axis=0)]


def _remembering(b: ModelBuilder, x: Sequence[int]) -> Sequence[int]:
    value = b.tensor("value", (4,), "float32")
    b.op("READ_VARIABLE", [b.variable("kept")], [value], {})
    return [plus(b, x[0]), value]


def _unwritten(b: ModelBuilder, x: Sequence[int]) -> Sequence[int]:
    b.op("LESS", [b.tensor("other", (), "int32"), x[0]], [b.tensor("more", (), "bool")], {})
    return [len(b._tensors) - 1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (_loop(_small_sum, _doubled), r"^this model has a loop \(WHILE\).*data.*unroll=True"),
        (_loop(less(5), _doubled, Value(), _FOUR), r"^this model has a loop.*unroll=True"),
        (_loop(less(5), _stuck), "more than [0-9,]+ iterations, or never ends"),
        (_loop(less(5), _unsupported), "RFFT2D.*not supported"),
        (_loop(less(5), _longer), r"float32 \[4\] and float32 \[4\] and float32 \[8\].*unroll"),
        (_loop(less(5), _remembering), "variables inside a loop"),
        (_loop(_unwritten, _doubled), "LESS reads a tensor that nothing has written"),
        (_loop(less(5), lambda b, x: [x[0]]), "2 values; allowed: as many values"),
    ],
    ids=("data", "start", "endless", "inside", "shape", "variable", "unwritten", "count"),
)
def test_refused_in_one_line(content: bytes, message: str) -> None:
    with pytest.raises(UnsupportedModelError) as raised:
        tvmtiny.load(content)
    assert re.search(message, str(raised.value)), str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


def _changed(content: bytes, change: Callable[[schema.ModelT], None]) -> bytes:
    model = unpack_model(content)
    change(model)
    return packed(model)


def _runs_itself(model: schema.ModelT) -> None:
    model.subgraphs[2].operators.append(model.subgraphs[0].operators[0])


def _missing(model: schema.ModelT) -> None:
    model.subgraphs[0].operators[0].builtinOptions.bodySubgraphIndex = 7


def _without_options(model: schema.ModelT) -> None:
    model.subgraphs[0].operators[0].builtinOptions = None


def _twice(model: schema.ModelT) -> None:
    model.subgraphs[2].inputs = [1, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_runs_itself, "subgraph 2 calls itself"),
        (_missing, "subgraph 7 is used"),
        (_without_options, "subgraph -1 is used"),
        (_twice, "a subgraph lists an input twice"),
    ],
)
def test_damaged(change: Callable[[schema.ModelT], None], message: str) -> None:
    content = _changed(_loop(less(5), _doubled), change)
    with pytest.raises(InputError, match=message):
        tvmtiny.load(content)


def test_subgraphs_that_multiply() -> None:
    """Each of a few subgraphs runs the next one many times."""
    content = _loop(less(5), _doubled)
    model = unpack_model(content)
    model.subgraphs += [unpack_model(content).subgraphs[2] for _ in range(8)]
    for number, graph in enumerate(model.subgraphs[2:-1], 3):
        again = schema.OperatorT()
        again.opcodeIndex = model.subgraphs[0].operators[0].opcodeIndex
        again.inputs, again.outputs = [0, 1], [0, 1]
        again.builtinOptionsType = schema.BuiltinOptions.WhileOptions
        again.builtinOptions = schema.WhileOptionsT()
        again.builtinOptions.condSubgraphIndex = 1
        again.builtinOptions.bodySubgraphIndex = number
        graph.operators = [*graph.operators, *[again] * 20]
    with pytest.raises(ModelFormatError, match="more than 10000 operators"):
        tvmtiny.load(packed(model))


def test_only_what_is_needed_stays() -> None:
    """The list of all outputs is neither computed nor kept if only the state is used."""
    (loop,) = tvmtiny.load(recurrent(outputs=(2,)).model()).graph.nodes
    (body,) = subprograms(loop)
    assert loop.options[TURNS] == 4
    assert {len(state.before.shape) for state in body.graph.states} == {0, 2}
    assert "DYNAMIC_UPDATE_SLICE" not in {node.operator for node in body.graph.nodes}


def test_steps_are_written_in_place() -> None:
    """Three joined parts of changing size, as converters write them, become one update."""
    for joined in (False, True):
        graph = tvmtiny.load(recurrent(joined=joined, outputs=(1,)).model()).graph
        operators = [node.operator for node in all_nodes(graph)]
        assert operators.count("DYNAMIC_UPDATE_SLICE") == 1 and "SLICE" not in operators
    artifact = tvmtiny.compile(tvmtiny.load(recurrent(outputs=(1,)).model()), "cortex-m4")
    kernels = artifact.files[f"{artifact.name}_kernels.c"]
    assert "assign_variable" not in kernels
    # Only the first state is filled or copied before the first iteration.
    body = kernels.partition("for (int32_t turn")[2]
    assert "tvmtiny_copy(" not in body


def test_turns_take_no_code_and_no_constants() -> None:
    few, many = (
        tvmtiny.compile(tvmtiny.load(recurrent(steps, outputs=(2,)).model()), "cortex-m4")
        for steps in (4, 400)
    )
    assert few.constants_bytes == many.constants_bytes
    text = many.files["model_kernels.c"].replace("400", "4")
    # The limits of a step's index differ.
    assert len(text) - len(few.files["model_kernels.c"]) < 20


def test_equal_layers_share_kernels() -> None:
    """Two equal loops have a function each; kernels and constants exist once."""
    b = ModelBuilder()
    control = recurrent(outputs=(2,))
    results = []
    for name in ("first", "second"):
        x = control.values[3].tensor(b, f"{name}/x")
        given = [b.constant("start", np.array(v.value, v.dtype)) for v in control.values[:3]]
        results.append(control.add(b, [*given, x], name)[2])
    artifact = tvmtiny.compile(tvmtiny.load(b.build(results)), "cortex-m4")
    kernels = artifact.files["model_kernels.h"]
    assert len(re.findall(r"_while\d*\(", kernels)) == 2
    assert len(re.findall(r"_tanh\d*\(", kernels)) == 1
    one = tvmtiny.compile(tvmtiny.load(control.model()), "cortex-m4")
    assert artifact.constants_bytes < 2 * one.constants_bytes


def test_loop_in_steps(tmp_path: Path) -> None:
    """The iterations of a loop are units, some of which form a slice."""
    model = tvmtiny.load(recurrent(40, 8, 8, outputs=(2,)).model())
    artifact = tvmtiny.compile(model, "cortex-m4", longest_slice=8_000)
    assert "turn = begin" in artifact.files["model_kernels.c"]
    assert artifact.stream is not None and artifact.stream.slices > 1
    x = np.random.default_rng(0).normal(size=(40, 1, 8)).astype(np.float32)
    (result,) = run_on_host(artifact, [[x]], tmp_path)
    expected = model.reference([x])[model.graph.outputs[0].index]
    np.testing.assert_allclose(result.outputs[0].data, expected, rtol=1e-5, atol=1e-6)
