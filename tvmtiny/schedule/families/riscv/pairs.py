"""CONV_2D and FULLY_CONNECTED with the kernels of ``tvmtiny_riscv_pairs.h``."""

from __future__ import annotations

from functools import partial

import numpy as np

from tvmtiny.ops import Node
from tvmtiny.schedule.families.riscv.packing import fill_tiles, pack_pairs
from tvmtiny.schedule.implementation import Decisions, Implementation
from tvmtiny.schedule.matrix_layer import Layer
from tvmtiny.schedule.product_chunks import (
    ChunkPart,
    by_chunk,
    chunk_parts,
    provable,
    proven_channels,
)
from tvmtiny.schedule.product_pairs import PAIRS_HEADER, pairs_function
from tvmtiny.schedule.scaling import Scaling

HEADERS = ("tvmtiny_riscv.h", PAIRS_HEADER, "tvmtiny_riscv_pairs.h")

#: Pixels of a step, and the channels of a tile for each.
TILES = {4: 3, 2: 6}

#: Instructions that pack an input of a pixel, and instructions around a tile.
PACKING, _TILE = 2.5, {4: 140, 2: 165}

#: Bytes of code around the chunks of a kernel.
_FRAME = 700


def _chunk_instructions(chunk: int, pixels: int) -> int:
    """Estimate loads of words and weights, products, and the end of the chunk, for a tile."""
    return (12 + pixels // 2 + TILES[pixels]) * chunk + 18


def _split(layer: Layer, decisions: Decisions) -> list[ChunkPart]:
    pixels = int(decisions["pixels"])

    def instructions(chunk: int) -> float:
        return -(-layer.depth // chunk) * _chunk_instructions(chunk, pixels)

    limits = int(decisions["chunk"]), int(decisions["codes"])
    classes = by_chunk(layer, provable, *limits, instructions)
    able = partial(proven_channels, layer, provable)
    filled = fill_tiles(classes, TILES[pixels], able)
    return chunk_parts(layer, filled, int(decisions["unroll"]))


def estimate_pairs(layer: Layer, decisions: Decisions) -> tuple[float, float]:
    """Estimate instructions and bytes of assembly of the layer."""
    pixels, instructions, code = int(decisions["pixels"]), 0.0, 0.0
    for part in _split(layer, decisions):
        first, unroll, turns = part.counts
        chunk = _chunk_instructions(part.chunk, pixels)
        each = (first + unroll * turns) * chunk + _TILE[pixels] + 3 * turns
        instructions += each * len(part.channels) / TILES[pixels]
        code += _FRAME + 3.5 * chunk * (first + unroll)
    steps = -(-layer.pixels // pixels)
    return steps * (instructions + PACKING * pixels * layer.depth), code


def implement_pairs(
    node: Node, layer: Layer, scaling: Scaling, decisions: Decisions
) -> Implementation | None:
    """Implement the layer by steps of two or four pixels; return None if it has fewer."""
    pixels = int(decisions["pixels"])
    if layer.pixels < pixels:
        return None
    parts = _split(layer, decisions)
    streams = [
        pack_pairs(layer.weights, scaling, part.channels, part.chunk, TILES[pixels])
        for part in parts
    ]
    ends = np.cumsum([stream.size for stream in streams]).tolist()
    function = pairs_function(
        node,
        layer,
        scaling,
        pixels,
        parts,
        ends,
        family="riscv",
        headers=HEADERS,
        tile=TILES[pixels],
    )
    arguments = (node.input(0), np.concatenate(streams))
    instructions = round(estimate_pairs(layer, decisions)[0])
    return Implementation(function, arguments, decisions, instructions)
