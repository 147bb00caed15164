"""CONV_2D and FULLY_CONNECTED with blocks of zeros: ``tvmtiny_thumb_sparse.h``."""

from __future__ import annotations

import numpy as np

from tvmtiny.ops import Node
from tvmtiny.schedule.families.thumb.packing import pack_sparse
from tvmtiny.schedule.families.thumb.pairs import (
    CHANNEL,
    FRAME,
    HEADERS,
    PACKING,
    chunk_instructions,
)
from tvmtiny.schedule.implementation import Decisions, Implementation
from tvmtiny.schedule.matrix_layer import Layer
from tvmtiny.schedule.product_blocks import BLOCK, BLOCK_CHUNKS, has_blocks, stored_blocks
from tvmtiny.schedule.product_chunks import ChunkPart, by_chunk, provable
from tvmtiny.schedule.product_pairs import pairs_function
from tvmtiny.schedule.requantize import Scaling

SPARSE = "sparse_pairs"

#: Instructions to find a block and to go on, and to align the stream behind the blocks.
_STEP, _ALIGN = 3, 3

#: Bytes of the stream for a block: a step and the weights.
_BLOCK_BYTES = 1 + BLOCK


def is_sparse(layer: Layer) -> bool:
    """Return whether enough blocks of the layer are zero."""
    return has_blocks(layer, 1)


def _part(layer: Layer, decisions: Decisions) -> ChunkPart:
    def cost(chunk: int) -> float:
        return np.inf if BLOCK % chunk else chunk_instructions(chunk, 2) / chunk

    longest = min(int(decisions["chunk"]), max(BLOCK_CHUNKS))
    ((chunk, channels),) = by_chunk(layer, provable, longest, 1, cost).items()
    return ChunkPart(chunk, (), channels)


def estimate_sparse(layer: Layer, decisions: Decisions) -> tuple[float, float]:
    """Estimate instructions of the layer, and bytes of assembly less those that weights save."""
    pixels, blocks = int(decisions["pixels"]), stored_blocks(layer, 1)
    pairs, chunk = pixels // 2, _part(layer, decisions).chunk
    block = BLOCK // chunk * chunk_instructions(chunk, pairs)
    instructions = blocks * (block + _STEP) + layer.channels * (CHANNEL * pairs + _ALIGN)
    code = FRAME + 4 * block + _BLOCK_BYTES * blocks - layer.weights.size
    steps = -(-layer.pixels // pixels)
    return steps * (instructions + PACKING * pixels * layer.depth), code


def implement_sparse(
    node: Node, layer: Layer, scaling: Scaling, decisions: Decisions
) -> Implementation | None:
    """Implement the layer by steps of two or four pixels; None if it has fewer or is not sparse."""
    pixels = int(decisions["pixels"])
    if layer.pixels < pixels or not is_sparse(layer):
        return None
    part = _part(layer, decisions)
    stream = pack_sparse(layer.weights, scaling, part.chunk)
    headers = (*HEADERS, "tvmtiny_thumb_sparse.h")
    function = pairs_function(
        node,
        layer,
        scaling,
        pixels,
        [part],
        [stream.size],
        family="thumb",
        headers=headers,
        kernel="sparse",
    )
    instructions = round(estimate_sparse(layer, decisions)[0])
    return Implementation(function, (node.input(0), stream), decisions, instructions)
