"""int16 activations with int8 weights, and pools, against LiteRT's reference kernels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import layer_cases as cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_cases import Layer, Operand, numbers, random_constant

FAMILY = "int16"

_X = Operand((1, 4, 5, 6), "int16", 0.001)


def _weights(shape: tuple[int, ...], axis: int, per_channel: bool = True) -> Operand:
    scales = tuple(0.02 * (1 + i % 3) for i in range(shape[axis] if per_channel else 1))
    return random_constant(shape, "int8", scales=scales, axis=axis)


def _bias(dtype: str, count: int = 6) -> Operand:
    return numbers(np.arange(count) * 30_001 - 70_000, dtype)


def _conv(bias: str = "int64", y: float = 0.02, groups: int = 1, **fields: Any) -> Layer:
    options = {"padding": "SAME", "stride_h": 1, "stride_w": 1, "quantized_bias_type": bias}
    options["fused_activation_function"] = fields.pop("activation", "NONE")
    weights = _weights((6, 3, 3, 6 // groups), 0, **fields)
    output = Operand((1, 4, 5, 6), "int16", y)
    version = 8 if bias == "int32" else 4
    return Layer("CONV_2D", (_X, weights, _bias(bias)), output, options, version)


def _depthwise(bias: bool = True, y: float = 0.005, **fields: Any) -> Layer:
    options = {"padding": "SAME", "stride_h": 2, "stride_w": 1, "depth_multiplier": 1}
    inputs = (_X, _weights((1, 3, 2, 6), 3, **fields), *([_bias("int64")] if bias else []))
    return Layer("DEPTHWISE_CONV_2D", inputs, Operand((1, 2, 5, 6), "int16", y), options, 5)


def _dense(bias: str = "int64", y: float = 0.01, activation: str = "NONE", **fields: Any) -> Layer:
    x = replace(_X, shape=(3, 20))
    inputs = [x, _weights((6, 20), 0, **fields)]
    options: dict[str, Any] = {"fused_activation_function": activation}
    if bias:
        inputs.append(_bias(bias))
        options["quantized_bias_type"] = bias
    version = 11 if bias == "int32" else 12
    return Layer("FULLY_CONNECTED", tuple(inputs), Operand((3, 6), "int16", y), options, version)


def _pool(operator: str, activation: str = "NONE", padding: str = "SAME") -> Layer:
    options = {"padding": padding, "stride_h": 2, "stride_w": 1}
    options |= {"filter_height": 2, "filter_width": 3, "fused_activation_function": activation}
    shape = (1, 2, 5, 6) if padding == "SAME" else (1, 2, 3, 6)
    return Layer(operator, (_X,), replace(_X, shape=shape), options, 3)


TABLES = {
    "CONV_2D": {
        "int64_bias": _conv(),
        "int32_bias": _conv("int32"),
        "per_tensor": _conv(per_channel=False),
        "relu": _conv(activation="RELU"),
        "groups": _conv(groups=2),
        "saturates": _conv(y=0.0001),
    },
    "DEPTHWISE_CONV_2D": {
        "bias": _depthwise(),
        "no_bias": _depthwise(bias=False),
        "per_tensor": _depthwise(per_channel=False),
    },
    "FULLY_CONNECTED": {
        "int64_bias": _dense(),
        "int32_bias": _dense("int32"),
        "no_bias": _dense(""),
        "per_tensor": _dense(per_channel=False),
        "relu6": _dense(activation="RELU6"),
    },
    "AVERAGE_POOL_2D": {
        "same": _pool("AVERAGE_POOL_2D"),
        "valid_relu": _pool("AVERAGE_POOL_2D", "RELU", "VALID"),
    },
    "MAX_POOL_2D": {
        "same": _pool("MAX_POOL_2D"),
        "valid_relu6": _pool("MAX_POOL_2D", "RELU6", "VALID"),
    },
}
_EVERY = {f"{o}/{name}": layer for o, table in TABLES.items() for name, layer in table.items()}


@pytest.mark.parametrize("layer", _EVERY.values(), ids=_EVERY)
def test_reference_is_litert(layer: Layer) -> None:
    cases.assert_is_litert(layer)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    build=st.sampled_from([_conv, _depthwise, _dense]),
    y=st.floats(0.0005, 0.1),
    per_channel=st.booleans(),
)
def test_any_scale(build: Any, y: float, per_channel: bool) -> None:
    cases.assert_is_litert(build(y=y, per_channel=per_channel))


def test_sums_for_which_litert_is_undefined_are_refused() -> None:
    for layer in (_conv(y=1e-9), _depthwise(y=1e-9), _dense(y=1e-9)):
        (reason,) = cases.problems(layer)
        assert "makes sums overflow" in reason
    # 20 products of up to 2^22 each, times 6e-5 / 1e-8.
    (reason,) = cases.problems(_dense(y=1e-8))
    assert "can exceed 32 bits" in reason


def test_scales_that_no_shift_can_hold_are_refused() -> None:
    x = replace(_X, dtype="int8", scale=1e30)
    layer = replace(_conv("int32"), inputs=(x, *_conv("int32").inputs[1:]))
    layer = replace(layer, output=replace(layer.output, dtype="int8", scale=1e-30))
    (reason,) = cases.problems(layer)
    assert "makes sums overflow" in reason


def test_what_litert_has_no_kernel_for_is_refused() -> None:
    layer = _conv()
    without = replace(layer, inputs=layer.inputs[:2])
    assert cases.problems(without) == ["no bias"]
    layer = _depthwise()
    narrow = replace(layer, inputs=(*layer.inputs[:2], _bias("int32")))
    assert cases.problems(narrow) == ["int32 bias"]
    shifted = replace(_dense(), output=Operand((3, 6), "int16", 0.01, zero_point=3))
    assert cases.problems(shifted) == ["tensor y has a zero point"]


def test_sums_beyond_32_bits_need_a_wide_bias() -> None:
    layer = _conv("int32")
    large = numbers([2**31 - 1] * 6)
    found = cases.problems(replace(layer, inputs=(*layer.inputs[:2], large)))
    assert found == ["the accumulator can overflow"]
    wide = numbers([2**33] * 6, "int64")
    assert cases.problems(replace(_conv(), inputs=(*layer.inputs[:2], wide))) == []
