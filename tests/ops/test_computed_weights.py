"""Convolutions and dense layers whose weights or biases are computed at run time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import layer_cases as cases
import numpy as np
import pytest
from layer_cases import Layer, Operand, random_constant

from tvmtiny.ops import Node

FAMILY = "computed_weights"
#: Sums are computed in another order.
FLOAT_TOLERANCE = 3e-5

_X = Operand((3, 12), scale=0.04, zero_point=-3)
_W = Operand((5, 12), scale=0.02, zero_point=7)
_BIAS = Operand((5,), "int32", limits=(-20000, 20000))
_Y = Operand((3, 5), scale=0.4, zero_point=5)
_IMAGE = Operand((1, 5, 6, 4), scale=0.04, zero_point=-3)
_WINDOW = {"padding": "SAME", "stride_h": 1, "stride_w": 1}
_WINDOW |= {"dilation_h_factor": 1, "dilation_w_factor": 1, "fused_activation_function": "NONE"}


def _dense(*more: Operand, x: Operand = _X, w: Operand = _W, y: Operand = _Y) -> Layer:
    options = {"fused_activation_function": "NONE", "weights_format": "DEFAULT"}
    return Layer("FULLY_CONNECTED", (x, w, *more), y, options | {"keep_num_dims": False}, 4)


def _window(operator: str, *more: Operand, **options: Any) -> Layer:
    depthwise = operator == "DEPTHWISE_CONV_2D"
    w = Operand((1, 3, 3, 4) if depthwise else (5, 3, 3, 4), scale=0.02)
    y = Operand((1, 5, 6, 4 if depthwise else 5), scale=0.4, zero_point=5)
    found = _WINDOW | ({"depth_multiplier": 1} if depthwise else {}) | options
    return Layer(operator, (_IMAGE, w, *more), y, found, 3)


def _float(layer: Layer) -> Layer:
    inputs = tuple(replace(o, dtype="float32", limits=(-2, 2)) for o in layer.inputs)
    return replace(layer, inputs=inputs, output=replace(layer.output, dtype="float32"))


TABLES = {
    "FULLY_CONNECTED": {
        "weights": _dense(),
        "weights_and_bias": _dense(_BIAS),
        "bias": _dense(_BIAS, w=random_constant((5, 12), scale=0.02)),
        "constant_bias": _dense(random_constant((5,), "int32", limits=(-2000, 2000))),
        "constant_input": _dense(x=random_constant((3, 12), scale=0.04, zero_point=-3)),
        "float": _float(_dense(_BIAS)),
    },
    "CONV_2D": {
        "weights": _window("CONV_2D", _BIAS),
        "bias_only": replace(
            _window("CONV_2D"),
            inputs=(_IMAGE, random_constant((5, 3, 3, 4), scale=0.02), _BIAS),
        ),
        "relu": _window("CONV_2D", _BIAS, fused_activation_function="RELU"),
        "float": _float(_window("CONV_2D", _BIAS)),
    },
    "DEPTHWISE_CONV_2D": {
        "weights": _window("DEPTHWISE_CONV_2D", replace(_BIAS, shape=(4,))),
        "float": _float(_window("DEPTHWISE_CONV_2D", replace(_BIAS, shape=(4,)))),
    },
}
_EVERY = {f"{o}/{name}": layer for o, table in TABLES.items() for name, layer in table.items()}


@pytest.mark.parametrize("layer", _EVERY.values(), ids=_EVERY)
def test_reference_is_litert(layer: Layer) -> None:
    cases.assert_is_litert(layer, 1e-4 if layer.output.dtype == "float32" else 0)


def _refused(layer: Layer, **changes: Any) -> Node:
    node = layer.node()
    return replace(node, inputs=(*node.inputs[:1], replace(node.input(1), **changes)))


def test_problems() -> None:
    long = _dense(x=replace(_X, shape=(3, 40_000)), w=replace(_W, shape=(5, 40_000)))
    assert any("can overflow 32 bits" in reason for reason in cases.problems(long))
    wide = _dense(
        *(Operand((5,), "int64", value=np.zeros(5)),),
        x=replace(_X, dtype="int16", zero_point=0),
        w=replace(_W, zero_point=0),
        y=replace(_Y, dtype="int16", zero_point=0),
    )
    assert any("computed at run time" in reason for reason in cases.problems(wide))
    node = _refused(_dense(), quantization=None)
    cases.assert_refused("FULLY_CONNECTED", node, "without a scale")
