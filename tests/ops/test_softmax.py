"""SOFTMAX against LiteRT's reference kernels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import layer_cases as cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_cases import Layer, Operand

from tvmtiny.ops import Node, Oracle, Quantization, Tensor
from tvmtiny.oracle import run_litert

OPERATOR = "SOFTMAX"
FAMILY = "rows"
FLOAT_TOLERANCE = 1e-6


def _layer(
    shape: tuple[int, ...],
    beta: float = 1.0,
    scale: float = 0.1,
    zero_point: int = 4,
    dtype: str = "int8",
) -> Layer:
    x = Operand(shape, dtype, scale, zero_point)
    if dtype == "int16":
        y = Operand(shape, dtype, 1 / 32768)
        return Layer(OPERATOR, (replace(x, zero_point=0),), y, {"beta": beta})
    y = Operand(shape, dtype, 1 / 256, -128)
    return Layer(OPERATOR, (x,), y, {"beta": beta})


CASES = {
    "classes": _layer((1, 12)),
    "rank_1": _layer((10,)),
    "rank_3": _layer((2, 3, 7)),
    "rank_4": _layer((1, 2, 3, 5)),
    "one_class": _layer((3, 1)),
    "two_classes": _layer((4, 2)),
    "many_classes": _layer((1, 300)),
    "longer_table": _layer((7, 40), scale=0.05),
    "beta_half": _layer((1, 12), beta=0.5),
    "beta_large": _layer((1, 12), beta=10.0),
    "scale_small": _layer((1, 12), scale=1e-3),
    "scale_tiny": _layer((1, 12), scale=1e-7),
    "scale_large": _layer((1, 12), scale=4.0),
    "multiplier_saturates": _layer((1, 12), scale=100.0),
    "float_classes": _layer((1, 12), dtype="float32"),
    "float_rank_1": _layer((10,), dtype="float32"),
    "int16_classes": _layer((1, 12), scale=2e-4, dtype="int16"),
    "int16_two_classes": _layer((3, 2), scale=1e-4, dtype="int16"),
    "int16_one_class": _layer((1,), scale=1e-3, dtype="int16"),
    "int16_scale_tiny": _layer((2, 7), scale=1e-8, dtype="int16"),
    "int16_scale_large": _layer((2, 70), scale=0.7, beta=3.0, dtype="int16"),
    "float_rank_4_beta": _layer((1, 2, 3, 5), beta=0.3, dtype="float32"),
}


def _check(layer: Layer) -> None:
    cases.assert_is_litert(layer, FLOAT_TOLERANCE if layer.output.dtype == "float32" else 0.0)


@pytest.mark.parametrize("layer", CASES.values(), ids=CASES)
def test_reference_is_litert(layer: Layer) -> None:
    _check(layer)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    shape=cases.shape,
    beta=st.floats(0.01, 5.0),
    scale=st.floats(0.0001, 2.0),
    zero_point=cases.zero_point,
)
def test_any_layer(shape: tuple[int, ...], **fields: Any) -> None:
    _check(_layer(shape, **fields))


@settings(max_examples=10, deadline=None, derandomize=True)
@given(shape=cases.shape, beta=st.floats(0.01, 2.0), scale=st.floats(1e-6, 1.0))
def test_any_int16_layer(shape: tuple[int, ...], beta: float, scale: float) -> None:
    _check(_layer(shape, beta, scale, dtype="int16"))


@pytest.mark.parametrize("scale", [0.003, 0.04, 0.3])
def test_all_differences(scale: float) -> None:
    """Each int8 value beside the largest one, with a varying sum."""
    layer = _layer((256, 8), scale=scale)
    rows = np.full((256, 8), -128, np.int8)
    rows[:, 0], rows[:, 1] = 127, np.arange(-128, 128)
    rows[:, 2:] = np.random.default_rng(0).integers(-128, 128, (256, 6))
    expected = run_litert(layer.model(), [rows])[layer.node().output.index]
    for oracle in Oracle:
        np.testing.assert_array_equal(cases.reference(layer, [rows], oracle), expected)


_X = Tensor(0, "x", (1, 4), "int8", Quantization((0.5,), (0,)))
_Y = Tensor(1, "y", (1, 4), "int8", Quantization((1 / 256,), (-128,)))


def _node(x: Tensor | None = _X, y: Tensor = _Y, beta: float | None = 1.0) -> Node:
    return Node(0, OPERATOR, 1, (x,), (y,), {} if beta is None else {"beta": beta})


_HALF = Quantization((2.0**-15,), (1,))
_SHORT: dict[str, Any] = {
    "inputs": (replace(_X, dtype="int16"),),
    "outputs": (replace(_Y, dtype="int16", quantization=_HALF),),
}
_WIDE = replace(_X, shape=(1, 5000)), replace(_Y, shape=(1, 5000))
_REFUSED = [
    (Node(0, OPERATOR, 1, (), (_Y,)), "0 inputs"),
    (_node(None), "0 inputs"),
    (_node(y=replace(_Y, dtype="float32")), "float32 output"),
    (_node(replace(_X, shape=())), "scalar"),
    (_node(replace(_X, shape=(4,))), "the output is"),
    (_node(replace(_X, quantization=None)), "without a scale"),
    (_node(y=replace(_Y, quantization=Quantization((1 / 256,), (0,)))), "zero point 0"),
    (_node(y=replace(_Y, quantization=Quantization((1 / 128,), (-128,)))), "output scale"),
    (_node(beta=0.0), "beta 0"),
    (_node(beta=-1.0), "beta -1"),
    (_node(beta=None), "beta 0"),
    (_layer((1, 4), scale=3.0, dtype="int16").node(), "beta 1 times input scale 3"),
    (replace(_node(), **_SHORT), "zero points"),
    (_node(*_WIDE), "5000 classes"),
]


@pytest.mark.parametrize(("node", "reason"), _REFUSED)
def test_problems(node: Node, reason: str) -> None:
    cases.assert_refused(OPERATOR, node, reason)
