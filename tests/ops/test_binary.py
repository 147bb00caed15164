"""Operators of two operands that broadcast, against LiteRT's reference kernels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import layer_cases as cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_cases import Layer, Operand, random_constant

from tvmtiny.ops import Node, Oracle, Quantization, Tensor, find_operator
from tvmtiny.oracle import run_litert_frames

FAMILY = "binary"

_RELATIONS = ["EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL"]
_LOGICAL = ["LOGICAL_AND", "LOGICAL_OR"]
_SHAPES = {
    "same": ((2, 3, 5), (2, 3, 5)),
    "vector": ((2, 3, 5), (5,)),
    "both": ((3, 1, 4), (2, 1)),
}
#: Dtypes of the operands of each operator.
_DTYPES = {
    "ATAN2": ["float32"],
    "DIV": ["float32", "int8", "int16", "int32"],
    "FLOOR_DIV": ["float32", "int32", "int8", "int16"],
    "FLOOR_MOD": ["float32", "int32", "int64", "int8", "int16"],
    "MAXIMUM": ["int8", "int16", "int32", "int64", "float32"],
    "MINIMUM": ["int8", "int16", "int32", "int64", "float32"],
    "POW": ["float32", "int32"],
    "PRELU": ["int8", "int16", "float32"],
    "SQUARED_DIFFERENCE": ["int8", "int32", "float32"],
    **{name: ["int8", "int32", "int64", "float32"] for name in _RELATIONS},
    **{name: ["bool"] for name in _LOGICAL},
}
#: Divisors other than zero; LiteRT defines no quotients with few bits, see `Div`.
_DIVISORS = {"float32": (0.5, 4.0), "int8": (8, 127), "int16": (1, 32767), "int32": (-9, -2)}
_FINE_SCALES = (0.5, 0.01, 0.3)
#: Errors relative to the largest magnitude: angles and powers are within 2 units in the last place.
FLOAT_TOLERANCE = 2.5e-7


def _layer(
    operator: str,
    dtype: str,
    shapes: tuple[tuple[int, ...], ...] = _SHAPES["same"],
    scales: tuple[float, float, float] = (0.05, 0.03, 0.06),
    zeros: tuple[int, int, int] = (-3, 7, 4),
    limits: tuple[float, float] | None = None,
) -> Layer:
    symmetric = dtype == "int16"
    a, b, y = (
        Operand(shape, dtype, scale, 0 if symmetric else zero)
        for shape, scale, zero in zip(
            (*shapes, np.broadcast_shapes(*shapes)), scales, zeros, strict=True
        )
    )
    if operator == "PRELU" and symmetric:
        b = replace(b, dtype="int8", zero_point=zeros[1])
    if operator in ("DIV", "FLOOR_DIV", "FLOOR_MOD"):
        b = replace(b, limits=limits or _DIVISORS.get(dtype, (2, 9)))
    if operator == "DIV" and dtype in ("int8", "int16"):
        a, b, y = (replace(o, scale=s) for o, s in zip((a, b, y), _FINE_SCALES, strict=True))
        a = replace(a, limits=(500, 32767)) if symmetric else a
    if operator == "POW":
        a = replace(a, limits=(0.1, 9) if dtype == "float32" else (-9, 9))
        b = replace(b, limits=limits or ((-3, 3) if dtype == "float32" else (0, 10)))
    if operator in _RELATIONS:
        y = replace(y, dtype="bool")
        # Small ranges, so that many values are equal.
        a, b = (replace(o, limits=(-5, 5)) if o.dtype != "int8" else o for o in (a, b))
    options = {"fused_activation_function": "NONE"} if operator == "DIV" else None
    return Layer(operator, (a, b), y, options, 1)


def _table(operator: str) -> dict[str, Layer]:
    table = {}
    for number, dtype in enumerate(_DTYPES[operator]):
        # All ways to broadcast for the first dtype, one way for each other dtype.
        for name in list(_SHAPES) if number == 0 else [list(_SHAPES)[number % 2]]:
            if (operator != "PRELU" or name != "both") and (operator != "ATAN2" or name == "same"):
                table[f"{dtype}_{name}"] = _layer(operator, dtype, _SHAPES[name])
    return table


TABLES = {operator: _table(operator) for operator in _DTYPES}
TABLES["DIV"]["relu6"] = replace(
    _layer("DIV", "float32"), options={"fused_activation_function": "RELU6"}
)
for _name in _RELATIONS[:2]:
    TABLES[_name]["bool"] = _layer(_name, "bool")
for _name in _RELATIONS:
    TABLES[_name]["one_scale"] = _layer(_name, "int8", scales=(0.05, 0.05, 1), zeros=(3, 3, 0))
    TABLES[_name]["values_merge"] = _layer(_name, "int8", scales=(0.002, 0.002, 1), zeros=(3, 3, 0))
    TABLES[_name]["large_scales"] = _layer(_name, "int8", scales=(2.5, 0.7, 1))
TABLES["MAXIMUM"]["constant"] = replace(
    _layer("MAXIMUM", "int8"),
    inputs=(Operand((2, 3, 5)), random_constant((5,), scale=0.05)),
)
for _name in _RELATIONS[:2]:
    TABLES[_name]["int16_scales"] = _layer(_name, "int16", scales=(0.002, 0.003, 1))
    TABLES[_name]["int16_large_scales"] = _layer(_name, "int16", scales=(9.0, 1.5, 1))
TABLES["DIV"]["by_zero"] = _layer("DIV", "float32", limits=(-0.0, 0.0))
TABLES["DIV"]["int8_relu"] = replace(
    _layer("DIV", "int8"), options={"fused_activation_function": "RELU"}
)
TABLES["FLOOR_DIV"]["negative"] = _layer("FLOOR_DIV", "float32", limits=(-3.0, -1e-3))
TABLES["FLOOR_MOD"]["negative"] = _layer("FLOOR_MOD", "float32", limits=(-3.0, -1e-3))
_ONE = ((2, 3, 5), (1,))
TABLES["POW"] |= {
    "whole_of_tensor": _layer("POW", "float32", _ONE, limits=(3, 3)),
    "fraction_of_tensor": _layer("POW", "float32", _ONE, limits=(0.5, 2.5)),
    "int32_of_tensor": _layer("POW", "int32", _ONE, limits=(0, 20)),
    "cube": replace(
        _layer("POW", "float32"),
        inputs=(Operand((2, 3, 5), "float32"), Operand((), "float32", value=np.array(3.0))),
    ),
    "root": replace(
        _layer("POW", "float32"),
        inputs=(
            Operand((2, 3, 5), "float32", limits=(0, 9)),
            Operand((1,), "float32", value=np.array([0.5])),
        ),
    ),
}
_EVERY = {f"{name}-{key}": layer for name, table in TABLES.items() for key, layer in table.items()}


@pytest.mark.parametrize("layer", _EVERY.values(), ids=_EVERY)
def test_reference_is_litert(layer: Layer) -> None:
    cases.assert_is_litert(layer, 1e-6 if layer.operator == "ATAN2" else 0)


def _numbers(layer: Layer, *inputs: Any) -> list[Any]:
    arrays = [
        np.array(values, operand.dtype)
        for values, operand in zip(inputs, layer.inputs, strict=True)
    ]
    return list(cases.reference(layer, arrays, Oracle.LITERT))


def test_every_int8_quotient() -> None:
    every = np.arange(-128, 128, dtype=np.int8)
    divisors = every[(every != 0) & (every != 7)]
    layer = _layer("DIV", "int8", ((256, 1), (len(divisors),)))
    inputs = [every[:, None], divisors]
    run = run_litert_frames(layer.model(), [inputs])[0]
    got = cases.reference(layer, inputs, Oracle.LITERT)
    np.testing.assert_array_equal(got, run[layer.node().output.index])


def test_integers_divided_by_zero() -> None:
    least = -(2**31)
    whole = _layer("DIV", "int32", ((4,), (4,)))
    assert _numbers(whole, [5, -5, 0, least], [0, 0, 0, -1]) == [0, 0, 0, least]
    assert _numbers(_layer("FLOOR_DIV", "int32", ((3,), (3,))), [5, -5, least], [0, 0, -1]) == [
        0,
        0,
        least,
    ]
    assert _numbers(_layer("FLOOR_MOD", "int32", ((3,), (3,))), [5, -5, least], [0, 0, -1]) == [
        0,
        0,
        0,
    ]
    # The zero points are -3, 7 and 4.
    quantized = _layer("DIV", "int8", ((3,), (3,)))
    assert _numbers(quantized, [5, -5, -3], [7, 7, 7]) == [127, -128, 4]


_operand_shapes = st.lists(
    st.tuples(st.integers(1, 4), st.booleans(), st.booleans()), min_size=1, max_size=4
).map(
    lambda dimensions: (
        tuple(1 if left else d for d, left, _ in dimensions),
        tuple(1 if right else d for d, _, right in dimensions),
    )
)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    operator=st.sampled_from(
        [name for name in _DTYPES if "int8" in _DTYPES[name] and name != "DIV"]
    ),
    shapes=_operand_shapes,
    scales=st.tuples(cases.scale, cases.scale, cases.scale),
    zeros=st.tuples(cases.zero_point, cases.zero_point, cases.zero_point),
)
def test_any_int8(operator: str, shapes: Any, scales: Any, zeros: Any) -> None:
    if operator == "PRELU":
        shapes = tuple(max(pair) for pair in zip(*shapes, strict=True)), shapes[1]
    layer = _layer(operator, "int8", shapes, scales, zeros)
    if cases.problems(layer):
        assert operator in ("SQUARED_DIFFERENCE", *_RELATIONS)
        return
    cases.assert_is_litert(layer)


@pytest.mark.parametrize("scale", [1.0, 1e6])
def test_scales_with_which_litert_fails_are_refused(scale: float) -> None:
    for dtype in ("int8", "int16"):
        (reason,) = cases.problems(_layer("EQUAL", dtype, scales=(scale, 0.5, 1)))
        assert "LiteRT fails" in reason


@pytest.mark.parametrize("operator", TABLES)
def test_problems(operator: str) -> None:
    found = find_operator(operator)
    assert found is not None
    dtype = found.dtypes[-1]
    x = Tensor(0, "x", (1, 4), dtype, Quantization((0.5,), (0,)))
    result = "bool" if operator in _RELATIONS else dtype
    y = Tensor(1, "y", (1, 4), result, Quantization((0.5,), (0,)))
    for node, reason in (
        (Node(0, operator, 1, (x,), (y,)), "1 inputs"),
        (Node(0, operator, 1, (x, x), ()), "0 outputs"),
        (Node(0, operator, 1, (x, replace(x, dtype="int32")), (y,)), "int32"),
        (Node(0, operator, 1, (x, replace(x, shape=(3, 2))), (y,)), "do not broadcast"),
        (Node(0, operator, 1, (x, x), (replace(y, shape=(4,)),)), "the output is"),
        (Node(0, operator, 1, (x, x), (replace(y, dtype="int32"),)), "int32"),
    ):
        cases.assert_refused(operator, node, reason)
