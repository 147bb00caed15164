"""CONV_2D and FULLY_CONNECTED with blocks of zeros: ``tvmtiny_riscv_sparse.h``."""

from __future__ import annotations

import numpy as np

from tvmtiny.ops import Node
from tvmtiny.schedule.families.riscv.packing import SPARSE_TILE, pack_sparse
from tvmtiny.schedule.families.riscv.pairs import HEADERS, PACKING
from tvmtiny.schedule.implementation import Decisions, Implementation
from tvmtiny.schedule.matrix_layer import Layer
from tvmtiny.schedule.product_blocks import BLOCK, BLOCK_CHUNKS, has_blocks, stored_blocks
from tvmtiny.schedule.product_chunks import ChunkPart, by_chunk, provable
from tvmtiny.schedule.product_pairs import pairs_function
from tvmtiny.schedule.requantize import Scaling

SPARSE = "riscv_sparse"

#: Instructions to find a block and to go on, around the blocks of a tile, and of an output.
_STEP, _TILE, _OUTPUT = 5, 14, 11

#: Bytes of code around a block, and bytes of the stream for a block: a step and the weights.
_FRAME, _BLOCK_BYTES = 450, 1 + SPARSE_TILE * BLOCK


def is_sparse(layer: Layer) -> bool:
    """Return whether enough blocks of the layer are zero."""
    return has_blocks(layer, SPARSE_TILE)


def _block_instructions(chunk: int, pixels: int) -> int:
    """Estimate loads, products and the ends of the chunks of a block."""
    pairs = pixels // 2
    sums = SPARSE_TILE * pairs
    return BLOCK * (pairs + SPARSE_TILE + 2 * sums) + BLOCK // chunk * 3 * sums


def _part(layer: Layer, decisions: Decisions) -> ChunkPart:
    def cost(chunk: int) -> float:
        return np.inf if BLOCK % chunk else _block_instructions(chunk, 4)

    longest = min(int(decisions["chunk"]), max(BLOCK_CHUNKS))
    ((chunk, channels),) = by_chunk(layer, provable, longest, 1, cost).items()
    return ChunkPart(chunk, (), channels)


def estimate_sparse(layer: Layer, decisions: Decisions) -> tuple[float, float]:
    """Estimate instructions of the layer, and bytes of assembly less those that weights save."""
    pixels, blocks = int(decisions["pixels"]), stored_blocks(layer, SPARSE_TILE)
    block = _block_instructions(_part(layer, decisions).chunk, pixels)
    tiles = layer.channels // SPARSE_TILE
    instructions = blocks * (block + _STEP) + tiles * _TILE + layer.channels * pixels * _OUTPUT
    code = _FRAME + 3.5 * block + _BLOCK_BYTES * blocks - layer.weights.size
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
    stream = pack_sparse(layer.weights, scaling)
    headers = (*HEADERS, "tvmtiny_riscv_sparse.h")
    function = pairs_function(
        node,
        layer,
        scaling,
        pixels,
        [part],
        [stream.size],
        family="riscv",
        headers=headers,
        kernel="sparse",
    )
    instructions = round(estimate_sparse(layer, decisions)[0])
    return Implementation(function, (node.input(0), stream), decisions, instructions)
