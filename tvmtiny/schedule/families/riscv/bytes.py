"""Layers that read single pixels, with weights of a byte: ``tvmtiny_riscv_bytes.h``."""

from __future__ import annotations

import numpy as np

from tvmtiny.ops import Node
from tvmtiny.schedule.families.riscv.packing import pack_bytes
from tvmtiny.schedule.families.riscv.single import chunks_of, single_function, single_parts
from tvmtiny.schedule.implementation import Decisions, Implementation
from tvmtiny.schedule.matrix_layer import Layer
from tvmtiny.schedule.product_chunks import ChunkPart
from tvmtiny.schedule.scaling import Scaling

HEADERS = ("tvmtiny_riscv.h", "tvmtiny_riscv_bytes.h")

#: Instructions around a tile and per channel, and bytes of code around the chunks of a tile.
_TILE, _CHANNEL, _FRAME = 14, 14, 260

#: Instructions of a tile per input, by whether sums of inputs are kept; of computing kept sums per
#: input; of a tile per chunk, by the same. Then per channel and input, and per channel and chunk.
_INPUT, _SUM, _CHUNK = {False: 3, True: 2}, 2, {False: 2, True: 1}
_CHANNEL_INPUT, _CHANNEL_CHUNK = 1.5, 2

#: Largest workspace of a part in words, or as a share of the inputs.
_WORDS, _SHARE = 32, 1 / 32


def _once(depth: int, chunks: int) -> bool:
    """Return whether the sums of inputs are computed once and kept for all tiles."""
    return chunks <= max(_WORDS, _SHARE * depth)


def _tile_instructions(depth: int, chunks: int, tile: int) -> float:
    """Estimate the instructions of all chunks of a tile."""
    once = _once(depth, chunks)
    of_input = _INPUT[once] + _CHANNEL_INPUT * tile
    return depth * of_input + chunks * (_CHUNK[once] + _CHANNEL_CHUNK * tile)


def _split(layer: Layer, decisions: Decisions) -> list[ChunkPart]:
    tile = int(decisions["tile"])

    def cost(chunk: int) -> float:
        return _tile_instructions(layer.depth, -(-layer.depth // chunk), tile)

    return single_parts(layer, decisions, tile, cost)


def estimate_bytes(layer: Layer, decisions: Decisions) -> tuple[float, float]:
    """Estimate instructions, and bytes of assembly and of weights that fill up tiles."""
    depth, tile = layer.depth, int(decisions["tile"])
    instructions, code = 0.0, 0.0
    for part in _split(layer, decisions):
        first, unroll, turns = part.counts
        chunks = chunks_of(part)
        within = _tile_instructions(depth, chunks, tile)
        tiles = len(part.channels) / tile
        instructions += tiles * (within + _TILE + _CHANNEL * tile + 3 * turns)
        instructions += _SUM * depth * _once(depth, chunks)
        code += _FRAME + 50 * tile + 3.5 * within * (first + unroll) / chunks
        code += depth * len(part.channels)
    return layer.pixels * instructions, code - layer.weights.size


def implement_bytes(
    node: Node, layer: Layer, scaling: Scaling, decisions: Decisions
) -> Implementation | None:
    """Implement the layer pixel by pixel; return None if a patch is not one pixel."""
    if layer.geometry is not None:
        return None
    tile, parts = int(decisions["tile"]), _split(layer, decisions)
    streams = [
        pack_bytes(layer.weights, scaling, part.channels, chunks_of(part), tile) for part in parts
    ]
    function = single_function(
        node,
        layer,
        scaling,
        "BYTES",
        parts,
        streams,
        tile=tile,
        sizes=[tile // 4],
        once=[_once(layer.depth, chunks_of(part)) for part in parts],
        schedule=f"w8, {tile} channels",
        headers=HEADERS,
    )
    arguments = (node.input(0), np.concatenate(streams))
    instructions = round(estimate_bytes(layer, decisions)[0])
    return Implementation(function, arguments, decisions, instructions)
