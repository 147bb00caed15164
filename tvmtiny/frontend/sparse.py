"""Sparse constants of a .tflite file as dense ones.

A sparse tensor is a tree: its levels are dimensions of the tensor, and of blocks within it, in an
order that the file gives. A level is dense, with all its indices, or compressed: with the indices
that occur below each node of the level above.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

#: TFLite's ``DimensionType``.
_DENSE, _COMPRESSED = 0, 1


class SparsityError(ValueError):
    """The description of a sparse tensor contradicts itself, its shape or its data."""


def dense(values: np.ndarray, sparsity: Any, shape: Sequence[int]) -> np.ndarray:
    """Unpack a sparse tensor.

    Parameters
    ----------
    values
        What the file stores, in its order.
    sparsity
        The file's ``SparsityParametersT``.
    shape
        Of the tensor.

    Returns
    -------
    np.ndarray
        Of the dtype of `values` and `shape`, with zeros for what is not stored.

    Raises
    ------
    SparsityError
        If levels, segments or indices do not fit.
    """
    order, blocks, levels = (
        [] if part is None else list(part)
        for part in (sparsity.traversalOrder, sparsity.blockMap, sparsity.dimMetadata)
    )
    rank = len(shape)
    if sorted(order) != list(range(rank + len(blocks))) or len(levels) != len(order):
        raise SparsityError("its levels are not its dimensions")
    if any(not 0 <= int(block) < rank for block in blocks):
        raise SparsityError("a block lies along no dimension")
    sizes = [1] * rank
    for level, dimension in zip(levels, order, strict=True):
        if dimension >= rank:
            sizes[int(blocks[dimension - rank])] *= int(level.denseSize)
    if min(sizes, default=1) < 1 or any(d % size for d, size in zip(shape, sizes, strict=True)):
        raise SparsityError("blocks do not fit the shape")
    extents = [d // size for d, size in zip(shape, sizes, strict=True)]
    extents += [int(levels[order.index(rank + i)].denseSize) for i in range(len(blocks))]

    # Of each node of a level: its position among all, and its index in every level down to it.
    nodes, indices = np.zeros(1, np.int64), np.zeros((0, 1), np.int64)
    for level, dimension in zip(levels, order, strict=True):
        extent = extents[dimension]
        if level.format == _DENSE:
            if int(level.denseSize) != extent or nodes.size * extent > prod(shape):
                raise SparsityError("a dense level does not fit the shape")
            own = np.tile(np.arange(extent), nodes.size)
            above = np.repeat(np.arange(nodes.size), extent)
            nodes = nodes[above] * extent + own
        elif level.format == _COMPRESSED:
            nodes, own, above = _compressed(level, nodes, extent)
        else:
            raise SparsityError("a level is neither dense nor compressed")
        indices = np.concatenate([indices[:, above], own[None]])
    if nodes.size != values.size or np.any(nodes != np.arange(values.size)):
        raise SparsityError(f"{values.size} values are stored, but {nodes.size} have a place")
    by_dimension = indices[np.argsort(order)]
    places = [by_dimension[d] * sizes[d] for d in range(rank)]
    for i, block in enumerate(blocks):
        places[int(block)] = places[int(block)] + by_dimension[rank + i]
    result = np.zeros(shape, values.dtype)
    result[tuple(places)] = values
    return result


def _compressed(
    level: Any, nodes: np.ndarray, extent: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions and indices of the nodes of a compressed level, and which node each is below."""
    if level.arraySegments is None or level.arrayIndices is None:
        raise SparsityError("a compressed level has no indices")
    segments, found = (
        np.asarray([] if part.values is None else part.values).astype(np.int64)
        for part in (level.arraySegments, level.arrayIndices)
    )
    if segments.size != nodes.size + 1 or np.any(nodes != np.arange(nodes.size)):
        raise SparsityError("a compressed level has the wrong number of segments")
    counts = np.diff(segments)
    if segments[0] or segments[-1] != found.size or np.any(counts < 0):
        raise SparsityError("the segments of a compressed level do not fit its indices")
    if found.size and not 0 <= found.min() <= found.max() < extent:
        raise SparsityError("an index of a compressed level is beyond its dimension")
    return np.arange(found.size), found, np.repeat(np.arange(nodes.size), counts)
