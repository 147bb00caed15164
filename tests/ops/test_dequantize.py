"""DEQUANTIZE against LiteRT's reference kernels."""

from __future__ import annotations

from dataclasses import replace

import layer_cases as cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_cases import Layer, Operand, random_constant

from tvmtiny.ops import Node, Oracle, Quantization, Tensor
from tvmtiny.oracle import run_litert

OPERATOR = "DEQUANTIZE"
FAMILY = "conversion"


def _layer(x: Operand) -> Layer:
    return Layer(OPERATOR, (x,), Operand(x.shape, "float32"), {})


CASES = {
    "int8": _layer(Operand((1, 3, 4, 5), "int8", 0.0123456789, -5)),
    "uint8": _layer(Operand((1, 3, 4, 5), "uint8", 0.0123456789, 130)),
    "int16": _layer(Operand((40,), "int16", 0.000123456789)),
    "scalar": _layer(Operand((), "int8", 0.1, 3)),
    "float16": _layer(random_constant((3, 5), "float16")),
    "int8_constant": _layer(random_constant((3, 5), scales=(0.1, 0.02, 3.0))),
    "rank_5": _layer(Operand((1, 2, 1, 3, 2), "int8", 0.1, 3)),
}
#: A type that activations do not have, but LiteRT's kernel takes.
_PER_CHANNEL_CASES = {
    "per_channel": _layer(
        Operand((2, 3, 4), scales=(0.1, 0.03, 0.4), zero_points=(0, -20, 127), axis=1)
    ),
    "per_channel_last": _layer(Operand((2, 3), scales=(0.1, 0.03, 0.4), axis=1)),
}
_ALL = CASES | _PER_CHANNEL_CASES


@pytest.mark.parametrize("layer", _ALL.values(), ids=_ALL)
def test_reference_is_litert(layer: Layer) -> None:
    cases.assert_is_litert(layer)


_EVERY = np.arange(-128, 128, dtype=np.int8)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(scale=st.floats(1e-6, 1e3), zero_point=cases.zero_point)
def test_every_value(scale: float, zero_point: int) -> None:
    layer = _layer(Operand((256,), "int8", scale, zero_point))
    expected = run_litert(layer.model(), [_EVERY])[layer.node().output.index]
    for oracle in Oracle:
        np.testing.assert_array_equal(cases.reference(layer, [_EVERY], oracle), expected)


_X = Tensor(0, "x", (1, 4), "int8", Quantization((0.5,), (0,)))
_Y = Tensor(1, "y", (1, 4), "float32")
_REFUSED = [
    (Node(0, OPERATOR, 1, (), (_Y,)), "0 inputs"),
    (Node(0, OPERATOR, 1, (_X,), (replace(_Y, dtype="int8"),)), "int8 output"),
    (Node(0, OPERATOR, 1, (replace(_X, dtype="float32"),), (_Y,)), "float32 input"),
    (Node(0, OPERATOR, 1, (replace(_X, dtype="float16"),), (_Y,)), "float16 activations"),
    (Node(0, OPERATOR, 1, (_X,), (replace(_Y, shape=(4,)),)), "the output is"),
    (Node(0, OPERATOR, 1, (replace(_X, quantization=None),), (_Y,)), "without a scale"),
]


@pytest.mark.parametrize(("node", "reason"), _REFUSED)
def test_problems(node: Node, reason: str) -> None:
    cases.assert_refused(OPERATOR, node, reason)
