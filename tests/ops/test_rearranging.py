"""Operators that rearrange elements by other means than slicing, against LiteRT's kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

import layer_cases as cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_cases import Layer, Operand, numbers

from tvmtiny.ops import Alias, Node, Oracle, Quantization, Tensor, find_operator

FAMILY = "rearranging"

_IMAGE = (1, 4, 6, 5)


def _layer(
    operator: str,
    shape: Sequence[int],
    output: Sequence[int],
    *constants: Operand,
    dtype: str = "int8",
    version: int = 2,
    **options: Any,
) -> Layer:
    x = Operand(tuple(shape), dtype, zero_point=-7)
    y = replace(x, shape=tuple(output))
    return Layer(operator, (x, *constants), y, options, version)


def _transpose(shape: tuple[int, ...], *order: int, dtype: str = "int8") -> Layer:
    return _layer("TRANSPOSE", shape, [shape[i] for i in order], numbers(order), dtype=dtype)


def _reverse(shape: tuple[int, ...], *axes: int, dtype: str = "int32") -> Layer:
    return _layer("REVERSE_V2", shape, shape, numbers(axes), dtype=dtype)


def _tile(shape: tuple[int, ...], *multiples: int, dtype: str = "int8", **types: str) -> Layer:
    output = [d * n for d, n in zip(shape, multiples, strict=True)]
    return _layer("TILE", shape, output, numbers(multiples, **types), dtype=dtype)


def _broadcast(shape: tuple[int, ...], *output: int, dtype: str = "int8", **types: str) -> Layer:
    return _layer("BROADCAST_TO", shape, output, numbers(output, **types), dtype=dtype)


def _mirror(
    shape: tuple[int, ...], *pairs: tuple[int, int], mode: str = "REFLECT", dtype: str = "int8"
) -> Layer:
    output = [a + d + b for d, (a, b) in zip(shape, pairs, strict=True)]
    return _layer("MIRROR_PAD", shape, output, numbers(pairs), dtype=dtype, mode=mode)


def _pad(
    shape: tuple[int, ...], *pairs: tuple[int, int], value: float = 5, dtype: str = "int8"
) -> Layer:
    output = [a + d + b for d, (a, b) in zip(shape, pairs, strict=True)]
    scaled = Operand((), dtype, zero_point=-7, value=np.array(value, dtype))
    return _layer("PADV2", shape, output, numbers(pairs), scaled, dtype=dtype)


def _to_depth(shape: tuple[int, ...], block: int, dtype: str = "int8") -> Layer:
    n, height, width, channels = shape
    output = n, height // block, width // block, channels * block * block
    return _layer("SPACE_TO_DEPTH", shape, output, dtype=dtype, block_size=block)


def _to_space(shape: tuple[int, ...], block: int, dtype: str = "int8") -> Layer:
    n, height, width, channels = shape
    output = n, height * block, width * block, channels // block // block
    return _layer("DEPTH_TO_SPACE", shape, output, dtype=dtype, version=1, block_size=block)


def _to_batch(
    shape: tuple[int, ...], blocks: tuple[int, ...], *pairs: tuple[int, int], dtype: str = "int8"
) -> Layer:
    sizes = [
        (a + d + b) // block for d, block, (a, b) in zip(shape[1:-1], blocks, pairs, strict=True)
    ]
    output = (shape[0] * prod(blocks), *sizes, shape[-1])
    return _layer("SPACE_TO_BATCH_ND", shape, output, numbers(blocks), numbers(pairs), dtype=dtype)


def _from_batch(
    shape: tuple[int, ...], blocks: tuple[int, ...], *pairs: tuple[int, int], dtype: str = "int8"
) -> Layer:
    sizes = [d * block - a - b for d, block, (a, b) in zip(shape[1:-1], blocks, pairs, strict=True)]
    output = (shape[0] // prod(blocks), *sizes, shape[-1])
    return _layer("BATCH_TO_SPACE_ND", shape, output, numbers(blocks), numbers(pairs), dtype=dtype)


TABLES = {
    "SQUEEZE": {
        "every": _layer("SQUEEZE", (1, 3, 1, 4), (3, 4), squeeze_dims=[]),
        "some": _layer("SQUEEZE", (1, 3, 1, 4), (1, 3, 4), squeeze_dims=[-2], version=1),
        "float": _layer("SQUEEZE", (2, 1), (2,), squeeze_dims=[1], dtype="float32"),
    },
    "EXPAND_DIMS": {
        "first": _layer("EXPAND_DIMS", (3, 4), (1, 3, 4), numbers(0), version=1),
        "last": _layer("EXPAND_DIMS", (3,), (3, 1), numbers(-1, "int64"), version=1),
        "scalar": _layer("EXPAND_DIMS", (), (1,), numbers([0]), dtype="float32", version=1),
    },
    "TRANSPOSE": {
        "to_planes": _transpose(_IMAGE, 0, 3, 1, 2),
        "from_planes": _transpose(_IMAGE, 0, 2, 3, 1),
        "matrix": _transpose((7, 5), 1, 0),
        "rows": _transpose((2, 3, 9), 1, 0, 2),
        "view": _transpose((1, 3, 1, 4), 1, 0, 3, 2),
        "rank_5": _transpose((2, 3, 2, 1, 3), 4, 2, 3, 0, 1),
        "float": _transpose(_IMAGE, 0, 3, 1, 2, dtype="float32"),
        "int16": _transpose((3, 4), 1, 0, dtype="int16"),
    },
    "REVERSE_V2": {
        "innermost": _reverse((2, 3, 4), 2),
        "negative": _reverse((2, 3, 4), -3),
        "middle": _reverse((2, 3, 8), 1, dtype="float32"),
        "bool": _reverse((3, 4), 0, dtype="bool"),
    },
    "TILE": {
        "innermost": _tile((2, 3), 1, 3),
        "outermost": _tile((2, 5), 2, 1),
        "every": _tile((2, 3, 4), 2, 1, 3),
        "int64_multiples": _tile((2, 9), 3, 2, dtype="float32"),
        "bool": _tile((2, 3), 2, 2, dtype="bool"),
    },
    "BROADCAST_TO": {
        "rows": _broadcast((1, 9), 4, 9),
        "columns": _broadcast((3, 1), 3, 5),
        "new_dimensions": _broadcast((3,), 2, 2, 3),
        "scalar": _broadcast((), 2, 3),
        "float": _broadcast((2, 1, 3), 2, 4, 3, dtype="float32"),
    },
    "MIRROR_PAD": {
        "image": _mirror(_IMAGE, (0, 0), (1, 2), (3, 1), (0, 0)),
        "symmetric": _mirror(_IMAGE, (0, 0), (1, 2), (3, 1), (0, 0), mode="SYMMETRIC"),
        "channels": _mirror((2, 5), (0, 1), (4, 2)),
        "all_of_it": _mirror((3, 3), (2, 2), (2, 2)),
        "float": _mirror((3, 4), (1, 1), (2, 0), dtype="float32"),
    },
    "PADV2": {
        "image": _pad(_IMAGE, (0, 0), (1, 2), (3, 1), (0, 0)),
        "channels": _pad((2, 3), (1, 0), (0, 2), value=-128),
        "float": _pad((2, 3), (1, 0), (2, 2), value=-1.5, dtype="float32"),
        "int32": _pad((2, 3), (1, 0), (2, 2), value=70000, dtype="int32"),
        "int16": _pad((2, 3), (1, 0), (2, 2), value=700, dtype="int16"),
        "nothing": _pad((2, 3), (0, 0), (0, 0)),
    },
    "SPACE_TO_DEPTH": {
        "blocks_of_2": _to_depth((2, 4, 6, 3), 2),
        "blocks_of_3": _to_depth((1, 3, 6, 1), 3),
        "many_channels": _to_depth((1, 4, 4, 8), 2),
        "float": _to_depth((1, 4, 4, 2), 2, "float32"),
    },
    "DEPTH_TO_SPACE": {
        "blocks_of_2": _to_space((2, 2, 3, 12), 2),
        "blocks_of_3": _to_space((1, 2, 1, 9), 3),
        "many_channels": _to_space((1, 2, 2, 32), 2),
        "float": _to_space((1, 2, 2, 8), 2, "float32"),
    },
    "SPACE_TO_BATCH_ND": {
        "plain": _to_batch((2, 4, 6, 3), (2, 2), (0, 0), (0, 0)),
        "padded": _to_batch((1, 5, 4, 2), (3, 2), (1, 0), (2, 2)),
        "rank_3": _to_batch((2, 5, 9), (3,), (1, 3)),
        "float": _to_batch((1, 4, 2, 3), (2, 1), (1, 1), (1, 0), dtype="float32"),
    },
    "BATCH_TO_SPACE_ND": {
        "plain": _from_batch((8, 2, 3, 3), (2, 2), (0, 0), (0, 0)),
        "cropped": _from_batch((6, 2, 4, 2), (3, 2), (1, 0), (2, 1)),
        "rank_3": _from_batch((6, 3, 9), (3,), (1, 3)),
        "float": _from_batch((2, 3, 3, 3), (2, 1), (1, 1), (1, 0), dtype="float32"),
    },
}
_EVERY = {f"{o}/{name}": layer for o, table in TABLES.items() for name, layer in table.items()}


@pytest.mark.parametrize("layer", _EVERY.values(), ids=_EVERY)
def test_reference_is_litert(layer: Layer) -> None:
    cases.assert_is_litert(layer)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(shape=cases.shape, data=st.data())
def test_any_transpose(shape: tuple[int, ...], data: st.DataObject) -> None:
    cases.assert_is_litert(_transpose(shape, *data.draw(st.permutations(range(len(shape))))))


_dimension = st.tuples(
    st.integers(1, 4), st.integers(1, 3), st.tuples(st.integers(0, 3), st.integers(0, 3))
)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    sizes=st.lists(_dimension, min_size=1, max_size=2),
    batch=st.integers(1, 2),
    channels=st.integers(1, 3),
)
def test_any_blocks(sizes: list[Any], batch: int, channels: int) -> None:
    blocks, pairs = tuple(block for _, block, _ in sizes), [pair for *_, pair in sizes]
    padded = [(d + (-d - a - b) % block, (a, b)) for d, block, (a, b) in sizes]
    shape = (batch, *(d for d, _ in padded), channels)
    cases.assert_is_litert(_to_batch(shape, blocks, *pairs))
    whole = (batch * prod(blocks), *(d for d, *_ in sizes), channels)
    if all(d * block > sum(pair) for d, block, pair in sizes):
        cases.assert_is_litert(_from_batch(whole, blocks, *pairs))


_X = Tensor(0, "x", (4, 3), "int8", Quantization((0.5,), (0,)))


def _node(operator: str, inputs: Sequence[Any], shape: Sequence[int], **options: Any) -> Node:
    constants = [
        i
        if i is None or isinstance(i, Tensor)
        else Tensor(5, "c", np.shape(i), "int32", data=np.array(i, np.int32))
        for i in inputs
    ]
    y = replace(_X, index=10, shape=tuple(shape))
    return Node(0, operator, 1, tuple(constants), (y,), options)


_RUN_TIME = Tensor(6, "r", (2,), "int32")
_IMAGE_4 = replace(_X, shape=(1, 4, 4, 3))
_REFUSED = [
    (_node("SQUEEZE", [_X], (12,), squeeze_dims=[0]), "size 1"),
    (_node("SQUEEZE", [_X], (12,), squeeze_dims=[2]), "axis 2"),
    (_node("SQUEEZE", [_X], (12,)), "but the inputs"),
    (_node("EXPAND_DIMS", [_X, _RUN_TIME], (1, 4, 3)), "run time"),
    (_node("EXPAND_DIMS", [_X, [3]], (1, 4, 3)), "axis 3"),
    (_node("EXPAND_DIMS", [_X, [0]], (4, 1, 3)), "but the inputs"),
    (_node("TRANSPOSE", [_X, _RUN_TIME], (3, 4)), "run time"),
    (_node("TRANSPOSE", [_X, [1, 1]], (3, 3)), "order [1, 1]"),
    (_node("TRANSPOSE", [_X, [1]], (3, 4)), "1 numbers as order"),
    (_node("TRANSPOSE", [_X, [1, 0]], (4, 3)), "but the inputs"),
    (_node("REVERSE_V2", [_X, [2]], (4, 3)), "axis 2"),
    (_node("TILE", [_X, [0, 1]], (0, 3)), "multiples [0, 1]"),
    (_node("TILE", [_X, [2, 1]], (4, 3)), "but the inputs"),
    # The tensor has more indices than memory holds.
    (_node("TILE", [_X, [2, 1 << 28]], (4, 3)), "but the inputs"),
    (_node("BROADCAST_TO", [_X, [1 << 30, *_X.shape]], (4, 3)), "but the inputs"),
    (_node("BROADCAST_TO", [_X, [8, 3]], (8, 3)), "broadcast to [8, 3]"),
    (_node("BROADCAST_TO", [_X, [3]], (3,)), "broadcast to [3]"),
    (_node("MIRROR_PAD", [_X, [[0, 0], [3, 0]]], (4, 6)), "paddings (3, 0)"),
    (_node("PADV2", [_X, [[0, 0], [1, 0]], _RUN_TIME], (4, 4)), "value computed at run time"),
    (_node("PADV2", [_X, [[0, 0], [1, 0]], [1]], (4, 4)), "int8 and int32"),
    (_node("PADV2", [_X, [[0, 0]], replace(_X, shape=(1,))], (4, 4)), "paddings of shape"),
    (_node("SPACE_TO_DEPTH", [_IMAGE_4], (1, 1, 1, 27), block_size=3), "blocks of 3"),
    (_node("SPACE_TO_DEPTH", [_IMAGE_4], (1, 2, 2, 3), block_size=2), "but the inputs"),
    (_node("DEPTH_TO_SPACE", [_IMAGE_4], (1, 8, 8, 1), block_size=2), "blocks of 2"),
    (_node("DEPTH_TO_SPACE", [_IMAGE_4], (1, 8, 8, 1)), "blocks of 0"),
    (_node("SPACE_TO_BATCH_ND", [_IMAGE_4, [3, 1], [[0, 0]] * 2], (3, 1, 4, 3)), "blocks of [3"),
    (_node("SPACE_TO_BATCH_ND", [_X, [2], [[0, 0]]], (8, 3)), "2 dimensions"),
    (_node("BATCH_TO_SPACE_ND", [_IMAGE_4, [2, 1], [[0, 0]] * 2], (1, 8, 4, 3)), "blocks of [2"),
    (
        _node("BATCH_TO_SPACE_ND", [_IMAGE_4, [1, 1], [[2, 2], [0, 0]]], (1, 0, 4, 3)),
        "batch that is divisible",
    ),
]


@pytest.mark.parametrize(("node", "reason"), _REFUSED)
def test_problems(node: Node, reason: str) -> None:
    found = find_operator(node.operator)
    assert found is not None
    reasons = [f"{problem.reason} {problem.allowed}" for problem in found.check(node)]
    assert any(reason in text for text in reasons), reasons


def test_what_is_a_view() -> None:
    table = TABLES["TRANSPOSE"]
    operator = find_operator("TRANSPOSE")
    assert operator is not None
    results = {n: operator.compute(layer.node(), Oracle.LITERT) for n, layer in table.items()}
    assert {name for name, result in results.items() if isinstance(result, Alias)} == {"view"}
