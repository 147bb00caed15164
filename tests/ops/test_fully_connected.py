"""FULLY_CONNECTED against LiteRT's reference kernels, and against TFLM's rounding."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from litert_check import assert_reference_is_litert
from tflite_builder import ModelBuilder

from tvmtiny.frontend.reader import read_graph
from tvmtiny.ops import (
    Compute,
    Node,
    Oracle,
    Quantization,
    Tensor,
    find_operator,
    fully_connected,
)
from tvmtiny.ops.shared.output_rounding import (
    litert_fully_connected_rounding,
    tflm_fully_connected_rounding,
)
from tvmtiny.ops.shared.quantization import activation_range, requantize_once, round_half_away
from tvmtiny.ops.shared.weights import accumulator_range

#: Sums are computed in another order.
FLOAT_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Dense:
    """One layer; builds the model that holds only this layer."""

    shape: tuple[int, ...] = (1, 20)
    depth: int = 20
    channels: int = 7
    activation: str = "NONE"
    keep_num_dims: bool = False
    dtype: str = "int8"
    bias: str = "given"
    per_channel: bool = False
    weight_zero_point: int = 0
    zero_points: tuple[int, int] = (-3, 5)
    input_scale: float = 0.04
    weight_scale: float = 0.02
    output_scale: float = 0.3

    def model(self) -> bytes:
        """The bytes of the .tflite file."""
        rng = np.random.default_rng(1)
        int8 = self.dtype == "int8"
        b = ModelBuilder()
        x_scale = {"scale": self.input_scale, "zero_point": self.zero_points[0]} if int8 else {}
        y_scale = {"scale": self.output_scale, "zero_point": self.zero_points[1]} if int8 else {}
        x = b.input("x", self.shape, self.dtype, **x_scale)
        weight_shape = (self.channels, self.depth)
        if int8:
            count = self.channels if self.per_channel else 1
            scales = [self.weight_scale * (1 + i % 5) / 3 for i in range(count)]
            weights = rng.integers(-127, 128, weight_shape).astype(np.int8)
            points = [self.weight_zero_point] * count
            w = b.constant("w", weights, scales=scales, zero_points=points)
            values = rng.integers(-2000, 2000, self.channels).astype(np.int32)
            bias_scale = {"scale": float(np.float32(self.input_scale) * np.float32(scales[0]))}
        else:
            w = b.constant("w", rng.normal(size=weight_shape).astype(np.float32))
            values = rng.normal(size=self.channels).astype(np.float32)
            bias_scale = {}
        operands: list[int | None] = [x, w]
        if self.bias == "given":
            operands.append(b.constant("bias", values, **bias_scale))
        elif self.bias == "none":
            operands.append(None)
        rows = prod(self.shape) // self.depth
        shape = self.shape[:-1] if self.keep_num_dims else (rows,)
        y = b.tensor("y", (*shape, self.channels), self.dtype, **y_scale)
        options = {
            "fused_activation_function": self.activation,
            "keep_num_dims": self.keep_num_dims,
        }
        b.op("FULLY_CONNECTED", operands, [y], options, version=9)
        return b.build([y])


CASES = {
    "plain": Dense(),
    "batch_3": Dense(shape=(3, 20)),
    "from_4d": Dense(shape=(1, 2, 2, 5)),
    "from_4d_batch_2": Dense(shape=(2, 2, 2, 5)),
    "row_spans_two_samples": Dense(shape=(4, 10)),
    "two_rows_a_sample": Dense(shape=(2, 4, 10)),
    "keep_num_dims": Dense(shape=(2, 3, 20), keep_num_dims=True),
    "keep_num_dims_4d": Dense(shape=(1, 3, 2, 20), keep_num_dims=True),
    "from_1d": Dense(shape=(20,)),
    "no_bias": Dense(bias="left out"),
    "bias_minus_1": Dense(bias="none"),
    "weight_zero_point": Dense(weight_zero_point=7),
    "weight_zero_point_at_end": Dense(weight_zero_point=-128, shape=(2, 20)),
    "per_channel": Dense(per_channel=True),
    "per_channel_relu": Dense(per_channel=True, activation="RELU", shape=(2, 20)),
    "relu6": Dense(activation="RELU6", output_scale=0.05),
    "relu_n1_to_1": Dense(activation="RELU_N1_TO_1", output_scale=0.01),
    "halves": Dense(input_scale=0.5, weight_scale=0.75, output_scale=16.0, channels=64),
    "one_value": Dense(shape=(1, 1), depth=1, channels=1),
    "zero_points_at_ends": Dense(zero_points=(-128, 127)),
    "saturates": Dense(output_scale=0.001),
    "scale_above_1": Dense(output_scale=0.0002, weight_scale=0.05),
    "tiny_scale": Dense(weight_scale=1e-12),
    "deep": Dense(shape=(1, 640), depth=640, channels=128, output_scale=1.5),
    "float": Dense(dtype="float32"),
    "float_4d_relu": Dense(dtype="float32", shape=(2, 2, 2, 5), activation="RELU"),
    "float_no_bias": Dense(dtype="float32", bias="left out"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_reference_is_litert(case: Dense) -> None:
    assert_reference_is_litert(case.model())


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    rows=st.integers(1, 3),
    depth=st.integers(1, 70),
    channels=st.integers(1, 9),
    per_channel=st.booleans(),
    bias=st.sampled_from(["given", "none", "left out"]),
    activation=st.sampled_from(["NONE", "RELU", "RELU6", "RELU_N1_TO_1"]),
    zero_points=st.tuples(st.integers(-128, 127), st.integers(-128, 127)),
    input_scale=st.floats(1e-3, 0.5),
    output_scale=st.floats(1e-2, 1.0),
    weight_scale=st.floats(1e-4, 0.02),
)
def test_any_layer(rows: int, depth: int, **fields: object) -> None:
    case = replace(Dense(shape=(rows, depth), depth=depth), **fields)  # type: ignore[arg-type]
    model = case.model()
    assert_reference_is_litert(model)
    assert_multipliers_are_exact(read_graph(model, "test").nodes[0])


def assert_multipliers_are_exact(node: Node) -> None:
    """Assert that integer scaling equals float64 on all sums, or on a large sample of them."""
    scales = litert_fully_connected_rounding(node).scales
    pairs = fully_connected._exact_multipliers(node)
    assert pairs is not None
    reach = 255 * 127 * node.input(1).shape[1] + 2000
    rng = np.random.default_rng(0)
    acc = np.unique(rng.integers(-reach, reach + 1, 20000))
    zero, limits = node.output.zero_point, activation_range(node)
    for scale, (multiplier, shift) in zip(scales, pairs, strict=True):
        near = np.ceil((np.arange(*limits) - zero + 0.5) / scale)[:, None] + np.arange(-1, 2)
        points = np.concatenate([acc, near[np.abs(near) < reach].astype(np.int64).ravel()])
        low, high = _range(node, scale, scales)
        points = points[(points >= low) & (points <= high)]
        wanted = round_half_away(points * scale) + zero
        got = requantize_once(points, multiplier, shift) + zero
        np.testing.assert_array_equal(np.clip(got, *limits), np.clip(wanted, *limits))


def _range(node: Node, scale: float, scales: np.ndarray) -> tuple[int, int]:
    weights, bias = node.input(1), node.optional_input(2)
    assert weights.data is not None and weights.quantization is not None
    zero_point = 0 if weights.quantization.per_channel else weights.zero_point
    centred = weights.data.astype(np.int64) - zero_point
    values = np.zeros(len(centred)) if bias is None or bias.data is None else bias.data
    low, high = accumulator_range(centred, values, node.input(0).zero_point)
    mine = np.ones(len(centred), bool) if len(scales) == 1 else scales == scale
    return int(low[mine].min()), int(high[mine].max())


def _compute(case: Dense, oracle: Oracle = Oracle.LITERT) -> Compute:
    operator = find_operator("FULLY_CONNECTED")
    assert operator is not None
    compute = operator.compute(read_graph(case.model(), "test").nodes[0], oracle)
    assert isinstance(compute, Compute)
    return compute


def test_scale_is_an_array_of_one_or_one_per_channel() -> None:
    for case, count in ((CASES["plain"], 1), (CASES["per_channel"], 7)):
        for oracle in Oracle:
            multiplier, shift = _compute(case, oracle).arguments[3:]
            assert multiplier.shape == shift.shape == (count,)
            assert (str(multiplier.dtype), str(shift.dtype)) == ("int32", "int8")


def test_double_where_no_multiplier_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fully_connected, "exact_multiplier", lambda *_: None)
    for case, count in ((CASES["plain"], 1), (CASES["per_channel"], 7)):
        *_, scale = _compute(case).arguments
        assert scale.shape == (count,)
        assert str(scale.dtype) == "float64"


def test_tflm_multiplies_per_tensor_scales_in_single_precision() -> None:
    case = Dense(input_scale=0.0437, weight_scale=0.0213)
    node = read_graph(case.model(), "test").nodes[0]
    rounding = tflm_fully_connected_rounding(node)
    multiplier, shift = int(rounding.multiplier[0]), int(rounding.shift[0])
    weights = node.input(1).quantization
    assert weights is not None
    product = np.float32(node.input(0).scale) * np.float32(weights.scales[0])
    real = float(product) / node.output.scale
    assert multiplier == round(real * 2.0 ** (31 - shift))


def test_tflm_differs_from_litert_only_by_rounding() -> None:
    case = Dense(shape=(50, 20), channels=60)
    node = read_graph(case.model(), "test").nodes[0]
    operator = find_operator("FULLY_CONNECTED")
    assert operator is not None
    rng = np.random.default_rng(0)
    x = rng.integers(-128, 128, (50, 20)).astype(np.int8)
    constants = [t.data for t in node.inputs[1:] if t is not None and t.data is not None]
    results = [operator.reference(node, [x, *constants], oracle)[0] for oracle in Oracle]
    assert np.abs(results[0].astype(int) - results[1]).max() <= 1


_SCALE = Quantization((0.5,), (0,))
_X = Tensor(0, "x", (1, 4), "int8", _SCALE)
_Y = Tensor(2, "y", (1, 3), "int8", _SCALE)
_W = Tensor(1, "w", (3, 4), "int8", Quantization((0.1,), (0,)), np.full((3, 4), 127, np.int8))


def _node(*inputs: Tensor | None, output: Tensor = _Y, **options: object) -> Node:
    return Node(0, "FULLY_CONNECTED", 1, inputs, (output,), options)


def _bias(value: int) -> Tensor:
    return Tensor(3, "b", (3,), "int32", None, np.full(3, value, np.int32))


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        (_node(), "input 0 is absent"),
        (_node(_X, None), "input 1 is absent"),
        (Node(0, "FULLY_CONNECTED", 1, (_X, _W), ()), "no output"),
        (_node(_X, replace(_W, shape=(3, 2, 2))), "weights of shape"),
        (_node(_X, replace(_W, shape=(3, 0))), "weights of shape"),
        (_node(_X, replace(_W, dtype="float32")), "float32 weights"),
        (_node(_X, replace(_W, quantization=None)), "without a scale"),
        (_node(_X, replace(_W, quantization=Quantization((float("nan"),), (0,)))), "not finite"),
        (_node(_X, _W, weights_format="SHUFFLED4x16INT8"), "SHUFFLED"),
        (_node(_X, _W, fused_activation_function="TANH"), "TANH"),
        (_node(replace(_X, shape=(1, 5)), _W), "do not fit"),
        (_node(replace(_X, shape=()), _W), "do not fit"),
        (_node(_X, _W, output=replace(_Y, shape=())), "do not fit"),
        (_node(_X, _W, output=replace(_Y, shape=(2, 3))), "6 outputs for 1 rows"),
        (_node(_X, _W, output=replace(_Y, dtype="float32")), "int8 input with float32"),
        (_node(_X, _W, output=replace(_Y, quantization=None)), "no scale"),
        (_node(_X, _W, _bias(2**31 - 1)), "overflow"),
        (_node(_X, _W, output=replace(_Y, quantization=Quantization((1e-9,), (0,)))), "undefined"),
    ],
)
def test_problems(node: Node, reason: str) -> None:
    operator = find_operator("FULLY_CONNECTED")
    assert operator is not None
    assert any(reason in problem.reason for problem in [*operator.check(node)])


def test_macs() -> None:
    node = read_graph(Dense(shape=(3, 20)).model(), "test").nodes[0]
    operator = find_operator("FULLY_CONNECTED")
    assert operator is not None
    assert operator.macs(node) == 3 * 20 * 7
