"""Operators that only move elements: where each element is read and written.

Such an operator is a few loop nests. The position of an element, both in the input and in the
output, is a sum of one offset per loop. Most offsets are an index times a stride; others come from
a table. Indices are never divided.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from tvmtiny.ops.shared.node import DTYPE_BYTES, Node, Tensor

#: Kernels access activations by words, so a view has to start at a word.
_VIEW_ALIGNMENT = 4

#: The offset of each iteration, as a stride or as a table.
Offsets = int | tuple[int, ...]


@dataclass(frozen=True)
class Alias:
    """An output that is a view of an input's bytes, without code or memory of its own.

    Attributes
    ----------
    source
        The input.
    offset
        Offset in bytes of the first byte in `source`.
    """

    source: Tensor
    offset: int = 0


@dataclass(frozen=True)
class Loop:
    """A loop of a `Piece`; offsets are in elements, and the first one is 0."""

    extent: int
    read: Offsets
    write: Offsets


@dataclass(frozen=True)
class Piece:
    """A loop nest that copies elements of one source.

    Attributes
    ----------
    source
        Position in `Movement.sources`.
    read, write
        Positions of the first element.
    loops
        The loops, outermost first.
    """

    source: int
    read: int
    write: int
    loops: tuple[Loop, ...]


@dataclass(frozen=True, eq=False)
class Movement:
    """An output made of elements of the inputs.

    Attributes
    ----------
    sources
        Activations or constants of the output's dtype.
    output
        The output.
    pieces
        The loop nests.
    fill
        Value of all elements that no piece writes; None if the pieces cover the output.
    """

    sources: tuple[Tensor, ...]
    output: Tensor
    pieces: tuple[Piece, ...]
    fill: float | int | None = None


def strides(shape: Sequence[int]) -> list[int]:
    """Return the distances between neighbours along each dimension of a dense tensor."""
    return [prod(shape[axis + 1 :]) for axis in range(len(shape))]


def piece(
    reads: Sequence[np.ndarray], writes: Sequence[np.ndarray], source: int = 0
) -> Piece | None:
    """Make a piece whose positions are sums of one entry of each array.

    Parameters
    ----------
    reads, writes
        Offsets of the iterations of each loop, outermost loop first.
    source
        Position in `Movement.sources`.

    Returns
    -------
    Piece or None
        A piece with as few and as long loops as possible, and with strides for regular offsets.
        None if there is nothing to move.
    """
    if any(len(offsets) == 0 for offsets in reads):
        return None
    loops: list[Loop] = []
    for read, write in zip(reads, writes, strict=True):
        for loop in _factors(np.asarray(read, np.int64), np.asarray(write, np.int64)):
            merged = _merged(loops[-1], loop) if loops else None
            if merged is None:
                loops.append(loop)
            else:
                loops[-1] = merged
    # Elements that are adjacent in both tensors are copied as one run of bytes.
    loops.sort(key=lambda loop: (loop.read, loop.write) == (1, 1))
    return Piece(
        source,
        sum(int(offsets[0]) for offsets in reads),
        sum(int(offsets[0]) for offsets in writes),
        tuple(loops),
    )


def selection(shape: Sequence[int], indices: Sequence[Sequence[int] | np.ndarray]) -> Piece | None:
    """Make the piece that writes ``x[np.ix_(*indices)]`` densely, for `x` of `shape`."""
    picked = [np.asarray(index, np.int64) for index in indices]
    return piece(
        [index * stride for index, stride in zip(picked, strides(shape), strict=True)],
        dense([len(index) for index in picked]),
    )


def permutation(shape: Sequence[int], order: Sequence[int]) -> Piece | None:
    """Make the piece that writes ``x.transpose(order)`` densely, for `x` of `shape`."""
    steps = strides(shape)
    return piece(
        [np.arange(shape[axis]) * steps[axis] for axis in order],
        dense([shape[axis] for axis in order]),
    )


def dense(shape: Sequence[int]) -> list[np.ndarray]:
    """Return the offsets of a dense tensor for each dimension."""
    return [np.arange(d) * stride for d, stride in zip(shape, strides(shape), strict=True)]


def moved(
    node: Node,
    pieces: Sequence[Piece | None],
    sources: Sequence[Tensor] | None = None,
    fill: float | int | None = None,
    output: int = 0,
) -> Movement | Alias:
    """Combine pieces to a result of `Operator.compute`; a single contiguous run becomes a view.

    Parameters
    ----------
    node
        The node.
    pieces
        The pieces; None for nothing to move.
    sources
        Sources of the pieces; by default the first input.
    fill
        Value of all elements that no piece writes.
    output
        Position among the node's outputs.
    """
    whole = tuple(sources or (node.input(0),))
    target = node.outputs[output]
    found = tuple(p for p in pieces if p is not None)
    if len(found) == 1:
        (only,) = found
        begin = only.read * DTYPE_BYTES[target.dtype]
        run = only.loops in ((), (Loop(target.elements, 1, 1),))
        alignment = max(_VIEW_ALIGNMENT, DTYPE_BYTES[target.dtype])
        if run and _count(only) == target.elements and begin % alignment == 0:
            return Alias(whole[only.source], begin)
    covered = sum(map(_count, found)) == target.elements
    return Movement(whole, target, found, None if covered else fill)


def _count(moved: Piece) -> int:
    return prod(loop.extent for loop in moved.loops)


def _factors(read: np.ndarray, write: np.ndarray) -> list[Loop]:
    """Return loops whose offsets add up to those of one loop, with strides if possible."""
    extent = len(read)
    if extent == 1:
        return []
    if _regular(read) and _regular(write):
        return [Loop(extent, int(read[1] - read[0]), int(write[1] - write[0]))]
    for inner in range(extent // 2, 1, -1):
        if extent % inner:
            continue
        r, w = read.reshape(-1, inner), write.reshape(-1, inner)
        if all(_regular(o[0]) and (o - o[:, :1] == o[0] - o[0, 0]).all() for o in (r, w)):
            return [*_factors(r[:, 0], w[:, 0]), *_factors(r[0], w[0])]
    return [Loop(extent, _offsets(read), _offsets(write))]


def _offsets(offsets: np.ndarray) -> Offsets:
    if _regular(offsets):
        return int(offsets[1] - offsets[0])
    return tuple((offsets - offsets[0]).tolist())


def _regular(offsets: np.ndarray) -> bool:
    return bool((np.diff(offsets, 2) == 0).all())


def _merged(outer: Loop, inner: Loop) -> Loop | None:
    """Merge two loops if the outer one continues where the inner one ends; else return None."""
    if isinstance(inner.read, tuple) or isinstance(inner.write, tuple):
        return None
    if (outer.read, outer.write) != (inner.read * inner.extent, inner.write * inner.extent):
        return None
    return Loop(outer.extent * inner.extent, inner.read, inner.write)


def whole(shape: Sequence[int]) -> list[np.ndarray]:
    """Return all indices of each dimension, for `movement.selection`."""
    return [np.arange(d) for d in shape]


def replaced(shape: Sequence[int], axis: int, size: int) -> tuple[int, ...]:
    """Return `shape` with another size along one dimension."""
    axis %= len(shape)
    return (*shape[:axis], size, *shape[axis + 1 :])
