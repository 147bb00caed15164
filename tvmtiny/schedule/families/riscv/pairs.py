"""CONV_2D and FULLY_CONNECTED around the kernels of ``tvmtiny_riscv_pairs.h``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tvm import tirx

from tvmtiny.ops import Node
from tvmtiny.ops.shared.sliding_window import Window
from tvmtiny.schedule import nest
from tvmtiny.schedule.families.riscv.packing import fill_tiles, pack_pairs
from tvmtiny.schedule.families.thumb.packing import by_chunk, provable, split_chunks
from tvmtiny.schedule.implementation import Decisions, Implementation
from tvmtiny.schedule.matrix_layer import Layer, patch_distance
from tvmtiny.schedule.overlap import Overlap
from tvmtiny.schedule.requantize import Scaling

HEADERS = ("tvmtiny_riscv.h", "tvmtiny_riscv_patch.h", "tvmtiny_riscv_pairs.h")

#: Pixels of a step, and the channels of a tile with so many.
TILES = {4: 3, 2: 6}

#: Instructions that pack an input of a pixel, and that surround a tile.
_PACKING, _TILE = 2.5, {4: 140, 2: 165}

#: Bytes of code around the chunks of a kernel.
_FRAME = 700


@dataclass(frozen=True)
class _Part:
    """Channels whose chunks are equally long, in whole tiles.

    Attributes
    ----------
    counts
        Chunks that are unrolled, chunks of a turn of the loop behind them, and turns.
    """

    chunk: int
    counts: tuple[int, int, int]
    channels: list[int]


def _chunk_instructions(chunk: int, pixels: int) -> int:
    """Loads of words and weights, products, and the end of the chunk, of a tile."""
    return (12 + pixels // 2 + TILES[pixels]) * chunk + 18


def _split(layer: Layer, decisions: Decisions) -> list[_Part]:
    pixels = int(decisions["pixels"])

    def instructions(chunk: int) -> float:
        return -(-layer.depth // chunk) * _chunk_instructions(chunk, pixels)

    limits = int(decisions["chunk"]), int(decisions["codes"])
    classes = by_chunk(layer.weights, provable, *limits, instructions)
    parts = []
    for chunk, channels in fill_tiles(classes, TILES[pixels]).items():
        unroll, share = int(decisions["unroll"]), len(channels) / layer.channels
        counts = split_chunks(-(-layer.depth // chunk), chunk, unroll, share)
        parts.append(_Part(chunk, counts, channels))
    return parts


def estimate_pairs(layer: Layer, decisions: Decisions) -> tuple[float, float]:
    """Instructions, and bytes of code in assembly, of the layer."""
    pixels, instructions, code = int(decisions["pixels"]), 0.0, 0.0
    for part in _split(layer, decisions):
        first, unroll, turns = part.counts
        chunk = _chunk_instructions(part.chunk, pixels)
        each = (first + unroll * turns) * chunk + _TILE[pixels] + 3 * turns
        instructions += each * len(part.channels) / TILES[pixels]
        code += _FRAME + 3.5 * chunk * (first + unroll)
    steps = -(-layer.pixels // pixels)
    return steps * (instructions + _PACKING * pixels * layer.depth), code


def implement_pairs(
    node: Node, layer: Layer, scaling: Scaling, decisions: Decisions
) -> Implementation | None:
    """The layer with two or four pixels at a time; None where it has fewer."""
    pixels = int(decisions["pixels"])
    if layer.pixels < pixels:
        return None
    parts = _split(layer, decisions)
    streams = [
        pack_pairs(layer.weights, scaling, part.channels, part.chunk, TILES[pixels])
        for part in parts
    ]
    ends = np.cumsum([stream.size for stream in streams]).tolist()
    function = _function(node, layer, scaling, pixels, parts, ends)
    arguments = (node.input(0), np.concatenate(streams))
    instructions = round(estimate_pairs(layer, decisions)[0])
    return Implementation(function, arguments, decisions, instructions)


def _function(
    node: Node, layer: Layer, scaling: Scaling, pixels: int, parts: list[_Part], ends: list[int]
) -> tirx.PrimFunc:
    channels, positions = layer.channels, layer.pixels
    rounding = "SIGNED" if scaling.signed else "PLAIN"
    preamble, kernels = [], []
    for part in parts:
        sizes = (pixels, part.chunk, *part.counts, scaling.shift, channels)
        name = f"pairs_{'_'.join(map(str, sizes))}_{rounding.lower()}"
        preamble.append(f"TVMTINY_RISCV_PAIRS({name}, {', '.join(map(str, sizes))}, {rounding})")
        kernels.append(name)
    pack, staging = f"tvmtiny_riscv_pack_{pixels}", "pixels"
    if layer.geometry is not None:
        pack, line = _gather(node, layer, layer.geometry, pixels)
        preamble.append(line)
        staging = "patches"
    # Kernels whose chunks do not divide the depth read some words more, for weights that are zero.
    padded = max(p.chunk * -(-layer.depth // p.chunk) for p in parts)
    x = nest.buffer("x", node.input(0).elements, "int8")
    stream = nest.buffer("stream", ends[-1], "int32")
    out = nest.buffer("out", node.output.elements, "int8")
    patches = nest.buffer("patches", pixels // 2 * padded, "uint32")

    def step(index: nest.Argument) -> list[tirx.Stmt]:
        # Where pixels do not divide, the last step overlaps the one before.
        position = index * pixels
        if positions % pixels:
            position = tirx.min(position, positions - pixels)
        if layer.geometry is None:
            source = nest.address(x, position * layer.depth)
            packing = nest.call(pack, nest.address(patches), source, layer.depth)
        else:
            packing = nest.call(pack, nest.address(patches), nest.address(x), position)
        calls = [
            nest.call(
                kernel,
                nest.address(patches),
                nest.address(stream, start),
                nest.address(out, position * channels),
                nest.address(stream, end),
            )
            for kernel, start, end in zip(kernels, [0, *ends[:-1]], ends, strict=True)
        ]
        return [packing, *calls]

    chunks = " and ".join(str(part.chunk) for part in parts)
    by_sign = ", rounding by sign" if scaling.signed else ""
    return nest.function(
        [x, stream, out],
        [patches],
        [nest.loop(-(-positions // pixels), "step", step)],
        operator=node.operator,
        schedule=f"riscv, {pixels} {staging}, chunks of {chunks}{by_sign}",
        headers=HEADERS,
        preamble=preamble,
        overlaps=[Overlap("out", 0, patch_distance(node, layer, pixels))],
    )


def _gather(node: Node, layer: Layer, geometry: Window, pixels: int) -> tuple[str, str]:
    """Name and instantiation of the function that packs patches."""
    depth = node.input(0).shape[3]
    (rows, columns), apart = geometry.kernel, geometry.dilation[1] * depth
    # Columns that are neighbours are packed together.
    parts, bytes_each = (1, columns * depth) if geometry.dilation[1] == 1 else (columns, depth)
    sizes = [pixels, *geometry.input, depth, *geometry.output, rows, parts, bytes_each, apart]
    sizes += [*geometry.stride, geometry.dilation[0], *geometry.pad]
    name = f"gather_{'_'.join(map(str, sizes))}_{layer.pad}".replace("-", "m")
    return name, f"TVMTINY_RISCV_GATHER({name}, {', '.join(map(str, sizes))}, ({layer.pad}))"
