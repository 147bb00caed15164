"""Concatenation of tensors along one dimension, for CONCATENATION and PACK."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tvmtiny.ops.shared.movement import Alias, Movement, dense, moved, piece, strides
from tvmtiny.ops.shared.node import Node, Tensor


def joined(
    node: Node, parts: Sequence[Tensor], axis: int, shapes: Sequence[tuple[int, ...]]
) -> Movement | Alias:
    """Place parts one after the other along `axis` of the output.

    Parameters
    ----------
    node
        The node.
    parts
        The tensors.
    axis
        The dimension of the output.
    shapes
        Shape of each part, with all dimensions of the output.
    """
    steps = strides(node.output.shape)
    pieces, start = [], 0
    for position, shape in enumerate(shapes):
        writes = [np.arange(size) * step for size, step in zip(shape, steps, strict=True)]
        writes[axis] += start * steps[axis]
        pieces.append(piece(dense(shape), writes, position))
        start += shape[axis]
    return moved(node, pieces, parts)
