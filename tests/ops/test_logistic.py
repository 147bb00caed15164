"""LOGISTIC against LiteRT's reference kernels."""

from __future__ import annotations

from dataclasses import replace

import layer_cases as cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_cases import Layer, Operand

from tvmtiny.ops import Node, Oracle, Quantization, Tensor
from tvmtiny.oracle import run_litert

OPERATOR = "LOGISTIC"
FLOAT_TOLERANCE = 1e-6


def _layer(
    shape: tuple[int, ...], scale: float = 0.08, zero_point: int = -9, dtype: str = "int8"
) -> Layer:
    x = Operand(shape, dtype, scale, zero_point)
    return Layer(OPERATOR, (x,), Operand(shape, dtype, 1 / 256, -128))


_CASES = {
    "image": _layer((1, 3, 4, 5)),
    "one": _layer((1, 1)),
    "scalar": _layer(()),
    "rank_5": _layer((1, 2, 2, 3, 2)),
    "scale_small": _layer((40,), 1e-3),
    "scale_large": _layer((40,), 3.0),
    "zero_point_low": _layer((40,), 0.05, -128),
    "zero_point_high": _layer((40,), 0.05, 127),
    "float": _layer((2, 50), dtype="float32"),
}


@pytest.mark.parametrize("layer", _CASES.values(), ids=_CASES)
def test_reference_is_litert(layer: Layer) -> None:
    cases.assert_is_litert(layer, FLOAT_TOLERANCE if layer.output.dtype == "float32" else 0.0)


_EVERY = np.arange(-128, 128, dtype=np.int8)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(scale=st.floats(1e-4, 4.0), zero_point=cases.zero_point)
def test_whole_table(scale: float, zero_point: int) -> None:
    layer = _layer((256,), scale, zero_point)
    expected = run_litert(layer.model(), [_EVERY])[layer.node().output.index]
    litert, tflm = (cases.reference(layer, [_EVERY], oracle) for oracle in Oracle)
    np.testing.assert_array_equal(litert, expected)
    # With coarse inputs TFLM saturates early: its input radius is a whole number of input steps.
    if scale <= 0.25:
        assert np.abs(litert.astype(int) - tflm).max() <= 1


def test_float_cut_offs() -> None:
    edges = np.float32(
        [16.619047, 16.62, 16.6, -9.0, -9.000001, -8.999999, -90, -104, 100, 0, -0.0]
    )
    layer = _layer(edges.shape, dtype="float32")
    expected = run_litert(layer.model(), [edges])[layer.node().output.index]
    np.testing.assert_allclose(cases.reference(layer, [edges], Oracle.LITERT), expected, 3e-7)


_X = Tensor(0, "x", (1, 4), "int8", Quantization((0.5,), (0,)))
_Y = Tensor(1, "y", (1, 4), "int8", Quantization((1 / 256,), (-128,)))
_REFUSED = [
    (Node(0, OPERATOR, 1, (), (_Y,)), "0 inputs"),
    (Node(0, OPERATOR, 1, (_X,), ()), "0 outputs"),
    (Node(0, OPERATOR, 1, (_X,), (replace(_Y, dtype="float32"),)), "int8 and float32"),
    (Node(0, OPERATOR, 1, (_X,), (replace(_Y, shape=(4,)),)), "the output is"),
    (Node(0, OPERATOR, 1, (replace(_X, quantization=None),), (_Y,)), "without a scale"),
    (Node(0, OPERATOR, 1, (_X,), (replace(_Y, quantization=_X.quantization),)), "output scale 0.5"),
]


@pytest.mark.parametrize(("node", "reason"), _REFUSED)
def test_problems(node: Node, reason: str) -> None:
    cases.assert_refused(OPERATOR, node, reason)
