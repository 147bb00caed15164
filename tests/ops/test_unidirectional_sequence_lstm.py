"""UNIDIRECTIONAL_SEQUENCE_LSTM against LiteRT's reference kernels, frame after frame."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from host_runner import run_on_host
from hypothesis import given, settings
from hypothesis import strategies as st
from tflite_builder import ModelBuilder

import tvmtiny
from tests.frames import assert_frames_are_litert
from tests.tools import on_qemu
from tvmtiny.frontend.reader import read_graph
from tvmtiny.ops import find_operator
from tvmtiny.oracle import oracle_tensors, run_litert_frames

OPERATOR = "UNIDIRECTIONAL_SEQUENCE_LSTM"
FLOAT_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Lstm:
    """One layer."""

    inputs: int = 4
    cells: int = 3
    steps: int = 5
    batch: int = 1
    dtype: str = "int8"
    time_major: bool = False
    zero_points: tuple[int, int] = (3, -5)
    cell_bits: int = 11
    cell_clip: float = 0.0
    weight_scale: float = 0.01
    weight_range: tuple[int, int] = (-127, 127)
    seed: int = 0

    def model(self) -> bytes:
        """The bytes of the .tflite file."""
        rng = np.random.default_rng(self.seed)
        b, int8 = ModelBuilder(), self.dtype == "int8"

        def scale(value: float, zero_point: int = 0) -> dict[str, float | int]:
            return {"scale": value, "zero_point": zero_point} if int8 else {}

        def shape(size: int) -> tuple[int, int, int]:
            rows = (self.batch, self.steps)
            return (*(reversed(rows) if self.time_major else rows), size)

        def constant(name: str, size: tuple[int, ...], gate: int) -> int:
            values = rng.integers(*self.weight_range, size, endpoint=True)
            if not int8:
                return b.constant(name, (values / 200).astype(np.float32))
            return b.constant(
                name, values.astype(np.int8), scale=self.weight_scale * (1 + gate / 5)
            )

        x = b.input("x", shape(self.inputs), self.dtype, **scale(0.05, self.zero_points[0]))
        operands: list[int | None] = [x]
        operands += [constant(f"w{g}", (self.cells, self.inputs), g) for g in range(4)]
        operands += [constant(f"r{g}", (self.cells, self.cells), g) for g in range(4)]
        operands += [None] * 3
        for gate in range(4):
            values = rng.integers(-3000, 3000, self.cells)
            bias = values.astype(np.int32) if int8 else (values / 3000).astype(np.float32)
            operands.append(b.constant(f"b{gate}", bias))
        hidden = scale(1 / 128, self.zero_points[1])
        wide = "int16" if int8 else "float32"
        states = (self.batch, self.cells)
        operands += [None, None, b.tensor("h", states, self.dtype, variable=True, **hidden)]
        bits = scale(2.0**-self.cell_bits)
        operands += [b.tensor("c", states, wide, variable=True, **bits), *[None] * 4]
        y = b.tensor("y", shape(self.cells), self.dtype, **hidden)
        inner = None
        if int8:
            inner = [b.tensor(f"m{i}", (1,), "int16", scale=2.0**-12) for i in range(4)]
            inner.append(b.tensor("m4", (1,), "int8", **hidden))
        options = {"fused_activation_function": "TANH", "time_major": self.time_major}
        options |= {"cell_clip": self.cell_clip, "proj_clip": 0.0}
        b.op(OPERATOR, operands, [y], options, 2 if int8 else 1, inner)
        return b.build([y])


CASES = {
    "int8": Lstm(),
    "batches": Lstm(batch=2, cells=5),
    "time_major": Lstm(batch=2, time_major=True),
    "one_step": Lstm(steps=1),
    "clipped": Lstm(cell_clip=0.3, weight_scale=0.03),
    "wide_cells": Lstm(cell_bits=9, weight_scale=0.05),
    "narrow_cells": Lstm(cell_bits=15),
    "float": Lstm(dtype="float32"),
    "float_batches_clipped": Lstm(dtype="float32", batch=2, time_major=True, cell_clip=0.4),
}


@on_qemu
@pytest.mark.parametrize("cell_bits", [9, 10])
def test_cells_grow_beyond_what_exp_has_factors_for(cell_bits: int) -> None:
    # All gates are open, so that the cells grow by one a step.
    content = Lstm(cell_bits=cell_bits, steps=40, weight_scale=0.1, weight_range=(100, 127)).model()
    model = tvmtiny.load(content, name="growing")
    inputs = [np.full(model.graph.inputs[0].shape, 127, np.int8)]
    artifact = tvmtiny.compile(model, "mps2-an386")
    result = tvmtiny.run(artifact, *inputs)
    assert tvmtiny.check(model, artifact, result, inputs).exact
    expected = oracle_tensors(model, inputs)[1][model.graph.outputs[0].index]
    np.testing.assert_array_equal(model.reference(inputs)[model.graph.outputs[0].index], expected)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_frames_are_litert(case: Lstm) -> None:
    assert_frames_are_litert(case.model(), FLOAT_TOLERANCE)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    inputs=st.integers(1, 5),
    cells=st.integers(1, 6),
    steps=st.integers(1, 4),
    batch=st.integers(1, 2),
    time_major=st.booleans(),
    zero_points=st.tuples(st.integers(-128, 127), st.integers(-128, 127)),
    cell_bits=st.integers(9, 15),
    weight_scale=st.floats(0.001, 0.2),
    seed=st.integers(0, 99),
)
def test_any_layer(**fields: object) -> None:
    assert_frames_are_litert(Lstm(**fields).model())  # type: ignore[arg-type]


def test_a_sequence_in_c(tmp_path: Path) -> None:
    """Many frames, through all of the tables' range; the state changes where it lies."""
    content = Lstm(inputs=6, cells=16, steps=3, weight_scale=0.03).model()
    model = tvmtiny.load(content, name="lstm")
    artifact = tvmtiny.compile(model, "cortex-m4")
    assert artifact.state_bytes == 16 + 32 + 1
    assert "_copy(tvmtiny_lstm_state" not in artifact.files["lstm.c"]
    frames = [tvmtiny.make_inputs(f"random:{seed}", artifact.inputs) for seed in range(40)]
    results = run_on_host(artifact, frames, tmp_path, successive=True)
    (output,) = model.graph.outputs
    for result, expected in zip(results, run_litert_frames(content, frames), strict=True):
        np.testing.assert_array_equal(result.outputs[0].data, expected[output.index])


def test_what_is_not_supported_is_said() -> None:
    node = tvmtiny.load(Lstm().model()).graph.nodes[0]
    operator = find_operator(OPERATOR)
    assert operator is not None

    def with_input(position: int, index: int | None) -> object:
        inputs = list(node.inputs)
        inputs[position] = None if index is None else node.inputs[index]
        return replace(node, inputs=tuple(inputs))

    odd = [
        (with_input(9, 12), "peepholes"),
        (with_input(1, None), "inputs are absent"),
        (replace(node, outputs=node.outputs[:1]), "the states are no variables"),
        (replace(node, outputs=()), "the states are no variables"),
        (replace(node, options={"fused_activation_function": "RELU"}), "fused activation RELU"),
        (replace(node, intermediates=()), "no quantization of the hidden values"),
        (with_input(5, 1), "w0 is [3, 4]"),
        (read_graph(Lstm(cell_bits=16).model(), "m").nodes[0], "a scale of 2^-16"),
    ]
    for changed, reason in odd:
        reasons = [p.reason for p in operator.check(changed)]
        assert any(reason in text for text in reasons), (reason, reasons)
