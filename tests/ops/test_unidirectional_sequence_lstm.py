"""UNIDIRECTIONAL_SEQUENCE_LSTM against LiteRT's reference kernels, frame by frame."""

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
from tests.ops.three_ways import SideBySide
from tests.tools import on_qemu
from tvmtiny.errors import UnsupportedModelError
from tvmtiny.frontend.reader import read_graph
from tvmtiny.ops import Oracle, find_operator
from tvmtiny.oracle import oracle_tensors, run_litert_frames

OPERATOR = "UNIDIRECTIONAL_SEQUENCE_LSTM"
FLOAT_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Lstm:
    """One layer; `projected` outputs, if not 0, are computed from the cells."""

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
    coupled: bool = False
    peepholes: bool = False
    projected: int = 0
    projection_clip: float = 0.0
    projection_bias: bool = True

    def model(self) -> bytes:
        """The bytes of the .tflite file."""
        rng = np.random.default_rng(self.seed)
        b, real = ModelBuilder(), self.dtype == "float32"

        def scale(value: float, zero_point: int = 0) -> dict[str, float | int]:
            zero_point = zero_point if self.dtype == "int8" else 0
            return {} if real else {"scale": value, "zero_point": zero_point}

        def shape(size: int) -> tuple[int, int, int]:
            rows = (self.batch, self.steps)
            return (*(reversed(rows) if self.time_major else rows), size)

        def constant(name: str, size: tuple[int, ...], gate: int) -> int:
            values = rng.integers(*self.weight_range, size, endpoint=True)
            if real:
                return b.constant(name, (values / 200).astype(np.float32))
            return b.constant(
                name, values.astype(np.int8), scale=self.weight_scale * (1 + gate / 5)
            )

        def bias(name: str, size: int) -> int:
            values = rng.integers(-3000, 3000, size)
            if real:
                return b.constant(name, (values / 3000).astype(np.float32))
            return b.constant(name, values.astype(np.int32 if self.dtype == "int8" else np.int64))

        def peephole(gate: int) -> int:
            values = rng.integers(-30000, 30000, self.cells)
            if real:
                return b.constant(f"p{gate}", (values / 30000).astype(np.float32))
            return b.constant(f"p{gate}", values.astype(np.int16), scale=2.0**-14)

        gates = range(1 if self.coupled else 0, 4)
        absent: list[int | None] = [None] * gates.start
        outputs = self.projected or self.cells
        x = b.input("x", shape(self.inputs), self.dtype, **scale(0.05, self.zero_points[0]))
        operands: list[int | None] = [x]
        operands += absent + [constant(f"w{g}", (self.cells, self.inputs), g) for g in gates]
        operands += absent + [constant(f"r{g}", (self.cells, outputs), g) for g in gates]
        seeing = [g for g in (0, 1, 3) if g in gates and self.peepholes]
        operands += [peephole(g) if g in seeing else None for g in (0, 1, 3)]
        operands += absent + [bias(f"b{g}", self.cells) for g in gates]
        if self.projected:
            operands.append(constant("p", (outputs, self.cells), 0))
            operands.append(bias("pb", outputs) if self.projection_bias else None)
        else:
            operands += [None, None]
        hidden = scale(1 / 128, self.zero_points[1])
        states = {"shape": (self.batch, outputs), "dtype": self.dtype, "variable": True}
        operands.append(b.tensor("h", **states, **hidden))
        wide = "float32" if real else "int16"
        bits = scale(2.0**-self.cell_bits)
        cells = b.tensor("c", (self.batch, self.cells), wide, variable=True, **bits)
        operands += [cells, *[None] * 4]
        y = b.tensor("y", shape(outputs), self.dtype, **hidden)
        inner = None
        if not real:
            inner = [b.tensor(f"m{i}", (0,), "int16", scale=2.0**-12) for i in range(4)]
            values = scale(1 / 140, 7) if self.projected else hidden
            inner.append(b.tensor("m4", (0,), self.dtype, **values))
        options = {"fused_activation_function": "TANH", "time_major": self.time_major}
        options |= {"cell_clip": self.cell_clip, "proj_clip": self.projection_clip}
        b.op(OPERATOR, operands, [y], options, 1 if real else 2, inner)
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
    "coupled": Lstm(coupled=True),
    "peepholes": Lstm(peepholes=True, batch=2),
    "projected": Lstm(cells=4, projected=2),
    "everything": Lstm(
        projected=3, coupled=True, peepholes=True, projection_clip=0.3, projection_bias=False
    ),
    "float_coupled": Lstm(dtype="float32", coupled=True, time_major=True),
    "float_everything": Lstm(
        dtype="float32", cells=4, projected=2, peepholes=True, projection_clip=0.2
    ),
}

#: A type for which LiteRT has no results, but TFLM has.
OF_TFLM = {
    "int16": Lstm(dtype="int16", steps=7, batch=2),
    "int16_clipped": Lstm(dtype="int16", time_major=True, cell_clip=0.3, weight_scale=0.03),
    "narrow": Lstm(cell_bits=16, weight_scale=0.03),
    "narrower": Lstm(cell_bits=18, cells=5),
    "wide": Lstm(cell_bits=7, weight_scale=0.05, steps=20),
}


@on_qemu
@pytest.mark.parametrize("cell_bits", [9, 10])
def test_cells_grow_beyond_what_exp_has_factors_for(cell_bits: int) -> None:
    # All gates are open, so the cells grow by one per step.
    content = Lstm(cell_bits=cell_bits, steps=40, weight_scale=0.1, weight_range=(100, 127)).model()
    model = tvmtiny.load(content, name="growing")
    inputs = [np.full(model.graph.inputs[0].shape, 127, np.int8)]
    artifact = tvmtiny.compile(model, "mps2-an386")
    result = tvmtiny.run(artifact, *inputs)
    assert tvmtiny.check(model, artifact, result, inputs).exact
    expected = oracle_tensors(model, inputs)[1][model.graph.outputs[0].index]
    np.testing.assert_array_equal(model.reference(inputs)[model.graph.outputs[0].index], expected)


@pytest.fixture(scope="module")
def of_tflm() -> SideBySide:
    return SideBySide("of_tflm", {**OF_TFLM, "int8": Lstm(), "clipped": CASES["clipped"]}, 0.0)


def test_layers_of_tflm_in_c(of_tflm: SideBySide, tmp_path: Path) -> None:
    of_tflm.check_host_of_tflm("mps2-an386", tmp_path)


def test_layers_of_tflm_are_those_of_its_package(of_tflm: SideBySide) -> None:
    of_tflm.check_package_of_tflm()


def test_layers_that_litert_cannot_compute_are_those_of_tflm() -> None:
    for case in (Lstm(dtype="int16"), Lstm(cell_bits=16)):
        models = [tvmtiny.load(case.model(), name="m", oracle=oracle) for oracle in Oracle]
        first, second = (tvmtiny.compile(model, "cortex-m4").files for model in models)
        assert first == second
        inputs = tvmtiny.make_inputs("ramp", tvmtiny.compile(models[0], "cortex-m4").inputs)
        name, _ = oracle_tensors(models[0], inputs)
        assert name == "numpy"
    with pytest.raises(UnsupportedModelError, match="int16 data, for which LiteRT has no kernel"):
        tvmtiny.load(Lstm(dtype="int16", coupled=True).model(), oracle="tflm")
    with pytest.raises(UnsupportedModelError, match="for which LiteRT has no tanh"):
        tvmtiny.load(Lstm(cell_bits=16, coupled=True).model())


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
    coupled=st.booleans(),
    peepholes=st.booleans(),
    projected=st.integers(0, 5),
)
def test_any_layer(**fields: object) -> None:
    if fields["peepholes"] and fields["projected"]:
        # LiteRT reads as many peepholes as there are outputs.
        fields["projected"] = fields["cells"]
    assert_frames_are_litert(Lstm(**fields).model())  # type: ignore[arg-type]


def test_a_sequence_in_c(tmp_path: Path) -> None:
    """Many frames cover the whole range of the tables; the state is updated in place."""
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
        (with_input(9, 12), "peepholes of only some gates"),
        (with_input(20, 12), "layer normalization"),
        (with_input(17, 12), "a bias without a projection"),
        (with_input(2, None), "inputs are absent"),
        (with_input(1, None), "parts of an input gate"),
        (replace(node, outputs=node.outputs[:1]), "the states are not variables"),
        (replace(node, outputs=()), "the states are not variables"),
        (replace(node, options={"fused_activation_function": "RELU"}), "fused activation RELU"),
        (replace(node, intermediates=()), "hidden values without quantization"),
        (with_input(5, 1), "w0 is [3, 4]"),
        (
            read_graph(Lstm(cells=4, projected=2, peepholes=True).model(), "m").nodes[0],
            "peepholes of 4 cells with 2 outputs",
        ),
    ]
    for changed, reason in odd:
        reasons = [p.reason for p in operator.check(changed)]
        assert any(reason in text for text in reasons), (reason, reasons)
