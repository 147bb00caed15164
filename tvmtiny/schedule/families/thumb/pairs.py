"""CONV_2D and FULLY_CONNECTED with the kernels of ``tvmtiny_thumb_pairs.h``."""

from __future__ import annotations

import numpy as np

from tvmtiny.ops import Node
from tvmtiny.schedule.families.thumb.packing import pack_pairs
from tvmtiny.schedule.implementation import Decisions, Implementation
from tvmtiny.schedule.matrix_layer import Layer
from tvmtiny.schedule.product_chunks import ChunkPart, by_chunk, chunk_parts, provable
from tvmtiny.schedule.product_pairs import PAIRS_HEADER, pairs_function
from tvmtiny.schedule.scaling import Scaling

HEADERS = ("tvmtiny_thumb.h", PAIRS_HEADER, "tvmtiny_thumb_pairs.h")

#: Pixels of a step.
PIXELS = (4, 2)

#: Instructions that pack an input of a pixel, and instructions around a channel of two pixels.
PACKING, CHANNEL = 2.2, 15

#: Bytes of code around the chunks of a kernel.
FRAME = 180

#: Instructions per iteration of the loop over chunks.
TURN = 4


def chunk_instructions(chunk: int, pairs: int) -> int:
    """Estimate loads of words, weights and products, and the end of the chunk."""
    loads = -(-chunk // 2) - (chunk == 3) if pairs == 2 else 1 + (chunk > 6)
    return loads + chunk + pairs * (chunk + 2)


def _split(layer: Layer, decisions: Decisions) -> list[ChunkPart]:
    pairs = int(decisions["pixels"]) // 2

    def instructions(chunk: int) -> float:
        return -(-layer.depth // chunk) * chunk_instructions(chunk, pairs)

    limits = int(decisions["chunk"]), int(decisions["codes"])
    classes = by_chunk(layer, provable, *limits, instructions)
    return chunk_parts(layer, classes, int(decisions["unroll"]))


def estimate_pairs(layer: Layer, decisions: Decisions) -> tuple[float, float]:
    """Estimate instructions and bytes of assembly of the layer."""
    pixels, instructions, code = int(decisions["pixels"]), 0.0, 0.0
    pairs = pixels // 2
    for part in _split(layer, decisions):
        first, unroll, turns = part.counts
        chunk = chunk_instructions(part.chunk, pairs)
        each = (first + unroll * turns) * chunk + CHANNEL * pairs + TURN * turns
        instructions += each * len(part.channels)
        code += FRAME + 4 * chunk * (first + unroll)
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
    streams = [pack_pairs(layer.weights, scaling, p.channels, p.chunk) for p in parts]
    ends = np.cumsum([stream.size for stream in streams]).tolist()
    function = pairs_function(
        node, layer, scaling, pixels, parts, ends, family="thumb", headers=HEADERS
    )
    arguments = (node.input(0), np.concatenate(streams))
    instructions = round(estimate_pairs(layer, decisions)[0])
    return Implementation(function, arguments, decisions, instructions)
