"""Slices chosen by indices, for GATHER, GATHER_ND and EMBEDDING_LOOKUP.

Indices that are known at compile time become addresses; others are read at run time. LiteRT fails
if an index is out of range; the generated code then takes the nearest slice that exists.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from tvm import te, tirx

from tvmtiny.ops.shared.expressions import Expression, elementwise
from tvmtiny.ops.shared.movement import dense, moved, piece, selection, strides, whole
from tvmtiny.ops.shared.node import Node, Tensor
from tvmtiny.ops.shared.operator import Compute, Problem, Result

#: Exactness of the operators that gather slices.
EXACTNESS = "bit-exact (values are copied); indices out of range are clamped"


def check_indices(
    indices: Tensor, limits: Sequence[int], dtypes: Sequence[str]
) -> Iterator[Problem]:
    """Yield a problem for indices of another dtype, and for constants that are out of range.

    Parameters
    ----------
    indices
        The indices.
    limits
        Number of slices: one entry for all indices, or one for each index in the last dimension.
    dtypes
        Dtypes that are accepted.
    """
    if indices.dtype not in dtypes:
        yield Problem(f"{indices.dtype} indices", " or ".join(dtypes))
    elif indices.data is not None and indices.elements:
        bounds = np.array(limits)
        if (indices.data < 0).any() or (indices.data >= bounds).any():
            last = ", ".join(f"0 to {bound - 1}" for bound in limits)
            yield Problem("indices that are out of range", f"indices from {last}")


def taken(node: Node, x: Tensor, indices: Tensor, axis: int, batch: int) -> Result:
    """Compute ``np.take`` along `axis`, with the first `batch` dimensions of both in common."""
    if indices.data is not None and batch == 0:
        every = whole(x.shape)
        every[axis] = indices.data.reshape(-1)
        return moved(node, [selection(x.shape, every)], [x])
    rank = len(indices.shape)

    def expression(source: te.Tensor, index: te.Tensor) -> te.Tensor:
        def value(*i: Expression) -> Expression:
            chosen = i[axis : axis + rank - batch]
            number = index(*((*i[:batch], *chosen) or (0,)))
            position = _clamped(number, x.shape[axis])
            return source(*i[:axis], position, *i[axis + rank - batch :])

        return elementwise(node.output.shape, value)

    return Compute((x, indices), expression)


def taken_nd(node: Node, x: Tensor, indices: Tensor) -> Result:
    """Compute ``x[tuple(indices)]``; the last dimension of the indices is a position in `x`."""
    *outer, depth = indices.shape
    if indices.data is not None:
        steps = np.array(strides(x.shape)[:depth], np.int64)
        reads = [indices.data.reshape(-1, depth) @ steps, *dense(x.shape)[depth:]]
        return moved(node, [piece(reads, dense([len(reads[0]), *x.shape[depth:]]))], [x])

    def expression(source: te.Tensor, index: te.Tensor) -> te.Tensor:
        def value(*i: Expression) -> Expression:
            inner = i[len(outer) :] if node.output.shape else ()
            numbers = (index(*i[: len(outer)], k) for k in range(depth))
            position = [_clamped(n, d) for n, d in zip(numbers, x.shape, strict=False)]
            return source(*position, *inner)

        return elementwise(node.output.shape, value)

    return Compute((x, indices), expression)


def _clamped(index: Expression, size: int) -> Expression:
    return tirx.max(tirx.min(index.astype("int32"), size - 1), 0)
