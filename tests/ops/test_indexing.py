"""Operators that choose positions at run time, against LiteRT's reference kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import layer_cases as cases
import numpy as np
import pytest
from layer_cases import Layer, Operand, numbers

from tvmtiny.ops import Node, Oracle, Quantization, Tensor, find_operator

FAMILY = "indexing"


def _indices(shape: tuple[int, ...], most: int, dtype: str = "int32") -> Operand:
    """Indices that are known only at run time."""
    return Operand(shape, dtype, limits=(0, most))


def _gather(
    shape: tuple[int, ...], axis: int, indices: Operand, batch: int = 0, dtype: str = "int8"
) -> Layer:
    x, at = Operand(shape, dtype), axis % len(shape)
    y = replace(x, shape=(*shape[:at], *indices.shape[batch:], *shape[at + 1 :]))
    return Layer("GATHER", (x, indices), y, {"axis": axis, "batch_dims": batch})


def _gather_nd(shape: tuple[int, ...], indices: Operand, dtype: str = "int8") -> Layer:
    x = Operand(shape, dtype)
    y = replace(x, shape=(*indices.shape[:-1], *shape[indices.shape[-1] :]))
    return Layer("GATHER_ND", (x, indices), y, {})


def _lookup(shape: tuple[int, ...], indices: Operand, dtype: str = "int8") -> Layer:
    x = Operand(shape, dtype)
    y = replace(x, shape=(*indices.shape, *shape[1:]))
    return Layer("EMBEDDING_LOOKUP", (indices, x), y)


def _one_hot(
    indices: Operand, depth: int, on: float = 1, off: float = 0, axis: int = -1, dtype: str = "int8"
) -> Layer:
    at = axis % (len(indices.shape) + 1)
    shape = (*indices.shape[:at], depth, *indices.shape[at:])
    values = (Operand((), dtype, value=np.array(v, dtype)) for v in (on, off))
    inputs = (indices, numbers(depth), *values)
    return Layer("ONE_HOT", inputs, Operand(shape, dtype), {"axis": axis}, 1)


def _scatter(
    shape: tuple[int, ...], indices: Operand, dtype: str = "int8", most: float | None = None
) -> Layer:
    depth = indices.shape[-1]
    limits = None if most is None else (-most, most)
    updates = Operand((*indices.shape[:-1], *shape[depth:]), dtype, limits=limits)
    return Layer("SCATTER_ND", (indices, updates, numbers(shape)), Operand(shape, dtype), None, 1)


def _reversed(
    shape: tuple[int, ...], sequence: int, batch: int, dtype: str, lengths: str = "int32"
) -> Layer:
    x = Operand(shape, dtype)
    inputs = (x, Operand((shape[batch],), lengths, limits=(0, shape[sequence])))
    return Layer("REVERSE_SEQUENCE", inputs, x, {"seq_dim": sequence, "batch_dim": batch}, 1)


def _updated(
    shape: tuple[int, ...], block: tuple[int, ...], dtype: str = "int8", starts: str = "int32"
) -> Layer:
    x, place = Operand(shape, dtype), Operand((len(shape),), starts, limits=(-2, 9))
    return Layer("DYNAMIC_UPDATE_SLICE", (x, replace(x, shape=block), place), x, None, 1)


def _shapes(left: list[int], right: list[int], dtype: str = "int32") -> Layer:
    inputs = (numbers(left, dtype), numbers(right, dtype))
    result = Operand((max(len(left), len(right)),), dtype)
    return Layer("BROADCAST_ARGS", inputs, result, None, 1)


TABLES = {
    "BROADCAST_ARGS": {
        "plain": _shapes([3, 1, 4], [2, 1]),
        "other_way": _shapes([1, 5], [7, 3, 1, 1], "int64"),
    },
    "DYNAMIC_UPDATE_SLICE": {
        "plain": _updated((4, 5), (2, 3)),
        "whole_rows": _updated((4, 3), (1, 3), "float32", "int64"),
        "whole": _updated((2, 2), (2, 2), "int16"),
        "bool": _updated((7,), (3,), "bool"),
    },
    "REVERSE_SEQUENCE": {
        "plain": _reversed((3, 5, 2), 1, 0, "float32"),
        "outermost": _reversed((4, 3, 2), 0, 2, "int16", "int64"),
        "innermost": _reversed((2, 6), 1, 0, "int32"),
    },
    "SCATTER_ND": {
        "rows": _scatter((5, 3), _indices((4, 1), 4)),
        "elements": _scatter((3, 4), _indices((2, 3, 2), 2), "int32"),
        "known": _scatter((4, 2), numbers([[3], [0], [3]]), "int64"),
        "float": _scatter((2, 3, 2), _indices((5, 2), 1), "float32", 8),
        "bool": _scatter((6,), _indices((4, 1), 5), "bool"),
    },
    "GATHER": {
        "rows": _gather((5, 3), 0, numbers([4, 0, 2, 2])),
        "columns": _gather((2, 5), -1, numbers([[4, 0], [1, 1]])),
        "middle": _gather((2, 3, 9), 1, numbers([2, 0], "int64")),
        "scalar": _gather((3, 4), 0, numbers(1)),
        "float": _gather((4, 3), 0, numbers([3, 1]), dtype="float32"),
        "run_time": _gather((5, 3), 0, _indices((2, 2), 4)),
        "run_time_scalar": _gather((5, 3), 1, _indices((), 2)),
        "run_time_int64": _gather((2, 4, 3), 1, _indices((3,), 3, "int64"), dtype="float32"),
        "batch": _gather((2, 4, 3), 1, _indices((2, 2), 3), 1),
        "constant_batch": _gather((2, 4), 1, numbers([[1, 3], [0, 0]]), 1),
    },
    "GATHER_ND": {
        "elements": _gather_nd((3, 4), numbers([[2, 0], [1, 3], [0, 0]])),
        "rows": _gather_nd((3, 9), numbers([[2], [0]])),
        "float": _gather_nd((2, 3, 2), numbers([[[1, 2]], [[0, 0]]], "int64"), "float32"),
        "run_time": _gather_nd((3, 4, 2), _indices((2, 2), 2)),
        "run_time_elements": _gather_nd((3, 3), _indices((4, 2), 2)),
    },
    "EMBEDDING_LOOKUP": {
        "plain": _lookup((5, 3), _indices((4,), 4)),
        "float": _lookup((5, 2, 2), _indices((3,), 4), "float32"),
    },
    "ONE_HOT": {
        "plain": _one_hot(_indices((3,), 3), 4),
        "values": _one_hot(_indices((2, 2), 3), 3, 7, -2, dtype="int32"),
        "outermost": _one_hot(_indices((3,), 4), 3, axis=0),
        "float": _one_hot(_indices((3,), 2, "int64"), 3, 2.5, -0.5, dtype="float32"),
        "bool": _one_hot(_indices((3,), 2), 3, True, False, dtype="bool"),
    },
}
_EVERY = {f"{o}/{name}": layer for o, table in TABLES.items() for name, layer in table.items()}


@pytest.mark.parametrize("layer", _EVERY.values(), ids=_EVERY)
def test_reference_is_litert(layer: Layer) -> None:
    cases.assert_is_litert(layer)


def test_indices_out_of_range_are_clamped() -> None:
    for layer, indices, expected in (
        (TABLES["GATHER"]["run_time"], [[-1, 9]], [0, 4]),
        (TABLES["EMBEDDING_LOOKUP"]["plain"], [-5, 9], [0, 4]),
    ):
        table = np.arange(15, dtype=np.int8).reshape(5, 3)
        inputs = [table, np.array(indices, np.int32)]
        if layer.operator == "EMBEDDING_LOOKUP":
            inputs.reverse()
        got = cases.reference(layer, inputs, Oracle.LITERT)
        np.testing.assert_array_equal(np.ravel(got[..., 0])[:2] // 3, expected)


_X = Tensor(0, "x", (4, 3), "int8", Quantization((0.5,), (0,)))
_F = replace(_X, dtype="float32", quantization=None)
_I = Tensor(1, "i", (2,), "int32", data=np.array([3, 0], np.int32))
_DEPTH = Tensor(2, "depth", (), "int32", data=np.array(3, np.int32))
_ON = Tensor(3, "on", (), "int8", data=np.array(1, np.int8))


def _node(operator: str, inputs: Sequence[Tensor], shape: Sequence[int], **options: Any) -> Node:
    y = replace(_X, index=10, shape=tuple(shape))
    return Node(0, operator, 1, tuple(inputs), (y,), options)


_REFUSED = [
    (_node("BROADCAST_ARGS", [replace(_I, shape=(2, 1)), _I], (2,)), "shapes that are"),
    (_node("BROADCAST_ARGS", [replace(_I, data=None), _I], (2,)), "shapes computed at run time"),
    (_node("BROADCAST_ARGS", [replace(_I, data=_I.data + 2), _I], (2,)), "do not broadcast"),
    (_node("DYNAMIC_UPDATE_SLICE", [_X, replace(_X, shape=(5, 3)), _I], (4, 3)), "a block of"),
    (_node("DYNAMIC_UPDATE_SLICE", [_X, _X, replace(_I, shape=(3,))], (4, 3)), "a block of"),
    (_node("DYNAMIC_UPDATE_SLICE", [_X, _X, replace(_I, dtype="int8")], (4, 3)), "int8"),
    (_node("REVERSE_SEQUENCE", [_F, _I], (4, 3), seq_dim=1, batch_dim=1), "along"),
    (_node("REVERSE_SEQUENCE", [_F, _I], (4, 3), seq_dim=1, batch_dim=0), "lengths of shape"),
    (_node("SCATTER_ND", [_I, _X, replace(_I, data=None)], (4, 3)), "run time"),
    (_node("SCATTER_ND", [replace(_I, shape=(2, 1)), _X, _I], (3, 0)), "slices of"),
    (_node("GATHER", [_X, _I], (2, 3), axis=2), "axis 2"),
    (_node("GATHER", [_X, _I], (4, 2), axis=1), "out of range"),
    (_node("GATHER", [_X, replace(_I, dtype="float32")], (2, 3)), "float32 indices"),
    (_node("GATHER", [_X, _I], (3, 3)), "the output is"),
    (_node("GATHER", [_X, _I], (4, 3), axis=1, batch_dims=1), "batch dimensions"),
    (_node("GATHER_ND", [_X, replace(_I, shape=(), data=None)], (3,)), "indices of shape"),
    (_node("GATHER_ND", [_X, replace(_I, shape=(3,), data=None)], (3,)), "indices of shape"),
    (_node("GATHER_ND", [_X, replace(_I, data=_I.data * 2)], ()), "out of range"),
    (_node("EMBEDDING_LOOKUP", [replace(_I, shape=(1, 2)), _X], (2, 3)), "indices of shape"),
    (_node("EMBEDDING_LOOKUP", [replace(_I, dtype="int64"), _X], (2, 3)), "int64 indices"),
    (_node("ONE_HOT", [_I, replace(_DEPTH, data=None), _ON, _ON], (2, 3)), "run time"),
    (_node("ONE_HOT", [_I, _DEPTH, _ON, _ON], (2, 3), axis=2), "axis 2"),
    (_node("ONE_HOT", [_I, _DEPTH, _ON, _I], (2, 3)), "int8 and int32"),
    (_node("ONE_HOT", [_I, _DEPTH, _ON, replace(_X, data=None)], (2, 3)), "values"),
]


@pytest.mark.parametrize(("node", "reason"), _REFUSED)
def test_problems(node: Node, reason: str) -> None:
    cases.assert_refused(node.operator, node, reason)


@pytest.mark.parametrize("name", ["rows", "columns", "middle"])
def test_known_indices_are_addresses(name: str) -> None:
    operator = find_operator("GATHER")
    assert operator is not None
    (result,) = operator.results(TABLES["GATHER"][name].node(), Oracle.LITERT)
    assert type(result).__name__ == "Movement"


def test_places_out_of_range_are_left_out_or_moved() -> None:
    scatter = TABLES["SCATTER_ND"]["rows"]
    indices, updates = np.array([[-1], [5], [2], [2]], np.int32), np.full((4, 3), 3, np.int8)
    got = cases.reference(scatter, [indices, updates, np.array([5, 3], np.int32)], Oracle.LITERT)
    assert got.tolist() == [[0] * 3, [0] * 3, [6] * 3, [0] * 3, [0] * 3]
    layer = TABLES["REVERSE_SEQUENCE"]["innermost"]
    rows, lengths = np.arange(12, dtype=np.int32).reshape(2, 6), np.array([9, -3], np.int32)
    got = cases.reference(layer, [rows, lengths], Oracle.LITERT)
    np.testing.assert_array_equal(got, [rows[0][::-1], rows[1]])
