"""Operators that treat every element of one tensor alike, against LiteRT's reference kernels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import layer_cases as cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_cases import Layer, Operand

from tvmtiny.ops import Node, Oracle, Quantization, Tensor, find_operator
from tvmtiny.oracle import run_litert

#: LiteRT has no reference kernels for three operators; see `run_litert`.
_WITHOUT_REFERENCE_KERNEL = ("CEIL", "ELU", "ROUND")
FLOAT_TOLERANCE = 1e-6

#: The domain of each function: the least and the largest input.
_DOMAINS = {
    "EXP": (-10.0, 10.0),
    "LOG": (0.01, 100.0),
    "SQRT": (0.0, 100.0),
    "RSQRT": (0.01, 100.0),
    "SIN": (-100.0, 100.0),
    "COS": (-100.0, 100.0),
}
_OPTIONS: dict[str, dict[str, Any]] = {"LEAKY_RELU": {"alpha": 0.3}, "GELU": {"approximate": False}}
#: The output scale and zero point that an operator requires, by dtype.
_OUTPUTS = {
    ("LOGISTIC", "int8"): (1 / 256, -128),
    ("LOGISTIC", "int16"): (2.0**-15, 0),
    ("TANH", "int16"): (2.0**-15, 0),
}
_TABLES = ["ELU", "EXP", "GELU", "HARD_SWISH", "LOG", "LOGISTIC", "RSQRT", "SQRT", "TANH"]
_CLAMPS = ["RELU", "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1"]
_INT8 = ["ABS", "LEAKY_RELU", *_CLAMPS, *_TABLES]
_INT16 = [name for name in _INT8 if name not in ("ELU", "HARD_SWISH", *_CLAMPS[2:])]
_FLOAT = [*_INT8, "CEIL", "COS", "FLOOR", "NEG", "ROUND", "SIGN", "SIN", "SQUARE"]
_INTEGERS = {
    "NEG": ("int8", "int16", "int32", "int64"),
    "ABS": ("int16", "int32"),
    "SIGN": ("int32",),
}


def _layer(
    operator: str,
    dtype: str,
    shape: tuple[int, ...],
    scales: tuple[float, float] = (0.05, 0.04),
    zeros: tuple[int, int] = (-9, 5),
    **options: Any,
) -> Layer:
    scale, zero = _OUTPUTS.get((operator, dtype), (scales[1], zeros[1] if dtype == "int8" else 0))
    x = Operand(shape, dtype, scales[0], zeros[0] if dtype == "int8" else 0)
    if dtype == "float32":
        x = replace(x, limits=_DOMAINS.get(operator))
    elif dtype == "int8" and operator in ("RSQRT", "SQRT"):
        # LiteRT fails for numbers below zero.
        x = replace(x, limits=(x.zero_point, 127))
    elif dtype == "int16" and operator in ("RSQRT", "SQRT"):
        x = replace(x, limits=(0, 32767))
    chosen = _OPTIONS.get(operator, {}) | options
    return Layer(operator, (x,), Operand(shape, dtype, scale, zero), chosen or None, 1)


def _plain(layer: Layer) -> Layer:
    """`layer` without scales."""
    x, y = (replace(o, scale=None) for o in (*layer.inputs, layer.output))
    return replace(layer, inputs=(x,), output=y)


def _table(operator: str) -> dict[str, Layer]:
    table = {}
    if operator in _INT8:
        table["int8"] = _layer(operator, "int8", (2, 3, 20))
        # An exponential beyond the int32 range is undefined in LiteRT.
        scales = (0.1 if operator == "EXP" else 0.5), 0.6
        table["int8_other_scales"] = _layer(operator, "int8", (40,), scales, (-128, -128))
    if operator in _INT16:
        table["int16"] = _layer(operator, "int16", (2, 20), (0.001, 0.0009))
        table["int16_power_of_two"] = _layer(operator, "int16", (40,), (2.0**-12, 2.0**-13))
    if operator in _FLOAT:
        table["float"] = _layer(operator, "float32", (3, 20))
    for dtype in _INTEGERS.get(operator, ()):
        table[f"plain_{dtype}"] = _plain(_layer(operator, dtype, (30,)))
    return table


TABLES = {name: _table(name) for name in sorted({*_FLOAT, *_INT8})}
FAMILY = {
    **dict.fromkeys(TABLES, "unary"),
    **dict.fromkeys(_WITHOUT_REFERENCE_KERNEL, "unary_without_reference"),
    **dict.fromkeys(("RELU6", "TANH"), "differs_by_oracle"),
}
TABLES["ABS"]["equal_scales"] = _layer("ABS", "int8", (40,), (0.1, 0.1))
TABLES["EXP"]["scalar"] = _layer("EXP", "int8", ())
TABLES["GELU"]["approximate"] = _layer("GELU", "int8", (40,), approximate=True)
TABLES["GELU"]["float_approximate"] = _layer("GELU", "float32", (40,), approximate=True)
TABLES["LEAKY_RELU"]["negative"] = _layer("LEAKY_RELU", "int8", (40,), alpha=-0.7)
TABLES["RELU"]["scalar_float"] = _layer("RELU", "float32", ())
TABLES["LOGISTIC"]["large_scale"] = _layer("LOGISTIC", "int16", (40,), (1.0, 1.0))
for _scale in (0.25, 1e-7):
    # Right shifts of 16 bits and more.
    TABLES["HARD_SWISH"][f"far_scales_{_scale}"] = _layer(
        "HARD_SWISH", "int8", (40,), (_scale, 1e4)
    )
# Infinite entries of the table make sums that are no numbers.
TABLES["EXP"]["infinite_int16"] = _layer("EXP", "int16", (40,), (0.01159, 0.005122))
for _name in ("LOGISTIC", "TANH"):
    # A number next to a power of two that is mistaken for that power.
    TABLES[_name]["nearly_power_of_two"] = _layer(_name, "int16", (40,), (1.0001 * 2.0**-12, 1.0))
_EVERY = {f"{name}-{key}": layer for name, table in TABLES.items() for key, layer in table.items()}


@pytest.mark.parametrize("layer", _EVERY.values(), ids=_EVERY)
def test_reference_is_litert(layer: Layer) -> None:
    assert cases.problems(layer) == []
    quantized = layer.output.dtype in ("int8", "int16")
    if not quantized or layer.output.scale is None:
        sets = cases.input_sets(layer)
    else:
        sets = [[_all_values(layer.inputs[0])]]
        layer = _wide(layer)
    for inputs in sets:
        expected = run_litert(layer.model(), inputs)[layer.node().output.index]
        got = cases.reference(layer, inputs, Oracle.LITERT)
        assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
        tolerance = 2e-6 if layer.output.dtype == "float32" else 0
        np.testing.assert_allclose(got, expected, tolerance, tolerance)


def _all_values(x: Operand) -> np.ndarray:
    info = np.iinfo(x.dtype)
    low, high = x.limits or (info.min, info.max)
    return np.arange(int(low), int(high) + 1).astype(x.dtype)


def _wide(layer: Layer) -> Layer:
    """`layer` with all values of its input in one tensor."""
    shape = _all_values(layer.inputs[0]).shape
    x, y = (replace(o, shape=shape) for o in (*layer.inputs, layer.output))
    return replace(layer, inputs=(x,), output=y)


@pytest.mark.parametrize("scale", [1e-12, 1e6])
def test_inverse_roots_that_no_shift_can_scale_are_refused(scale: float) -> None:
    assert cases.problems(_layer("RSQRT", "int8", (4,), (2.0, scale))) == [
        f"an output scale of {scale:.3g}"
    ]


@settings(max_examples=120, deadline=None, derandomize=True)
@given(
    operator=st.sampled_from(_INT8),
    scales=st.tuples(cases.scale, cases.scale),
    zeros=st.tuples(cases.zero_point, cases.zero_point),
    options=st.fixed_dictionaries({"alpha": st.floats(-2, 2), "approximate": st.booleans()}),
)
def test_any_int8(
    operator: str, scales: tuple[float, float], zeros: tuple[int, int], options: dict[str, Any]
) -> None:
    used = {key: options[key] for key in _OPTIONS.get(operator, {})}
    if operator == "EXP":
        scales = min(scales[0], 0.05), scales[1]
    layer = _wide(_layer(operator, "int8", (1,), scales, zeros, **used))
    if cases.problems(layer):
        assert operator == "HARD_SWISH"
        return
    values = _all_values(layer.inputs[0])
    expected = run_litert(layer.model(), [values])[layer.node().output.index]
    got = cases.reference(layer, [values], Oracle.LITERT)
    np.testing.assert_array_equal(got, expected)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    operator=st.sampled_from(_INT16), scales=st.tuples(st.floats(1e-5, 0.1), st.floats(1e-5, 0.1))
)
def test_any_int16(operator: str, scales: tuple[float, float]) -> None:
    if operator == "EXP":
        scales = min(scales[0], 1e-3), scales[1]
    layer = _wide(_layer(operator, "int16", (1,), scales))
    if cases.problems(layer):
        return
    values = _all_values(layer.inputs[0])
    expected = run_litert(layer.model(), [values])[layer.node().output.index]
    np.testing.assert_array_equal(cases.reference(layer, [values], Oracle.LITERT), expected)


@pytest.mark.parametrize(
    ("operator", "bound"), [("RELU6", 6), ("RELU_0_TO_1", 1), ("RELU_N1_TO_1", 1)]
)
def test_bounds_that_exceed_32_bits_are_refused(operator: str, bound: int) -> None:
    for scale in (bound * 2.0**-31, bound * 2.0**-33, 2.0**-140):
        node = _layer(operator, "int8", (40,), (scale, scale)).node()
        cases.assert_refused(operator, node, "an output scale of")
    fitting = bound * 2.0**-30
    cases.assert_is_litert(_layer(operator, "int8", (40,), (fitting, fitting)))


def test_hard_swish_of_shifts_beyond_an_int_is_refused() -> None:
    for scale in (2.0**25, 1e12):
        node = _layer("HARD_SWISH", "int8", (40,), (scale, scale)).node()
        cases.assert_refused("HARD_SWISH", node, "an input scale of")
    cases.assert_is_litert(_layer("HARD_SWISH", "int8", (40,), (2.0**23.9, 2.0**24)))


def test_relu6_of_tflm_does_not_rescale() -> None:
    layer = TABLES["RELU6"]["int8"]
    inputs = [np.arange(-128, -8, dtype=np.int8).reshape(layer.output.shape)]
    assert cases.reference(layer, inputs, Oracle.TFLM).max() == layer.inputs[0].zero_point
    assert cases.reference(layer, inputs, Oracle.LITERT).min() == layer.output.zero_point


@pytest.mark.parametrize("operator", TABLES)
def test_problems(operator: str) -> None:
    dtype = find_operator(operator).dtypes[0]  # type: ignore[union-attr]
    x = Tensor(0, "x", (1, 4), dtype, Quantization((0.5,), (0,)))
    y = Tensor(1, "y", (1, 4), dtype, Quantization((1 / 256,), (-128,)))
    for node, reason in (
        (Node(0, operator, 1, (), (y,)), "0 inputs"),
        (Node(0, operator, 1, (x,), ()), "0 outputs"),
        (Node(0, operator, 1, (x,), (replace(y, dtype="int32"),)), "and int32"),
        (Node(0, operator, 1, (x,), (replace(y, shape=(4,)),)), "the output is"),
    ):
        cases.assert_refused(operator, node, reason)
    if dtype == "int8" and find_operator(operator).needs_scale:  # type: ignore[union-attr]
        bare = Node(0, operator, 1, (replace(x, quantization=None),), (y,))
        cases.assert_refused(operator, bare, "without a scale")
