"""Models with other weights, for estimates of design changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tvmtiny.frontend import Model
from tvmtiny.ops import Tensor
from tvmtiny.ops.shared.graph import Graph

__all__ = [
    "BLOCK_CHANNELS",
    "BLOCK_INPUTS",
    "block_zeros",
    "with_weights",
    "zero_counts",
]

#: Size of the blocks that sparse kernels skip, in filters and inputs.
BLOCK_CHANNELS, BLOCK_INPUTS = 2, 4


def with_weights(model: Model, weights: Mapping[int, np.ndarray]) -> Model:
    """Replace constants of `model`.

    Parameters
    ----------
    weights
        New constants by tensor index, with the shape and dtype of the tensor.

    Returns
    -------
    Model
        A model for estimates only: its `content` is still the old file.
    """
    tensors = {t.index: t for t in model.graph.tensors}
    for node in model.graph.nodes:
        tensors.update({t.index: t for t in node.inputs if t is not None})
    changed = {index: replace(tensors[index], data=data) for index, data in weights.items()}
    graph = model.graph

    def new(tensor: Tensor) -> Tensor:
        return changed.get(tensor.index, tensor)

    def optional(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else new(tensor)

    nodes = tuple(
        replace(
            node,
            inputs=tuple(map(optional, node.inputs)),
            outputs=tuple(map(new, node.outputs)),
        )
        for node in graph.nodes
    )
    states = tuple(replace(s, before=new(s.before), after=new(s.after)) for s in graph.states)
    made: Graph = replace(
        graph,
        tensors=tuple(map(new, graph.tensors)),
        nodes=nodes,
        inputs=tuple(map(new, graph.inputs)),
        outputs=tuple(map(new, graph.outputs)),
        states=states,
    )
    return Model(model.name, model.content, made, model.oracle)


def block_zeros(weights: np.ndarray, share: float) -> np.ndarray:
    """Set the blocks with the smallest magnitude to zero, equally many in each pair of filters.

    Parameters
    ----------
    weights
        Array of shape ``(filters, ...)``; a block is two filters times four adjacent elements of
        the other dimensions.
    share
        Share of zero blocks; see `zero_counts`.
    """
    flat = weights.reshape(len(weights), -1)
    filters, depth = flat.shape
    padded = np.pad(
        np.abs(flat.astype(np.float64)),
        ((0, -filters % BLOCK_CHANNELS), (0, -depth % BLOCK_INPUTS)),
    )
    pairs = padded.reshape(len(padded) // BLOCK_CHANNELS, BLOCK_CHANNELS, -1, BLOCK_INPUTS).sum(
        axis=(1, 3)
    )
    order = np.argsort(np.argsort(pairs, axis=1, kind="stable"), axis=1, kind="stable")
    zeros = zero_counts(len(pairs), pairs.shape[1], share)
    kept = order >= zeros[:, None]
    whole = np.repeat(np.repeat(kept, BLOCK_CHANNELS, axis=0), BLOCK_INPUTS, axis=1)
    return np.where(whole[:filters, :depth], flat, 0).astype(weights.dtype).reshape(weights.shape)


def zero_counts(pairs: int, blocks: int, share: float) -> np.ndarray:
    """Return the number of zero blocks in each pair; odd and even pairs round differently.

    No pair loses all of its blocks, because its outputs would then be constants.
    """
    halves = 0.5 * (np.arange(pairs) % 2)
    return np.minimum((share * blocks + halves).astype(int), max(blocks - 1, 0))
