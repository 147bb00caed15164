"""MUL against LiteRT's reference kernels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import binary_cases
import layer_cases as cases
import numpy as np
import pytest
from hypothesis import given, settings
from layer_cases import Layer, Operand

from tvmtiny.ops import Node, Oracle, Quantization
from tvmtiny.oracle import run_litert

OPERATOR = "MUL"
FAMILY = "differs_by_oracle"
CASES = binary_cases.table(OPERATOR, scale=0.1)
CASES["output_saturates"] = replace(
    CASES["same_shape"], output=replace(CASES["same_shape"].output, scale=1e-5)
)


@pytest.mark.parametrize("layer", CASES.values(), ids=CASES)
def test_reference_is_litert(layer: Layer) -> None:
    cases.assert_is_litert(layer)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(fields=binary_cases.fields)
def test_any_layer(fields: dict[str, Any]) -> None:
    cases.assert_is_litert(binary_cases.drawn_layer(OPERATOR, fields))


def test_tflm_multiplies_scales_in_float64() -> None:
    """With these scales the two products round differently, and some outputs are halves."""
    shape = (256, 256)
    a, b, y = (Operand(shape, "int8", scale) for scale in (0.03, 0.085, 0.036))
    layer = Layer(OPERATOR, (a, b), y, {})
    left = np.arange(-128, 128, dtype=np.int8)[:, None].repeat(256, axis=1)
    inputs = [left, np.ascontiguousarray(left.T)]
    litert, tflm = (cases.reference(layer, inputs, oracle) for oracle in Oracle)
    expected = run_litert(layer.model(), inputs)[layer.node().output.index]
    np.testing.assert_array_equal(litert, expected)
    assert (litert != tflm).any()
    assert np.abs(litert.astype(int) - tflm).max() == 1


_TINY = replace(binary_cases.Y, quantization=Quantization((1e-11,), (0,)))
_REFUSED = [*binary_cases.REFUSED, (binary_cases.node(_TINY), "output scale")]


@pytest.mark.parametrize(("dtype", "scale"), [("int8", 2.0**-16), ("int16", 2.0**-2)])
def test_products_that_would_leave_32_bits_are_refused(dtype: str, scale: float) -> None:
    x, y = Operand((2, 3), dtype, 1.0), Operand((2, 3), dtype, scale)
    layer = Layer(OPERATOR, (x, x), y, {"fused_activation_function": "NONE"})
    (reason,) = cases.problems(layer)
    assert "an output scale of" in reason
    assert cases.problems(replace(layer, output=replace(y, scale=8 * scale))) == []


@pytest.mark.parametrize(("node", "reason"), _REFUSED)
def test_problems(node: Node, reason: str) -> None:
    cases.assert_refused(OPERATOR, node, reason)
