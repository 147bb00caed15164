"""SLICE, STRIDED_SLICE, SPLIT, SPLIT_V, PACK and UNPACK against LiteRT's reference kernels."""

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

from tvmtiny.ops import Alias, Node, Oracle, Quantization, Tensor, find_operator

FAMILY = "slicing"

_IMAGE = (1, 4, 6, 5)


def _of_shape(shape: Sequence[int], *entries: Any) -> tuple[int, ...]:
    return np.broadcast_to(np.int8(0), shape)[entries].shape


def _slice(shape: tuple[int, ...], *box: tuple[int, int], dtype: str = "int8") -> Layer:
    begin, size = zip(*box, strict=True)
    sizes = [d - a if n < 0 else n for d, (a, n) in zip(shape, box, strict=True)]
    x = Operand(shape, dtype)
    return Layer("SLICE", (x, numbers(begin), numbers(size)), replace(x, shape=tuple(sizes)), {})


def _strided(
    shape: tuple[int, ...], *entries: Any, dtype: str = "int8", numbers_dtype: str = "int32"
) -> Layer:
    """Index entries in the form that numpy takes."""
    begin, end, strides = [], [], []
    masks = dict.fromkeys(("begin", "end", "ellipsis", "new_axis", "shrink_axis"), 0)
    for i, entry in enumerate(entries):
        bit, first, last, stride = 1 << i, 0, 0, 1
        if entry is ...:
            masks["ellipsis"] |= bit
        elif entry is None:
            masks["new_axis"] |= bit
        elif isinstance(entry, int):
            masks["shrink_axis"] |= bit
            first, last = entry, entry + 1
        else:
            masks["begin"] |= bit * (entry.start is None)
            masks["end"] |= bit * (entry.stop is None)
            first, last, stride = entry.start or 0, entry.stop or 0, entry.step or 1
        begin.append(first), end.append(last), strides.append(stride)
    x = Operand(shape, dtype)
    options = {f"{name}_mask": mask for name, mask in masks.items()}
    constants = (numbers(n, numbers_dtype) for n in (begin, end, strides))
    y = replace(x, shape=_of_shape(shape, *entries))
    return Layer("STRIDED_SLICE", (x, *constants), y, options)


def _parts(shape: tuple[int, ...], axis: int, sizes: Sequence[int], dtype: str) -> list[Operand]:
    x = Operand(shape, dtype)
    return [
        replace(x, shape=(*shape[: axis % len(shape)], size, *shape[axis % len(shape) + 1 :]))
        for size in sizes
    ]


def _split(shape: tuple[int, ...], axis: int, count: int, dtype: str = "int8") -> Layer:
    first, *rest = _parts(shape, axis, [shape[axis] // count] * count, dtype)
    inputs = numbers(axis), Operand(shape, dtype)
    return Layer("SPLIT", inputs, first, {"num_splits": count}, more_outputs=tuple(rest))


def _split_v(
    shape: tuple[int, ...],
    axis: int,
    *sizes: int,
    dtype: str = "int8",
    sizes_dtype: str = "int32",
) -> Layer:
    whole = [shape[axis] - sum(sizes) - 1 if size < 0 else size for size in sizes]
    first, *rest = _parts(shape, axis, whole, dtype)
    inputs = Operand(shape, dtype), numbers(sizes, sizes_dtype), numbers(axis)
    options = {"num_splits": len(sizes)}
    return Layer("SPLIT_V", inputs, first, options, more_outputs=tuple(rest))


def _pack(shape: tuple[int, ...], axis: int, count: int, dtype: str = "int8") -> Layer:
    at = axis % (len(shape) + 1)
    x = Operand(shape, dtype)
    y = replace(x, shape=(*shape[:at], count, *shape[at:]))
    return Layer("PACK", (x,) * count, y, {"values_count": count, "axis": axis})


def _unpack(shape: tuple[int, ...], axis: int, dtype: str = "int8") -> Layer:
    at = axis % len(shape)
    x = Operand(shape, dtype)
    y = replace(x, shape=(*shape[:at], *shape[at + 1 :]))
    count = shape[at]
    options = {"num": count, "axis": axis}
    return Layer("UNPACK", (x,), y, options, more_outputs=(y,) * (count - 1))


_S = slice
TABLES = {
    "SLICE": {
        "rows": _slice(_IMAGE, (0, 1), (1, 2), (0, -1), (0, -1)),
        "columns": _slice(_IMAGE, (0, 1), (0, 4), (2, 3), (0, 5)),
        "channels": _slice(_IMAGE, (0, 1), (0, 4), (0, 6), (1, 3)),
        "box": _slice(_IMAGE, (0, 1), (1, -1), (3, 2), (2, 2)),
        "view": _slice((4, 4), (1, 2), (0, 4)),
        "unaligned": _slice((4, 3), (1, 2), (0, 3)),
        "rank_5": _slice((2, 2, 3, 2, 3), (1, 1), (0, 2), (1, 2), (0, -1), (1, 1)),
        "float": _slice(_IMAGE, (0, 1), (1, 2), (1, 3), (0, -1), dtype="float32"),
        "int16": _slice((3, 4), (0, 3), (1, 2), dtype="int16"),
        "int32": _slice((3, 4), (1, 2), (0, 4), dtype="int32"),
    },
    "STRIDED_SLICE": {
        "plain": _strided(_IMAGE, _S(0, 1), _S(1, 3), _S(0, 6), _S(0, 5)),
        "strides": _strided(_IMAGE, _S(None), _S(0, 4, 2), _S(1, 6, 3), _S(None)),
        "channels": _strided(_IMAGE, _S(None), _S(None), _S(None), _S(1, None, 2)),
        "backwards": _strided(_IMAGE, _S(None), _S(None, None, -1), _S(4, 0, -2)),
        "negative_ends": _strided((7, 5), _S(-5, -1), _S(0, -2)),
        "shrunk": _strided(_IMAGE, 0, _S(1, 3), -1),
        "shrunk_to_scalar": _strided((5,), 3),
        "ellipsis": _strided(_IMAGE, ..., _S(1, 3)),
        "new_axis": _strided((3, 4), _S(1, 3), None, _S(0, 4, 2)),
        "fewer_entries": _strided((4, 3, 2), _S(1, 3)),
        "beyond_the_end": _strided((4, 3), _S(1, 100), _S(-100, 2)),
        "float": _strided(_IMAGE, _S(None), _S(0, 4, 2), _S(None, None, -1), dtype="float32"),
        "int64": _strided((5, 4), _S(1, 4), _S(None, None, 2), dtype="int32"),
    },
    "SPLIT": {
        "channels": _split((1, 3, 2, 6), 3, 3),
        "long_rows": _split((2, 3, 32), -1, 2),
        "views": _split((4, 4), 0, 2),
        "unaligned": _split((4, 3), 0, 4),
        "one": _split((4, 3), 0, 1),
        "float": _split((2, 6, 2), 1, 2, "float32"),
        "int16": _split((2, 6, 2), 1, 3, "int16"),
    },
    "SPLIT_V": {
        "channels": _split_v((1, 3, 2, 7), 3, 3, 4),
        "rest": _split_v((2, 9), -1, 2, -1, 3),
        "views": _split_v((6, 4), 0, 1, 3, 2),
        "int64_sizes": _split_v((5, 2), 0, 1, 4, sizes_dtype="int64"),
        "float": _split_v((2, 5, 3), 1, 2, 3, dtype="float32"),
    },
    "PACK": {
        "outermost": _pack((2, 4), 0, 3),
        "middle": _pack((2, 3, 4), 1, 2),
        "innermost": _pack((2, 3), -1, 3),
        "scalars": _pack((), 0, 3),
        "one": _pack((2, 3), 1, 1),
        "float": _pack((2, 9), 1, 2, "float32"),
        "int32": _pack((), 0, 4, "int32"),
    },
    "UNPACK": {
        "outermost": _unpack((3, 4), 0),
        "unaligned": _unpack((3, 5), 0),
        "middle": _unpack((2, 3, 9), 1),
        "innermost": _unpack((2, 3, 4), -1),
        "to_scalars": _unpack((3,), 0),
        "float": _unpack((2, 3, 2), 1, "float32"),
        "int32": _unpack((2, 3), 0, "int32"),
    },
}
_EVERY = {f"{o}/{name}": layer for o, table in TABLES.items() for name, layer in table.items()}


@pytest.mark.parametrize("layer", _EVERY.values(), ids=_EVERY)
def test_reference_is_litert(layer: Layer) -> None:
    cases.assert_is_litert(layer)


_end = st.none() | st.integers(-6, 6)
_entry = st.builds(slice, _end, _end, st.sampled_from([None, 1, 2, 3, -1, -2]))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(shape=cases.shape, entries=st.lists(_entry, min_size=1, max_size=4))
def test_any_strided_slice(shape: tuple[int, ...], entries: list[slice]) -> None:
    chosen = entries[: len(shape)]
    if all(_of_shape(shape, *chosen)):
        cases.assert_is_litert(_strided(shape, *chosen))


_X = Tensor(0, "x", (4, 3), "int8", Quantization((0.5,), (0,)))


def _outputs(*shapes: tuple[int, ...]) -> tuple[Tensor, ...]:
    return tuple(replace(_X, index=10 + i, shape=shape) for i, shape in enumerate(shapes))


def _constant(*values: int, dtype: str = "int32") -> Tensor:
    return Tensor(5, "c", (len(values),), dtype, data=np.array(values, dtype))


def _node(operator: str, inputs: Sequence[Tensor | None], *shapes: Any, **options: Any) -> Node:
    return Node(0, operator, 1, tuple(inputs), _outputs(*shapes), options)


_RUN_TIME = replace(_constant(0), data=None)
_ONES = _constant(1, 1)
_REFUSED = [
    (_node("SLICE", [_X, _ONES], (1, 1)), "2 inputs"),
    (_node("SLICE", [_X, _RUN_TIME, _ONES], (1, 1)), "run time"),
    (_node("SLICE", [_X, _constant(0), _ONES], (1, 1)), "1 numbers as begin"),
    (_node("SLICE", [_X, _constant(0, 3), _ONES], (1, 1)), "a box of"),
    (_node("SLICE", [_X, _ONES, _ONES], (1, 2)), "but the inputs"),
    (_node("STRIDED_SLICE", [_X, _ONES, _ONES, _constant(1, 0)], (1, 2)), "stride of 0"),
    (_node("STRIDED_SLICE", [_X, _ONES, _ONES, _constant(1)], (1, 2)), "1 numbers as strides"),
    (_node("STRIDED_SLICE", [_X, *[_constant(9)] * 3], (3,), shrink_axis_mask=1), "out of bounds"),
    (_node("STRIDED_SLICE", [_X, *[_ONES] * 3], (3,), offset=True), "counted from begin"),
    (_node("STRIDED_SLICE", [_X, *[_constant(1, 1, 1)] * 3], (3,)), "out of bounds"),
    (_node("SPLIT", [_RUN_TIME, _X], (2, 3), (2, 3)), "run time"),
    (_node("SPLIT", [_constant(2), _X], (2, 3), (2, 3)), "axis 2"),
    (_node("SPLIT", [_constant(0), _X], (1, 3), (1, 3), (1, 3)), "parts of"),
    (_node("SPLIT_V", [_X, _ONES, _constant(0)], (1, 3), (1, 3)), "parts of"),
    (_node("SPLIT_V", [_X, _ONES, _constant(0)], (1, 3)), "2 numbers as sizes"),
    (_node("PACK", [_X, None], (2, 4, 3)), "missing"),
    (_node("PACK", [_X, replace(_X, shape=(3, 4))], (2, 4, 3)), "inputs of"),
    (_node("PACK", [_X, _X], (2, 4, 3), axis=3), "axis 3"),
    (_node("PACK", [_X, _ONES], (2, 4, 3)), "int8 and int32"),
    (_node("UNPACK", [_X], (3,), (3,)), "2 outputs for a dimension of 4"),
    (_node("UNPACK", [_X], *[(4,)] * 4), "but the inputs"),
]


@pytest.mark.parametrize(("node", "reason"), _REFUSED)
def test_problems(node: Node, reason: str) -> None:
    cases.assert_refused(node.operator, node, reason)


@pytest.mark.parametrize(
    ("layer", "offsets"),
    [
        (TABLES["SLICE"]["view"], [4]),
        (TABLES["SLICE"]["unaligned"], None),
        (TABLES["SLICE"]["int32"], [16]),
        (TABLES["SPLIT"]["views"], [0, 8]),
        (TABLES["SPLIT_V"]["views"], [0, 4, 16]),
        (TABLES["UNPACK"]["outermost"], [0, 4, 8]),
        (TABLES["PACK"]["one"], [0]),
        (TABLES["STRIDED_SLICE"]["strides"], None),
    ],
)
def test_what_is_a_view(layer: Layer, offsets: list[int] | None) -> None:
    operator = find_operator(layer.operator)
    assert operator is not None
    results = operator.results(layer.node(), Oracle.LITERT)
    found = [result.offset for result in results if isinstance(result, Alias)]
    assert found == (offsets or [])
