"""Layers shared by the tests of both pooling operators."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import strategies as st
from tflite_builder import ModelBuilder

from tvmtiny.ops import Node, Quantization, Tensor, find_operator


@dataclass(frozen=True)
class Pool:
    """One layer; builds the model that holds only this layer."""

    operator: str = "AVERAGE_POOL_2D"
    size: tuple[int, int] = (6, 7)
    channels: int = 3
    kernel: tuple[int, int] = (2, 2)
    stride: tuple[int, int] = (2, 2)
    padding: str = "VALID"
    activation: str = "NONE"
    dtype: str = "int8"
    batch: int = 1
    scale: float = 0.04
    zero_point: int = -3
    version: int = 2

    def model(self) -> bytes:
        """The bytes of the .tflite file."""
        b = ModelBuilder()
        scale = {"scale": self.scale, "zero_point": self.zero_point}
        if self.dtype == "int16":
            scale["zero_point"] = 0
        quantization = {} if self.dtype == "float32" else scale
        x = b.input("x", (self.batch, *self.size, self.channels), self.dtype, **quantization)
        y = b.tensor("y", self.output_shape(), self.dtype, **quantization)
        options = {
            "padding": self.padding,
            "stride_h": self.stride[0],
            "stride_w": self.stride[1],
            "filter_height": self.kernel[0],
            "filter_width": self.kernel[1],
            "fused_activation_function": self.activation,
        }
        b.op(self.operator, [x], [y], options, self.version)
        return b.build([y])

    def output_shape(self) -> tuple[int, ...]:
        """NHWC; a dimension is below 1 if the window does not fit."""
        rows = []
        for i in range(2):
            extent = self.size[i] if self.padding == "SAME" else self.size[i] - self.kernel[i] + 1
            rows.append(-(-extent // self.stride[i]))
        return (self.batch, *rows, self.channels)


def cases(operator: str) -> dict[str, Pool]:
    """The case table of one of the two operators."""
    plain = Pool(operator)
    table = {
        "valid": plain,
        "same": replace(plain, padding="SAME"),
        "same_3x3_stride_1": replace(plain, padding="SAME", kernel=(3, 3), stride=(1, 1)),
        "overlapping": replace(plain, kernel=(3, 2), stride=(1, 1)),
        "gaps": replace(plain, kernel=(1, 2), stride=(3, 3)),
        "one_tap": replace(plain, kernel=(1, 1), stride=(1, 1)),
        "global": replace(plain, kernel=(6, 7), stride=(6, 7)),
        "window_larger_than_input": replace(plain, padding="SAME", size=(2, 3), kernel=(7, 6)),
        "same_with_stride": replace(plain, padding="SAME", kernel=(5, 4), stride=(3, 2)),
        "padded_one_way": replace(plain, padding="SAME", size=(6, 5), kernel=(1, 4)),
        "batch_2": replace(plain, batch=2, padding="SAME", kernel=(3, 3)),
        "relu": replace(plain, activation="RELU"),
        "relu6": replace(plain, activation="RELU6", zero_point=-128),
        "relu_n1_to_1": replace(plain, activation="RELU_N1_TO_1", padding="SAME"),
        "zero_point_at_end": replace(plain, zero_point=127, padding="SAME", kernel=(3, 3)),
    }
    floats = ("valid", "same_with_stride", "relu6", "window_larger_than_input")
    return table | {f"float_{name}": replace(table[name], dtype="float32") for name in floats}


#: Keyword arguments of `Pool` for property tests.
any_pool = st.fixed_dictionaries(
    {
        "size": st.tuples(st.integers(1, 9), st.integers(1, 9)),
        "channels": st.integers(1, 4),
        "kernel": st.tuples(st.integers(1, 6), st.integers(1, 6)),
        "stride": st.tuples(st.integers(1, 4), st.integers(1, 4)),
        "padding": st.sampled_from(["SAME", "VALID"]),
        "activation": st.sampled_from(["NONE", "RELU", "RELU6", "RELU_N1_TO_1"]),
        "dtype": st.sampled_from(["int8", "int8", "float32"]),
        "batch": st.integers(1, 2),
        "scale": st.floats(1e-3, 1.0),
        "zero_point": st.integers(-128, 127),
    }
)

_SCALE = Quantization((0.5,), (0,))
_X = Tensor(0, "x", (1, 4, 4, 2), "int8", _SCALE)
_Y = Tensor(1, "y", (1, 2, 2, 2), "int8", _SCALE)
_OPTIONS = {"padding": "VALID", "stride_h": 2, "stride_w": 2, "filter_height": 2, "filter_width": 2}


def _node(x: Tensor = _X, y: Tensor = _Y, **options: object) -> Node:
    return Node(0, "AVERAGE_POOL_2D", 1, (x,), (y,), {**_OPTIONS, **options})


#: Nodes that both operators must refuse, each with a part of the reason.
REFUSED = [
    (Node(0, "AVERAGE_POOL_2D", 1, (), (_Y,), _OPTIONS), "input 0 is absent"),
    (Node(0, "AVERAGE_POOL_2D", 1, (_X,), (_Y,)), "options padding"),
    (_node(replace(_X, shape=(4, 4, 2))), "four dimensions"),
    (_node(y=replace(_Y, shape=())), "four dimensions"),
    (_node(stride_h=0), "below 1"),
    (_node(filter_width=0), "below 1"),
    (_node(filter_width=5), "give 2x0"),
    (_node(padding="EXPLICIT"), "padding EXPLICIT"),
    (_node(fused_activation_function="TANH"), "TANH"),
    (_node(y=replace(_Y, shape=(1, 2, 2, 3))), "batch or channels"),
    (_node(y=replace(_Y, quantization=Quantization((0.25,), (0,)))), "quantized differently"),
    (_node(y=replace(_Y, quantization=Quantization((0.5,), (1,)))), "quantized differently"),
    (_node(y=replace(_Y, quantization=None)), "no scale"),
    (_node(y=replace(_Y, dtype="float32")), "int8 input with float32"),
]


def assert_refused(operator: str, node: Node, reason: str) -> None:
    """Assert that `operator` refuses `node` and says `reason`."""
    found = find_operator(operator)
    assert found is not None
    reasons = [problem.reason for problem in found.check(node)]
    assert any(reason in text for text in reasons), reasons


parametrize_refused = pytest.mark.parametrize(("node", "reason"), REFUSED)
