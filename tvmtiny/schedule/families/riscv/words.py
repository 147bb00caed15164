"""Layers that read single pixels, around the kernels of ``tvmtiny_riscv_words.h``."""

from __future__ import annotations

import numpy as np
from tvm import tirx

from tvmtiny.ops import Node
from tvmtiny.schedule import nest
from tvmtiny.schedule.families.riscv.packing import WORDS_TILE, fill_tiles, pack_words
from tvmtiny.schedule.implementation import Decisions, Implementation
from tvmtiny.schedule.matrix_layer import Layer
from tvmtiny.schedule.product_chunks import ChunkPart, by_chunk, chunk_parts, provable
from tvmtiny.schedule.requantize import Scaling

HEADERS = ("tvmtiny_riscv.h", "tvmtiny_riscv_words.h")

#: Instructions around a tile, and bytes of code around the chunks of a kernel.
_TILE, _FRAME = 120, 500


def _chunk_instructions(chunk: int) -> int:
    return 13 * chunk + 12


def _split(layer: Layer, decisions: Decisions) -> list[ChunkPart]:
    def instructions(chunk: int) -> float:
        # Inputs behind the last one are none to read.
        if layer.depth % chunk:
            return np.inf
        return layer.depth // chunk * _chunk_instructions(chunk)

    limits = int(decisions["chunk"]), int(decisions["codes"])
    classes = by_chunk(layer.weights, provable, *limits, instructions)
    filled = fill_tiles(classes, WORDS_TILE)
    return chunk_parts(layer, filled, int(decisions["unroll"]))


def estimate_words(layer: Layer, decisions: Decisions) -> tuple[float, float]:
    """Instructions, and bytes of code in assembly and of weights beyond one each."""
    instructions, code = 0.0, float(layer.weights.size)
    for part in _split(layer, decisions):
        first, unroll, turns = part.counts
        chunk = _chunk_instructions(part.chunk)
        each = (first + unroll * turns) * chunk + _TILE + 3 * turns
        instructions += each * len(part.channels) / WORDS_TILE
        code += _FRAME + 3.5 * chunk * (first + unroll)
    return layer.pixels * instructions, code


def implement_words(
    node: Node, layer: Layer, scaling: Scaling, decisions: Decisions
) -> Implementation | None:
    """The layer pixel by pixel, without a workspace; None where a patch is no pixel."""
    if layer.geometry is not None:
        return None
    parts = _split(layer, decisions)
    streams = [pack_words(layer.weights, scaling, p.channels, p.chunk) for p in parts]
    ends = np.cumsum([stream.size for stream in streams]).tolist()
    channels, depth = layer.channels, layer.depth
    rounding = "SIGNED" if scaling.signed else "PLAIN"
    preamble, kernels = [], []
    for part in parts:
        sizes = (part.chunk, *part.counts, scaling.shift)
        name = f"words_{'_'.join(map(str, sizes))}_{rounding.lower()}"
        preamble.append(f"TVMTINY_RISCV_WORDS_OF({name}, {', '.join(map(str, sizes))}, {rounding})")
        kernels.append(name)
    x = nest.buffer("x", node.input(0).elements, "int8")
    stream = nest.buffer("stream", ends[-1], "int32")
    out = nest.buffer("out", node.output.elements, "int8")

    def pixel(position: nest.Argument) -> list[tirx.Stmt]:
        return [
            nest.call(
                kernel,
                nest.address(x, position * depth),
                nest.address(stream, start),
                nest.address(out, position * channels),
                nest.address(stream, end),
            )
            for kernel, start, end in zip(kernels, [0, *ends[:-1]], ends, strict=True)
        ]

    chunks = " and ".join(str(part.chunk) for part in parts)
    by_sign = ", rounding by sign" if scaling.signed else ""
    function = nest.function(
        [x, stream, out],
        [],
        [nest.loop(layer.pixels, "pixel", pixel)],
        operator=node.operator,
        schedule=f"riscv, w16, chunks of {chunks}{by_sign}",
        headers=HEADERS,
        preamble=preamble,
    )
    instructions = round(estimate_words(layer, decisions)[0])
    return Implementation(
        function, (node.input(0), np.concatenate(streams)), decisions, instructions
    )
