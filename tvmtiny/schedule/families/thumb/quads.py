"""Layers that read single pixels, with the kernels of ``tvmtiny_thumb_quads.h``."""

from __future__ import annotations

import numpy as np
from tvm import tirx

from tvmtiny.ops import Node
from tvmtiny.schedule import nest
from tvmtiny.schedule.families.thumb.packing import pack_quads, provable_bytes
from tvmtiny.schedule.implementation import Decisions, Implementation
from tvmtiny.schedule.matrix_layer import Layer
from tvmtiny.schedule.product_chunks import ChunkPart, by_chunk, chunk_parts
from tvmtiny.schedule.scaling import Scaling

HEADERS = ("tvmtiny_thumb.h", "tvmtiny_thumb_quads.h")

#: Lengths of chunks for which code exists.
CHUNKS = (1, 2, 4, 8)

#: Bytes of code around the inputs; instructions around them for four channels, and per iteration.
_FRAME, _QUAD, _TURN = 250, 36, 3


def _chunk_instructions(chunk: int) -> float:
    """Estimate loads of words, inputs and products, and the end of the chunk, for four channels."""
    return max(1, chunk // 2) + 5 * chunk + 4


def _split(layer: Layer, decisions: Decisions) -> list[ChunkPart]:
    """Return, for each chunk length, the unrolling and the channels."""

    def instructions(chunk: int) -> float:
        return layer.depth / chunk * _chunk_instructions(chunk) if chunk in CHUNKS else np.inf

    limits = int(decisions["chunk"]), int(decisions["codes"])
    classes = by_chunk(layer, provable_bytes, *limits, instructions)
    filled, rest = dict[int, list[int]](), list[int]()
    for position, chunk in enumerate(sorted(classes, reverse=True)):
        channels = rest + classes[chunk]
        # Channels that do not make up four move to shorter chunks, for which they are proven too.
        whole = len(channels) - len(channels) % 4 * (position < len(classes) - 1)
        channels, rest = channels[:whole], channels[whole:]
        if channels:
            filled[chunk] = channels
    return chunk_parts(layer, filled, int(decisions["unroll"]))


def estimate_quads(layer: Layer, decisions: Decisions) -> tuple[float, float]:
    """Estimate instructions and bytes of assembly of the layer."""
    instructions, code = 2.3 * layer.depth + 10, 0.0
    for part in _split(layer, decisions):
        first, unroll, turns = part.counts
        each = _chunk_instructions(part.chunk)
        quad = (first + unroll * turns) * each + _TURN * turns + _QUAD
        instructions += quad * -(-len(part.channels) // 4)
        code += _FRAME + 4 * each * (first + unroll)
    return layer.pixels * instructions, code


def implement_quads(
    node: Node, layer: Layer, scaling: Scaling, decisions: Decisions
) -> Implementation | None:
    """Implement the layer pixel by pixel; return None if a patch is not one pixel."""
    if layer.geometry is not None:
        return None
    channels, depth = layer.channels, layer.depth
    rounding = "SIGNED" if scaling.signed else "PLAIN"
    kernels, preamble, streams, divisible = [], [], [], []
    parts = _split(layer, decisions)
    for part in parts:
        sizes = (part.chunk, *part.counts, scaling.shift)
        kernels.append(f"quads_{'_'.join(map(str, sizes))}_{rounding.lower()}")
        numbers = ", ".join(map(str, sizes))
        preamble.append(f"TVMTINY_THUMB_QUADS({kernels[-1]}, {numbers}, {rounding})")
        streams.append(pack_quads(layer.weights, scaling, part.channels, part.chunk))
        words = streams[-1].size // -(-len(part.channels) // 4)
        divisible.append(nest.Divisible(kernels[-1], {1: words}, {3: words}))
    ends = np.cumsum([stream.size for stream in streams]).tolist()
    x = nest.buffer("x", node.input(0).elements, "int8")
    stream = nest.buffer("stream", ends[-1], "int32")
    out = nest.buffer("out", node.output.elements, "int8")
    total = nest.buffer("total", 1, "int32")

    def pixel(position: nest.Argument) -> list[tirx.Stmt]:
        source = nest.address(x, position * depth)
        calls = [
            nest.call(
                kernel,
                source,
                nest.address(stream, start),
                nest.address(out, position * channels),
                nest.address(stream, end),
                nest.address(total),
            )
            for kernel, start, end in zip(kernels, [0, *ends[:-1]], ends, strict=True)
        ]
        return [nest.call("tvmtiny_thumb_sum", source, depth, nest.address(total)), *calls]

    chunks = " and ".join(str(part.chunk) for part in parts)
    by_sign = ", rounding by sign" if scaling.signed else ""
    function = nest.function(
        [x, stream, out],
        [total],
        [nest.loop(layer.pixels, "pixel", pixel)],
        operator=node.operator,
        schedule=f"thumb, 4 channels of a pixel, chunks of {chunks}{by_sign}",
        headers=HEADERS,
        preamble=preamble,
        divisible=divisible,
    )
    arguments = (node.input(0), np.concatenate(streams))
    instructions = round(estimate_quads(layer, decisions)[0])
    return Implementation(function, arguments, decisions, instructions)
