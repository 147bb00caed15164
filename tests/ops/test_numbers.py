"""FILL, ZEROS_LIKE, SHAPE, RANK, RANGE and TOPK_V2 against LiteRT's reference kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import layer_cases as cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_cases import Layer, Operand, numbers

from tvmtiny.ops import Node, Quantization, Tensor

FAMILY = "numbers"


def _fill(shape: tuple[int, ...], dtype: str = "float32", value: Any = None) -> Layer:
    constant = None if value is None else np.array(value, dtype)
    x = Operand((), dtype, value=constant)
    return Layer("FILL", (numbers(shape), x), Operand(shape, dtype), {})


def _same(operator: str, shape: tuple[int, ...], dtype: str = "float32") -> Layer:
    x = Operand(shape, dtype)
    if operator == "ZEROS_LIKE":
        return Layer(operator, (x,), x, {}, 1)
    if operator == "RANK":
        return Layer(operator, (x,), Operand((), "int32"), {}, 1)
    return Layer(operator, (x,), Operand((len(shape),), "int32"), {"out_type": 2}, 1)


def _range(start: float, limit: float, step: float, dtype: str = "int32") -> Layer:
    count = max(0, int(np.ceil((limit - start) / step)))
    inputs = tuple(numbers(n, dtype) for n in (start, limit, step))
    return Layer("RANGE", inputs, Operand((count,), dtype), {}, 1)


def _top(shape: tuple[int, ...], k: int, dtype: str = "int8", **fields: Any) -> Layer:
    x = Operand(shape, dtype, **fields)
    y = Operand((*shape[:-1], k), dtype)
    indices = replace(y, dtype="int32")
    return Layer("TOPK_V2", (x, numbers(k)), y, {}, 2, more_outputs=(indices,))


TABLES = {
    "FILL": {
        "run_time": _fill((2, 3)),
        "run_time_int32": _fill((4,), "int32"),
        "constant": _fill((2, 2), value=1.5),
        "constant_int8": _fill((3, 5), "int8", -3),
        # A tensor too large for flash.
        "large": _fill((30, 40), "float32", -2.5),
        "large_bytes": _fill((50, 50), "int8", 7),
    },
    "ZEROS_LIKE": {
        "float": _same("ZEROS_LIKE", (2, 3)),
        "large": _same("ZEROS_LIKE", (20, 20), "int32"),
    },
    "SHAPE": {"float": _same("SHAPE", (2, 3)), "int8": _same("SHAPE", (1, 2, 3), "int8")},
    "RANK": {"float": _same("RANK", (2, 3)), "scalar": _same("RANK", ())},
    "RANGE": {
        "up": _range(1, 8, 2),
        "down": _range(5, -3, -3, "int64"),
        "float": _range(0.1, 2.0, 0.3, "float32"),
    },
    "TOPK_V2": {
        "row": _top((7,), 3),
        "rows": _top((2, 3, 5), 2, "float32"),
        "every": _top((2, 4), 4, "int32"),
        "equal": _top((2, 9), 5, limits=(0, 2)),
        "one": _top((2, 3, 1), 1, "int32"),
        "ones": _top((1, 6, 1, 1, 1), 1, "int32"),
    },
}
_EVERY = {f"{o}/{name}": layer for o, table in TABLES.items() for name, layer in table.items()}


@pytest.mark.parametrize("layer", _EVERY.values(), ids=_EVERY)
def test_reference_is_litert(layer: Layer) -> None:
    cases.assert_is_litert(layer)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(shape=cases.shape, data=st.data())
def test_any_top(shape: tuple[int, ...], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, shape[-1]))
    cases.assert_is_litert(_top(shape, k, limits=(-2, 2)))


_X = Tensor(0, "x", (4, 3), "int8", Quantization((0.5,), (0,)))


def _constant(value: Any, dtype: str = "int32") -> Tensor:
    data = np.array(value, dtype)
    return Tensor(5, "c", data.shape, dtype, data=data)


def _node(operator: str, inputs: Sequence[Tensor], *outputs: tuple[tuple[int, ...], str]) -> Node:
    results = tuple(Tensor(10 + i, "y", s, d, _X.quantization) for i, (s, d) in enumerate(outputs))
    return Node(0, operator, 1, tuple(inputs), results)


_ONE = _constant(1)
_REFUSED = [
    (_node("FILL", [replace(_ONE, data=None), _ONE], ((2,), "int32")), "run time"),
    (_node("FILL", [_constant([2]), _constant([1, 2])], ((2,), "int32")), "2 values"),
    (_node("FILL", [_constant([2]), _ONE], ((3,), "int32")), "but the inputs"),
    (_node("ZEROS_LIKE", [_X], ((4, 3), "int32")), "int8 and int32"),
    (_node("SHAPE", [_X], ((2,), "float32")), "float32 output"),
    (_node("SHAPE", [_X], ((3,), "int32")), "but the inputs"),
    (_node("RANK", [_X], ((), "int64")), "int64 output"),
    (_node("RANGE", [_ONE, _ONE, _constant(0)], ((0,), "int32")), "a range from"),
    (_node("RANGE", [_ONE, _constant(5), _ONE], ((3,), "int32")), "but the inputs"),
    (_node("TOPK_V2", [_X, _constant(4)], ((4, 4), "int8"), ((4, 4), "int32")), "k of 4"),
    (_node("TOPK_V2", [_X, _ONE], ((4, 1), "int8"), ((4, 1), "int8")), "int8 indices"),
    (_node("TOPK_V2", [_X, _ONE], ((4, 1), "int8")), "1 outputs"),
]


@pytest.mark.parametrize(("node", "reason"), _REFUSED)
def test_problems(node: Node, reason: str) -> None:
    cases.assert_refused(node.operator, node, reason)
