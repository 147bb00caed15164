"""Resource variables: their lowering, and the messages for variables without a meaning."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tflite_builder import ModelBuilder

import tvmtiny
from tvmtiny.errors import UnsupportedModelError
from tvmtiny.frontend.flatbuffer import unpack_model
from tvmtiny.frontend.reader import read_graph
from tvmtiny.frontend.writer import packed
from tvmtiny.oracle import run_litert_frames

_INITIAL = np.array([[1, -2, 3, -4]], np.int8)


def _value(b: ModelBuilder, name: str) -> int:
    return b.tensor(name, (1, 4), scale=0.1)


def _read(b: ModelBuilder, variable: int, name: str = "read") -> int:
    value = _value(b, name)
    b.op("READ_VARIABLE", [variable], [value], {})
    return value


def test_a_variable_becomes_a_state() -> None:
    b = ModelBuilder()
    x = b.input("x", (1, 4), scale=0.1)
    variable = b.variable("last", _INITIAL)
    y = _read(b, variable)
    b.op("ASSIGN_VARIABLE", [variable, x], [], {})
    graph = read_graph(b.build([y]), "m")
    (state,) = graph.states
    assert state.name == "last" and state.before.shape == (1, 4) and state.before.dtype == "int8"
    np.testing.assert_array_equal(state.initial, _INITIAL)
    read, assign = graph.nodes
    assert (read.operator, assign.operator) == ("READ_VARIABLE", "ASSIGN_VARIABLE")
    assert read.inputs == (state.before,)
    assert assign.inputs == (graph.tensors[x],) and assign.outputs == (state.after,)
    assert graph.problems == ()


def test_a_value_that_is_read_after_it_was_assigned_is_no_state() -> None:
    b = ModelBuilder()
    x = b.input("x", (1, 4), scale=0.1)
    variable = b.variable("scratch")
    b.op("ASSIGN_VARIABLE", [variable, x], [], {})
    y = _read(b, variable)
    content = b.build([y])
    graph = read_graph(content, "m")
    assert graph.states == () and graph.problems == ()
    frames = [[np.full((1, 4), i, np.int8)] for i in range(3)]
    model = tvmtiny.load(content, name="m")
    for inputs, expected in zip(frames, run_litert_frames(content, frames), strict=True):
        np.testing.assert_array_equal(model.reference(inputs)[y], expected[y])


def test_two_handles_of_one_name_are_one_variable() -> None:
    b = ModelBuilder()
    x = b.input("x", (1, 4), scale=0.1)
    first, second = b.variable("v", _INITIAL), b.variable("v")
    b.op("ASSIGN_VARIABLE", [first, x], [], {})
    y = _read(b, second)
    graph = read_graph(b.build([y]), "m")
    assert graph.nodes[1].inputs == graph.nodes[0].outputs


def _without_a_value(b: ModelBuilder) -> int:
    return _read(b, b.variable("v"))


def _another_shape(b: ModelBuilder) -> int:
    return _read(b, b.variable("v", np.zeros((1, 5), np.int8)))


def _another_dtype(b: ModelBuilder) -> int:
    return _read(b, b.variable("v", np.zeros((1, 4), np.int32)))


def _no_handle(b: ModelBuilder) -> int:
    return _read(b, b.tensor("stray", (), "resource"))


def _late_initialisation(b: ModelBuilder) -> int:
    variable = b.variable("v")
    b.op("ASSIGN_VARIABLE", [variable, 0], [], {})
    b.variable("v", _INITIAL)
    return _read(b, variable)


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (_without_a_value, "nothing has assigned variable v"),
        (_another_shape, r"variable v is int8 \[1, 5\], but read is int8 \[1, 4\]"),
        (_another_dtype, r"variable v is int32 \[1, 4\]"),
        (_no_handle, "does not come from a VAR_HANDLE"),
        (_late_initialisation, "used before it is initialised"),
    ],
)
def test_variables_without_meaning_are_refused(
    build: Callable[[ModelBuilder], int], reason: str
) -> None:
    b = ModelBuilder()
    b.input("x", (1, 4), scale=0.1)
    content = b.build([build(b)])
    with pytest.raises(UnsupportedModelError, match=reason):
        tvmtiny.load(content)


def test_an_initialisation_that_is_not_there() -> None:
    b = ModelBuilder()
    x = b.input("x", (1, 4), scale=0.1)
    b.op("CALL_ONCE", [], [], {"init_subgraph_index": 7})
    with pytest.raises(tvmtiny.errors.ModelFormatError, match="subgraph 7 is used"):
        tvmtiny.load(b.build([x]))


def test_an_initialisation_that_reads_a_variable() -> None:
    b = ModelBuilder()
    b.input("x", (1, 4), scale=0.1)
    y = _read(b, b.variable("v", _INITIAL))
    content = b.build([y])
    model = unpack_model(content)
    reads = model.subgraphs[0].operators[-1].opcodeIndex
    model.subgraphs[1].operators[0].opcodeIndex = reads
    with pytest.raises(UnsupportedModelError, match="the initialisation has a READ_VARIABLE"):
        tvmtiny.load(packed(model))


def test_a_variable_tensor_that_no_memory_holds() -> None:
    b = ModelBuilder()
    x = b.input("x", (1, 4), scale=0.1)
    w = b.constant("w", np.zeros((2, 4), np.int8), scale=0.1)
    t = b.constant("t", np.zeros((2, 3), np.int16), scale=0.1)
    state = b.tensor("state", (1 << 30, 24), "int16", scale=0.1, variable=True)
    y = b.tensor("y", (1, 2), scale=0.1)
    b.op("SVDF", [x, w, t, None, state], [y], {"rank": 1}, 3)
    with pytest.raises(tvmtiny.errors.ModelFormatError, match="microcontroller"):
        tvmtiny.load(b.build([y]))
