"""Conversion of sparse constants of a .tflite file to dense ones.

A sparse tensor is a tree. Its levels are the dimensions of the tensor and of blocks within it, in
an order that the file states. A dense level has all indices of its dimension; a compressed level
lists the indices that occur below each node of the level above.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

#: TFLite's ``DimensionType``.
_DENSE, _COMPRESSED = 0, 1


class SparsityError(ValueError):
    """Raised if a sparse tensor's description contradicts itself, its shape or its data."""


def dense(values: np.ndarray, sparsity: Any, shape: Sequence[int]) -> np.ndarray:
    """Unpack a sparse tensor.

    Parameters
    ----------
    values
        The stored values, in the order of the file.
    sparsity
        The file's ``SparsityParametersT``.
    shape
        Shape of the tensor.

    Returns
    -------
    np.ndarray
        Array of the given shape and of the dtype of `values`; values that are not stored are 0.

    Raises
    ------
    SparsityError
        If levels, segments or indices do not fit together.
    """
    order, blocks, levels = (
        [] if part is None else list(part)
        for part in (sparsity.traversalOrder, sparsity.blockMap, sparsity.dimMetadata)
    )
    rank = len(shape)
    if sorted(order) != list(range(rank + len(blocks))) or len(levels) != len(order):
        raise SparsityError("its levels do not match its dimensions")
    if any(not 0 <= int(block) < rank for block in blocks):
        raise SparsityError("a block has no dimension")
    sizes = [1] * rank
    for level, dimension in zip(levels, order, strict=True):
        if dimension >= rank:
            sizes[int(blocks[dimension - rank])] *= int(level.denseSize)
    if min(sizes, default=1) < 1 or any(d % size for d, size in zip(shape, sizes, strict=True)):
        raise SparsityError("blocks do not fit the shape")
    extents = [d // size for d, size in zip(shape, sizes, strict=True)]
    extents += [int(levels[order.index(rank + i)].denseSize) for i in range(len(blocks))]

    # For each node of a level: its number, and its index in every level down to its own.
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
        raise SparsityError(f"{values.size} values are stored, but {nodes.size} positions")
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
    """Return numbers and indices of a compressed level's nodes, and the nodes above them."""
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
