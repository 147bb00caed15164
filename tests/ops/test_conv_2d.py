"""CONV_2D against LiteRT's reference kernels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from litert_check import assert_reference_is_litert
from tflite_builder import ModelBuilder
from zeroed_weights import zero_blocks

from tests.ops.three_ways import SideBySide
from tvmtiny.frontend.reader import read_graph
from tvmtiny.ops import Compute, Node, Oracle, Quantization, Tensor, find_operator

OPERATOR = "CONV_2D"
#: Sums are computed in another order.
FLOAT_TOLERANCE = 3e-5


@dataclass(frozen=True)
class Conv:
    """One layer; builds the model that holds only this layer."""

    size: tuple[int, int] = (6, 7)
    channels: int = 4
    filters: int = 5
    kernel: tuple[int, int] = (3, 3)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: str = "SAME"
    activation: str = "NONE"
    dtype: str = "int8"
    batch: int = 1
    bias: str = "given"
    per_channel: bool = True
    zero_points: tuple[int, int] = (-3, 5)
    input_scale: float = 0.04
    output_scale: float = 0.2
    weight_scale: float = 0.02
    weight_range: tuple[int, int] = (-127, 127)
    bias_range: int = 2000
    groups: int = 1
    #: Share of the blocks of two filters and four inputs that are zero.
    zeros: float = 0.0

    def model(self) -> bytes:
        """The bytes of the .tflite file."""
        rng = np.random.default_rng(1)
        int8 = self.dtype == "int8"
        b = ModelBuilder()
        x_scale = {"scale": self.input_scale, "zero_point": self.zero_points[0]} if int8 else {}
        y_scale = {"scale": self.output_scale, "zero_point": self.zero_points[1]} if int8 else {}
        x = b.input("x", (self.batch, *self.size, self.channels), self.dtype, **x_scale)
        shape = (self.filters, *self.kernel, self.channels // self.groups)
        if int8:
            count = self.filters if self.per_channel else 1
            scales = [self.weight_scale * (1 + i % 5) / 3 for i in range(count)]
            low, high = self.weight_range
            weights = rng.integers(low, high + 1, shape).astype(np.int8)
            if self.zeros:
                flat = zero_blocks(weights.reshape(self.filters, -1), rng, self.zeros)
                weights = flat.reshape(shape)
            w = b.constant("w", weights, scales=scales, axis=0)
            reach = self.bias_range
            values = rng.integers(-reach, reach, self.filters).astype(np.int32)
        else:
            w = b.constant("w", rng.normal(size=shape).astype(np.float32))
            values = rng.normal(size=self.filters).astype(np.float32)
        operands: list[int | None] = [x, w]
        if self.bias != "none":
            operands.append(b.constant("bias", values if self.bias == "given" else values * 0))
        y = b.tensor("y", self.output_shape(), self.dtype, **y_scale)
        options = {
            "padding": self.padding,
            "stride_h": self.stride[0],
            "stride_w": self.stride[1],
            "dilation_h_factor": self.dilation[0],
            "dilation_w_factor": self.dilation[1],
            "fused_activation_function": self.activation,
        }
        b.op(OPERATOR, operands, [y], options, version=3)
        return b.build([y])

    def output_shape(self) -> tuple[int, ...]:
        """NHWC; a dimension is below 1 if the filter does not fit."""
        rows = []
        for i in range(2):
            reach = (self.kernel[i] - 1) * self.dilation[i] + 1
            extent = self.size[i] if self.padding == "SAME" else self.size[i] - reach + 1
            rows.append(-(-extent // self.stride[i]))
        return (self.batch, *rows, self.filters)


_POINT = Conv(kernel=(1, 1))
_INT8 = {
    "same": Conv(),
    "valid": Conv(padding="VALID"),
    "stride_2": Conv(stride=(2, 2)),
    "stride_2_even_size": Conv(size=(8, 8), stride=(2, 2)),
    "stride_2_valid": Conv(size=(8, 7), stride=(2, 2), padding="VALID"),
    "stride_differs": Conv(size=(5, 9), stride=(1, 3)),
    "stride_above_kernel": Conv(size=(9, 9), kernel=(2, 2), stride=(3, 4)),
    "even_kernel": Conv(kernel=(2, 4)),
    "dilated": Conv(size=(9, 8), dilation=(2, 3)),
    "dilated_valid": Conv(size=(9, 9), dilation=(3, 2), padding="VALID"),
    "dilated_stride_2": Conv(size=(9, 9), dilation=(2, 2), stride=(2, 2)),
    "pointwise": _POINT,
    "pointwise_stride_2": replace(_POINT, stride=(2, 2)),
    "pointwise_one_channel": replace(_POINT, channels=1, filters=1),
    "pointwise_deep": replace(_POINT, size=(3, 5), channels=64, filters=16, output_scale=0.5),
    "pointwise_one_pixel": replace(_POINT, size=(1, 1), channels=9, filters=7),
    "column_kernel": Conv(kernel=(5, 1)),
    "row_kernel": Conv(kernel=(1, 4), stride=(1, 2)),
    "one_row_image": Conv(size=(1, 20), kernel=(1, 5), channels=3),
    "one_column_image": Conv(size=(20, 1), kernel=(3, 1), stride=(2, 1), channels=5),
    "one_input_channel": Conv(channels=1, filters=8),
    "one_filter": Conv(filters=1),
    "large_kernel_one_channel": Conv(size=(12, 6), channels=1, filters=3, kernel=(10, 4)),
    "odd_channels": Conv(size=(5, 5), channels=7, filters=11),
    "prime_sizes": Conv(size=(7, 11), channels=3, filters=13, stride=(2, 1)),
    "many_filters": Conv(size=(4, 4), channels=2, filters=32),
    "filter_covers_input": Conv(size=(3, 4), kernel=(3, 4), padding="VALID"),
    "filter_larger_than_input": Conv(size=(2, 2), kernel=(5, 5)),
    "per_tensor": Conv(per_channel=False),
    "batch_2": Conv(batch=2),
    "batch_2_pointwise": replace(_POINT, batch=2),
    "batch_3_stride_2": Conv(batch=3, stride=(2, 2), size=(5, 4)),
    "blocks_of_zeros": Conv(channels=8, filters=6, zeros=0.8),
    "groups": Conv(channels=6, filters=9, groups=3, stride=(2, 1)),
    "groups_of_one_channel": Conv(channels=3, filters=3, groups=3, padding="VALID"),
    "groups_pointwise": replace(_POINT, channels=8, filters=4, groups=2),
    "relu": Conv(activation="RELU"),
    "relu6": Conv(activation="RELU6", output_scale=0.03, zero_points=(-3, -128)),
    "relu_n1_to_1": Conv(activation="RELU_N1_TO_1", output_scale=0.01),
    "relu_pointwise": replace(_POINT, activation="RELU"),
    "zero_points_low": Conv(zero_points=(-128, -128)),
    "zero_points_high": Conv(zero_points=(127, 127)),
    "saturates": Conv(output_scale=0.001),
    "scale_above_1": Conv(output_scale=0.0002, weight_scale=0.05),
    "tiny_scale": Conv(weight_scale=1e-9),
    "scale_vanishes": Conv(weight_scale=1e-13),
    "halves": Conv(input_scale=0.5, weight_scale=0.75, output_scale=16.0, filters=15),
    "extreme_weights": Conv(weight_range=(-128, -127), output_scale=2.0),
    "large_bias": Conv(bias_range=2**30, output_scale=2**15),
}
CASES = _INT8 | {
    f"float_{name}": replace(_INT8[name], dtype="float32")
    for name in (
        "same",
        "stride_2_valid",
        "dilated",
        "pointwise",
        "column_kernel",
        "odd_channels",
        "batch_2",
        "groups",
        "relu",
        "relu6",
        "relu_n1_to_1",
    )
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_reference_is_litert(case: Conv) -> None:
    assert_reference_is_litert(case.model())


@st.composite
def layers(draw: st.DrawFn) -> Conv:
    small = st.tuples(st.integers(1, 4), st.integers(1, 4))
    dtype = draw(st.sampled_from(["int8", "int8", "int8", "float32"]))
    kernel, dilation = draw(small), draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    padding = draw(st.sampled_from(["SAME", "VALID"]))
    spans = [
        (k - 1) * d + 1 if padding == "VALID" else 1 for k, d in zip(kernel, dilation, strict=True)
    ]
    return Conv(
        size=draw(st.tuples(*(st.integers(span, max(span + 2, 9)) for span in spans))),
        channels=draw(st.integers(1, 9)),
        filters=draw(st.integers(1, 9)),
        kernel=kernel,
        stride=draw(small),
        dilation=dilation,
        padding=padding,
        activation=draw(st.sampled_from(["NONE", "RELU", "RELU6", "RELU_N1_TO_1"])),
        dtype=dtype,
        batch=draw(st.integers(1, 2)),
        per_channel=draw(st.booleans()),
        zero_points=draw(st.tuples(st.integers(-128, 127), st.integers(-128, 127))),
        input_scale=draw(st.floats(1e-3, 0.5)),
        output_scale=draw(st.floats(1e-3, 1.0)),
        weight_scale=draw(st.floats(1e-4, 0.1)),
    )


@settings(max_examples=40, deadline=None, derandomize=True)
@given(case=layers())
def test_any_layer(case: Conv) -> None:
    assert_reference_is_litert(case.model())


# Each example is a build, so shrinking a failure would take minutes.
@settings(max_examples=3, deadline=None, derandomize=True, phases=[Phase.generate])
@given(cases=st.lists(layers(), min_size=8, max_size=12))
def test_any_layer_in_c(cases: list[Conv]) -> None:
    named = {str(i): case for i, case in enumerate(cases)}
    with TemporaryDirectory() as folder:
        SideBySide("conv_2d", named, FLOAT_TOLERANCE).check_host("cortex-m4", Path(folder))


_SCALE = Quantization((0.5,), (0,))
_X = Tensor(0, "x", (1, 4, 4, 2), "int8", _SCALE)
_Y = Tensor(2, "y", (1, 4, 4, 3), "int8", _SCALE)
_W = Tensor(
    1, "w", (3, 3, 3, 2), "int8", Quantization((0.1,), (0,)), np.full((3, 3, 3, 2), 127, np.int8)
)
_OPTIONS = {"padding": "SAME", "stride_h": 1, "stride_w": 1}


def _node(
    x: Tensor | None = _X,
    w: Tensor | None = _W,
    *rest: Tensor,
    y: Tensor = _Y,
    **options: object,
) -> Node:
    return Node(0, OPERATOR, 1, (x, w, *rest), (y,), {**_OPTIONS, **options})


def _bias(**changes: object) -> Tensor:
    data = np.full(3, 2**31 - 1, np.int32)
    return replace(Tensor(3, "b", (3,), "int32", None, data), **changes)  # type: ignore[arg-type]


_REFUSED = [
    (Node(0, OPERATOR, 1, (), (_Y,), _OPTIONS), "input 0 is absent"),
    (Node(0, OPERATOR, 1, (_X,), (_Y,), _OPTIONS), "input 1 is absent"),
    (Node(0, OPERATOR, 1, (_X, _W), (), _OPTIONS), "no output"),
    (Node(0, OPERATOR, 1, (_X, _W), (_Y,)), "options padding, stride_h, stride_w"),
    (_node(w=replace(_W, shape=(3, 3, 3))), "four dimensions"),
    (_node(w=replace(_W, shape=(3, 3, 3, 1))), "of depth 1 for 2 input channels"),
    (_node(y=replace(_Y, shape=(1, 4, 4, 2))), "2 output channels"),
    (_node(y=replace(_Y, shape=(2, 4, 4, 3))), "batch size"),
    (_node(y=replace(_Y, shape=(1, 2, 4, 3))), "the output is 2x4"),
    (_node(replace(_X, shape=(4, 4, 2))), "four dimensions"),
    (_node(y=replace(_Y, shape=())), "four dimensions"),
    (_node(y=replace(_Y, dtype="float32")), "int8 input with float32 output"),
    (_node(y=replace(_Y, quantization=None)), "has no scale"),
    (_node(w=replace(_W, dtype="float32")), "float32 weights"),
    (_node(w=replace(_W, quantization=None)), "without a scale"),
    (_node(w=replace(_W, quantization=Quantization((0.1,) * 3, (0,) * 3, 3))), "dimension 3"),
    (_node(w=replace(_W, quantization=Quantization((0.1,) * 2, (0,) * 2))), "2 weight scales"),
    (_node(w=replace(_W, quantization=Quantization((-1.0,), (0,)))), "negative or not finite"),
    (_node(_X, _W, _bias()), "overflow"),
    (_node(_X, _W, _bias(dtype="float32")), "float32 bias"),
    (_node(_X, _W, _bias(shape=(2,))), "2 bias values"),
    (_node(stride_h=0), "below 1"),
    (_node(padding="EXPLICIT"), "padding EXPLICIT"),
    (_node(fused_activation_function="TANH"), "TANH"),
]


@pytest.mark.parametrize(("node", "reason"), _REFUSED)
def test_problems(node: Node, reason: str) -> None:
    operator = find_operator(OPERATOR)
    assert operator is not None
    reasons = [problem.reason for problem in operator.check(node)]
    assert any(reason in text for text in reasons), reasons


def test_accepted() -> None:
    operator = find_operator(OPERATOR)
    assert operator is not None
    assert list(operator.check(_node())) == []


@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_no_bias_is_a_bias_of_zeros(dtype: str) -> None:
    """LiteRT refuses such a node; TFLM does not."""
    operator = find_operator(OPERATOR)
    assert operator is not None
    arrays = []
    for bias in ("none", "zeros"):
        node = read_graph(Conv(dtype=dtype, bias=bias).model(), "test").nodes[0]
        compute = operator.compute(node, Oracle.TFLM)
        assert isinstance(compute, Compute)
        arrays.append([a for a in compute.arguments if isinstance(a, np.ndarray)])
    for none, zeros in zip(*arrays, strict=True):
        np.testing.assert_array_equal(none, zeros)


def test_macs() -> None:
    node = read_graph(Conv().model(), "test").nodes[0]
    operator = find_operator(OPERATOR)
    assert operator is not None
    assert operator.macs(node) == 6 * 7 * 5 * 3 * 3 * 4
