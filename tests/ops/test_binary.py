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

from tvmtiny.ops import Node, Quantization, Tensor, find_operator

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
    "DIV": ["float32"],
    "MAXIMUM": ["int8", "int16", "int32", "int64", "float32"],
    "MINIMUM": ["int8", "int16", "int32", "int64", "float32"],
    "PRELU": ["int8", "int16", "float32"],
    "SQUARED_DIFFERENCE": ["int8", "int32", "float32"],
    **{name: ["int8", "int32", "int64", "float32"] for name in _RELATIONS},
    **{name: ["bool"] for name in _LOGICAL},
}


def _layer(
    operator: str,
    dtype: str,
    shapes: tuple[tuple[int, ...], ...] = _SHAPES["same"],
    scales: tuple[float, float, float] = (0.05, 0.03, 0.06),
    zeros: tuple[int, int, int] = (-3, 7, 4),
    limits: tuple[float, float] = (0.5, 4.0),
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
    if operator == "DIV":
        b = replace(b, limits=limits)
    if operator in _RELATIONS:
        y = replace(y, dtype="bool")
        # Small ranges, so that many are equal.
        a, b = (replace(o, limits=(-5, 5)) if o.dtype != "int8" else o for o in (a, b))
    options = {"fused_activation_function": "NONE"} if operator == "DIV" else None
    return Layer(operator, (a, b), y, options, 1)


def _table(operator: str) -> dict[str, Layer]:
    table = {}
    for number, dtype in enumerate(_DTYPES[operator]):
        # All ways to broadcast for the first dtype, one for each other.
        for name in list(_SHAPES) if number == 0 else [list(_SHAPES)[number % 2]]:
            if operator != "PRELU" or name != "both":
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
_EVERY = {f"{name}-{key}": layer for name, table in TABLES.items() for key, layer in table.items()}


@pytest.mark.parametrize("layer", _EVERY.values(), ids=_EVERY)
def test_reference_is_litert(layer: Layer) -> None:
    cases.assert_is_litert(layer)


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
    operator=st.sampled_from([name for name in _DTYPES if "int8" in _DTYPES[name]]),
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
