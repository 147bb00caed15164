"""DEPTHWISE_CONV_2D against LiteRT's reference kernels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from litert_check import assert_reference_is_litert
from tflite_builder import ModelBuilder

from tvmtiny.frontend.reader import read_graph
from tvmtiny.ops import Node, Quantization, Tensor, find_operator

#: Sums are computed in another order.
FLOAT_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Depthwise:
    """One layer; builds the model that holds only this layer."""

    size: tuple[int, int] = (6, 7)
    channels: int = 4
    multiplier: int = 1
    kernel: tuple[int, int] = (3, 3)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: str = "SAME"
    activation: str = "NONE"
    dtype: str = "int8"
    batch: int = 1
    bias: bool = True
    per_channel: bool = True
    zero_points: tuple[int, int] = (-3, 5)
    output_scale: float = 0.09
    weight_scale: float = 0.02
    weight_range: tuple[int, int] = (-127, 127)

    def model(self) -> bytes:
        """The bytes of the .tflite file."""
        rng = np.random.default_rng(1)
        out = self.channels * self.multiplier
        int8 = self.dtype == "int8"
        b = ModelBuilder()
        x_scale = {"scale": 0.04, "zero_point": self.zero_points[0]} if int8 else {}
        y_scale = {"scale": self.output_scale, "zero_point": self.zero_points[1]} if int8 else {}
        x = b.input("x", (self.batch, *self.size, self.channels), self.dtype, **x_scale)
        shape = (1, *self.kernel, out)
        if int8:
            count = out if self.per_channel else 1
            scales = [self.weight_scale * (1 + i % 5) / 3 for i in range(count)]
            low, high = self.weight_range
            weights = rng.integers(low, high + 1, shape).astype(np.int8)
            w = b.constant("w", weights, scales=scales, axis=3)
            values = rng.integers(-2000, 2000, out).astype(np.int32)
        else:
            w = b.constant("w", rng.normal(size=shape).astype(np.float32))
            values = rng.normal(size=out).astype(np.float32)
        operands: list[int | None] = [x, w]
        if self.bias:
            operands.append(b.constant("bias", values))
        y = b.tensor("y", self.output_shape(), self.dtype, **y_scale)
        options = {
            "padding": self.padding,
            "stride_h": self.stride[0],
            "stride_w": self.stride[1],
            "dilation_h_factor": self.dilation[0],
            "dilation_w_factor": self.dilation[1],
            "depth_multiplier": self.multiplier,
            "fused_activation_function": self.activation,
        }
        b.op("DEPTHWISE_CONV_2D", operands, [y], options, version=3)
        return b.build([y])

    def output_shape(self) -> tuple[int, ...]:
        """NHWC; a dimension is below 1 if the filter does not fit."""
        rows = []
        for i in range(2):
            reach = (self.kernel[i] - 1) * self.dilation[i] + 1
            extent = self.size[i] if self.padding == "SAME" else self.size[i] - reach + 1
            rows.append(-(-extent // self.stride[i]))
        return (self.batch, *rows, self.channels * self.multiplier)


CASES = {
    "same": Depthwise(),
    "valid": Depthwise(padding="VALID"),
    "stride_2": Depthwise(stride=(2, 2)),
    "stride_differs": Depthwise(stride=(1, 3), size=(5, 9)),
    "even_size_stride_2": Depthwise(size=(8, 8), stride=(2, 2)),
    "dilated": Depthwise(size=(9, 8), dilation=(2, 3)),
    "dilated_valid": Depthwise(size=(9, 9), dilation=(3, 2), padding="VALID"),
    "multiplier_2": Depthwise(multiplier=2),
    "multiplier_3_relu6": Depthwise(multiplier=3, activation="RELU6", output_scale=0.03),
    "one_channel_multiplier_8": Depthwise(channels=1, multiplier=8, kernel=(10, 4), size=(12, 6)),
    "relu": Depthwise(activation="RELU"),
    "relu_n1_to_1": Depthwise(activation="RELU_N1_TO_1", output_scale=0.01),
    "per_tensor": Depthwise(per_channel=False),
    "no_bias": Depthwise(bias=False),
    "batch_2": Depthwise(batch=2),
    "filter_covers_input": Depthwise(size=(3, 4), kernel=(3, 4), padding="VALID"),
    "filter_larger_than_input": Depthwise(size=(2, 2), kernel=(5, 5)),
    "zero_points_at_ends": Depthwise(zero_points=(-128, 127)),
    "saturates": Depthwise(output_scale=0.001),
    "scale_above_1": Depthwise(output_scale=0.0002, weight_scale=0.05),
    "float": Depthwise(dtype="float32"),
    "float_multiplier_2_relu6": Depthwise(
        dtype="float32", multiplier=2, stride=(2, 1), activation="RELU6"
    ),
    "float_no_bias_dilated": Depthwise(dtype="float32", bias=False, dilation=(2, 2)),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_reference_is_litert(case: Depthwise) -> None:
    assert_reference_is_litert(case.model())


pairs = st.tuples(st.integers(1, 4), st.integers(1, 4))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    kernel=pairs,
    stride=pairs,
    dilation=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.sampled_from(["SAME", "VALID"]),
    channels=st.integers(1, 5),
    multiplier=st.integers(1, 3),
    zero_points=st.tuples(st.integers(-128, 127), st.integers(-128, 127)),
    output_scale=st.floats(1e-3, 1.0),
    weight_scale=st.floats(1e-4, 0.5),
)
def test_any_layer(**fields: object) -> None:
    case = replace(Depthwise(), **fields)  # type: ignore[arg-type]
    assume(min(case.output_shape()) > 0)
    assert_reference_is_litert(case.model())


def _node(weights: Tensor, **changes: object) -> Node:
    scale = Quantization((0.5,), (0,))
    x = Tensor(0, "x", (1, 4, 4, 2), "int8", scale)
    y = Tensor(2, "y", (1, 4, 4, 2), "int8", scale)
    options = {"padding": "SAME", "stride_h": 1, "stride_w": 1}
    node = Node(0, "DEPTHWISE_CONV_2D", 1, (x, weights), (y,), options)
    return replace(node, **changes)  # type: ignore[arg-type]


def _weights(shape: tuple[int, ...] = (1, 3, 3, 2), **changes: object) -> Tensor:
    data = np.full(shape, 127, np.int8)
    tensor = Tensor(1, "w", shape, "int8", Quantization((0.1,), (0,)), data)
    return replace(tensor, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        (_node(_weights(), inputs=()), "input 0 is absent"),
        (_node(_weights(), options={}), "options padding, stride_h, stride_w"),
        (_node(_weights((3, 3, 2))), "weights of shape"),
        (_node(_weights((2, 3, 3, 2))), "weights of shape"),
        (_node(_weights((1, 3, 3, 3))), "3 filters for 2 input"),
        (_node(_weights(quantization=None)), "without a scale"),
        (_node(_weights(quantization=Quantization((0.1, 0.1), (0, 0), 0))), "along dimension 0"),
        (_node(_weights(quantization=Quantization((-1.0,), (0,)))), "negative or not finite"),
        (_node(_weights(), outputs=(Tensor(2, "y", (), "int8"),)), "has no scale"),
        (
            _node(_weights(), outputs=(Tensor(2, "y", (), "int8", Quantization((1.0,), (0,))),)),
            "four dimensions",
        ),
    ],
)
def test_problems(node: Node, reason: str) -> None:
    operator = find_operator("DEPTHWISE_CONV_2D")
    assert operator is not None
    assert any(reason in problem.reason for problem in [*operator.check(node)])


def test_bias_that_overflows_the_accumulator() -> None:
    bias = Tensor(3, "b", (2,), "int32", None, np.array([2**31 - 1, 0], np.int32))
    node = _node(_weights())
    operator = find_operator("DEPTHWISE_CONV_2D")
    assert operator is not None
    problems = list(operator.check(replace(node, inputs=(*node.inputs, bias))))
    assert ["overflow" in p.reason for p in problems] == [True]


def test_macs() -> None:
    node = read_graph(Depthwise(multiplier=2).model(), "test").nodes[0]
    operator = find_operator("DEPTHWISE_CONV_2D")
    assert operator is not None
    assert operator.macs(node) == 6 * 7 * 8 * 9
