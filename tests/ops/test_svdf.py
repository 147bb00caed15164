"""SVDF against LiteRT's reference kernels, frame after frame."""

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
from tvmtiny.errors import UnsupportedModelError
from tvmtiny.oracle import run_litert_frames

OPERATOR = "SVDF"
FLOAT_TOLERANCE = 3e-6


@dataclass(frozen=True)
class Filter:
    """One layer."""

    inputs: int = 5
    units: int = 3
    rank: int = 2
    memory: int = 4
    batch: int = 1
    dtype: str = "int8"
    bias: bool = True
    activation: str = "RELU"
    zero_points: tuple[int, int] = (-3, -128)
    output_scale: float = 0.05
    state_scale: float = 0.002
    time_range: int = 3000
    state: str = "int16"
    state_zero_point: int = 0

    def model(self) -> bytes:
        """The bytes of the .tflite file."""
        rng = np.random.default_rng(2)
        b = ModelBuilder()
        int8 = self.dtype == "int8"
        filters = self.units * self.rank

        def scale(value: float, zero_point: int = 0) -> dict[str, float | int]:
            return {"scale": value, "zero_point": zero_point} if int8 else {}

        x = b.input("x", (self.batch, self.inputs), self.dtype, **scale(0.1, self.zero_points[0]))
        features = rng.integers(-127, 128, (filters, self.inputs))
        times = rng.integers(-self.time_range, self.time_range + 1, (filters, self.memory))
        bias = rng.integers(-2000, 2000, self.units)
        if int8:
            values = [features.astype(np.int8), times.astype(self.state), bias.astype(np.int32)]
        else:
            values = [(v / 1000).astype(np.float32) for v in (features, times, bias)]
        w = b.constant("features", values[0], **scale(0.01))
        t = b.constant("times", values[1], **scale(0.0003))
        offset = b.constant("bias", values[2], **scale(self.state_scale * 0.0003))
        state = b.tensor(
            "state",
            (self.batch, filters * self.memory),
            self.state if int8 else "float32",
            variable=True,
            **scale(self.state_scale, self.state_zero_point),
        )
        y_scale = scale(self.output_scale, self.zero_points[1])
        y = b.tensor("y", (self.batch, self.units), self.dtype, **y_scale)
        options = {"rank": self.rank, "fused_activation_function": self.activation}
        inputs = [x, w, t, offset if self.bias else None, state]
        b.op(OPERATOR, inputs, [y], options, 3 if int8 else 1)
        return b.build([y])


CASES = {
    "rank_2": Filter(),
    "rank_1": Filter(rank=1, units=7),
    "no_bias": Filter(bias=False),
    "batch_2": Filter(batch=2),
    "one_step": Filter(memory=1),
    "sums_of_64_bits": Filter(time_range=32767, output_scale=0.5, memory=6),
    "saturates": Filter(state_scale=0.00005, output_scale=0.001),
    "float": Filter(dtype="float32", activation="NONE"),
    "float_relu": Filter(dtype="float32", batch=2),
}


#: A type for which LiteRT has no results, but TFLM has.
OF_TFLM = {
    "int8": Filter(state="int8", time_range=127, state_scale=0.1),
    "int8_zero_point": Filter(state="int8", time_range=127, state_scale=0.2, state_zero_point=9),
    "int8_saturates": Filter(state="int8", time_range=90, state_scale=0.02, rank=1, batch=2),
    "int16": CASES["rank_2"],
}


@pytest.fixture(scope="module")
def of_tflm() -> SideBySide:
    return SideBySide("of_tflm", OF_TFLM, 0.0)


def test_layers_of_tflm_in_c(of_tflm: SideBySide, tmp_path: Path) -> None:
    of_tflm.check_host_of_tflm("mps2-an386", tmp_path)


def test_layers_of_tflm_are_those_of_its_package(of_tflm: SideBySide) -> None:
    of_tflm.check_package_of_tflm()


def test_a_state_of_int8_names_the_option() -> None:
    with pytest.raises(UnsupportedModelError, match="or --oracle tflm, which has one"):
        tvmtiny.load(OF_TFLM["int8"].model())


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_frames_are_litert(case: Filter) -> None:
    assert_frames_are_litert(case.model(), FLOAT_TOLERANCE)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    inputs=st.integers(1, 6),
    units=st.integers(1, 4),
    rank=st.integers(1, 3),
    memory=st.integers(1, 5),
    batch=st.integers(1, 2),
    bias=st.booleans(),
    zero_points=st.tuples(st.integers(-128, 127), st.integers(-128, 127)),
    output_scale=st.floats(0.001, 0.5),
    state_scale=st.floats(0.0001, 0.05),
    time_range=st.integers(1, 32767),
)
def test_any_layer(**fields: object) -> None:
    assert_frames_are_litert(Filter(**fields).model(), FLOAT_TOLERANCE)  # type: ignore[arg-type]


def test_a_network_in_c(tmp_path: Path) -> None:
    """Two layers, 20 frames; the state is updated in place."""
    b = ModelBuilder()
    x = b.input("x", (1, 8), scale=0.1)
    for layer, units in enumerate((6, 4)):
        rng = np.random.default_rng(layer)
        size = 8 if layer == 0 else 6
        w = b.constant("w", rng.integers(-127, 128, (units, size)).astype(np.int8), scale=0.01)
        t = b.constant("t", rng.integers(-9999, 9999, (units, 5)).astype(np.int16), scale=0.0003)
        bias = b.constant("bias", rng.integers(-999, 999, units).astype(np.int32))
        state = b.tensor("state", (1, units * 5), "int16", scale=0.001, variable=True)
        y = b.tensor("y", (1, units), scale=0.05, zero_point=-128)
        options = {"rank": 1, "fused_activation_function": "RELU"}
        b.op(OPERATOR, [x, w, t, bias, state], [y], options, 3)
        x = y
    content = b.build([x])
    model = tvmtiny.load(content, name="svdf")
    artifact = tvmtiny.compile(model, "cortex-m4")
    assert artifact.state_bytes == 60 + 4 + 40 + 1
    assert "_copy(tvmtiny_svdf_state" not in artifact.files["svdf.c"]
    frames = [tvmtiny.make_inputs(f"random:{seed}", artifact.inputs) for seed in range(20)]
    results = run_on_host(artifact, frames, tmp_path, successive=True)
    for result, expected in zip(results, run_litert_frames(content, frames), strict=True):
        np.testing.assert_array_equal(result.outputs[0].data, expected[x])


def test_a_state_that_is_no_variable_is_refused() -> None:
    node = tvmtiny.load(Filter().model()).graph.nodes[0]
    operator = tvmtiny.ops.find_operator(OPERATOR)
    odd = [
        (replace(node, outputs=node.outputs[:1]), "the state is not a variable"),
        (replace(node, inputs=node.inputs[:4]), "4 inputs"),
        (replace(node, options={"rank": 4}), "6 filters of rank 4"),
        (replace(node, options={"rank": 2, "fused_activation_function": "TANH"}), "TANH"),
    ]
    for changed, reason in odd:
        assert reason in " ".join(p.reason for p in operator.check(changed))
