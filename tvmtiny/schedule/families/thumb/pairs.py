"""CONV_2D and FULLY_CONNECTED around the kernels of ``tvmtiny_thumb_pairs.h``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tvm import tirx

from tvmtiny.ops import Node
from tvmtiny.ops.shared.sliding_window import Window
from tvmtiny.schedule import nest
from tvmtiny.schedule.families.thumb.packing import by_chunk, pack_pairs
from tvmtiny.schedule.implementation import Decisions, Implementation
from tvmtiny.schedule.matrix_layer import Layer, patch_distance, split_groups
from tvmtiny.schedule.overlap import Overlap
from tvmtiny.schedule.requantize import Scaling

HEADERS = ("tvmtiny_thumb.h", "tvmtiny_thumb_pairs.h")

#: Pixels of a step.
PIXELS = 4

#: A length of chunks gets code of its own if this part of the channels has it.
_SHARE = 8

#: Instructions that pack an input of a pixel, that end a chunk and that surround a channel.
_PACKING, _SPLIT, _CHANNEL = 2.2, 4, 31


@dataclass(frozen=True)
class _Part:
    """Channels whose chunks are equally long.

    Attributes
    ----------
    counts
        Chunks that are unrolled, chunks of a turn of the loop behind them, and turns.
    words
        First word of the stream, and the one behind the last.
    """

    chunk: int
    counts: tuple[int, int, int]
    words: tuple[int, int]


def implement_pairs(
    node: Node, layer: Layer, scaling: Scaling, decisions: Decisions
) -> Implementation:
    """The layer with four pixels at a time; it has at least so many."""
    fewest = max(1, layer.channels // _SHARE)
    classes = by_chunk(layer.weights, int(decisions["chunk"]), fewest)
    streams, parts, start, instructions = [], [], 0, 0.0
    for chunk, channels in classes.items():
        count = -(-layer.depth // chunk)
        counts = split_groups(count, max(2, int(decisions["unroll"]) // chunk))
        streams.append(pack_pairs(layer.weights, scaling, channels, chunk))
        end = start + streams[-1].size
        parts.append(_Part(chunk, counts, (start, end)))
        start = end
        each = count * (-(-chunk // 2) + 3 * chunk + _SPLIT) + _CHANNEL + 4 * counts[2]
        instructions += each * len(channels)
    steps = -(-layer.pixels // PIXELS)
    instructions += _PACKING * PIXELS * layer.depth
    function = _function(node, layer, scaling, parts)
    arguments = (node.input(0), np.concatenate(streams))
    return Implementation(function, arguments, decisions, round(steps * instructions))


def _function(node: Node, layer: Layer, scaling: Scaling, parts: list[_Part]) -> tirx.PrimFunc:
    channels, positions = layer.channels, layer.pixels
    rounding = "SIGNED" if scaling.signed else "PLAIN"
    preamble, kernels = [], []
    for part in parts:
        sizes = (part.chunk, *part.counts, scaling.shift, channels)
        name = f"pairs_{'_'.join(map(str, sizes))}_{rounding.lower()}"
        arguments = ", ".join(map(str, sizes))
        preamble.append(f"TVMTINY_THUMB_PAIRS({name}, {arguments}, {rounding})")
        kernels.append(name)
    pack, staging = "tvmtiny_thumb_pack_pixels", "pixels"
    if layer.geometry is not None:
        pack, line = _gather(node, layer, layer.geometry)
        preamble.append(line)
        staging = "patches"
    # Kernels whose chunks do not divide the depth read some words more, for weights that are zero.
    padded = max(p.chunk * -(-layer.depth // p.chunk) for p in parts)
    x = nest.buffer("x", node.input(0).elements, "int8")
    stream = nest.buffer("stream", parts[-1].words[1], "int32")
    out = nest.buffer("out", node.output.elements, "int8")
    patches = nest.buffer("patches", 2 * padded, "uint32")

    def step(index: nest.Argument) -> list[tirx.Stmt]:
        # Where pixels do not divide, the last step overlaps the one before.
        position = index * PIXELS
        if positions % PIXELS:
            position = tirx.min(position, positions - PIXELS)
        if layer.geometry is None:
            source = nest.address(x, position * layer.depth)
            packing = nest.call(pack, nest.address(patches), source, layer.depth)
        else:
            packing = nest.call(pack, nest.address(patches), nest.address(x), position)
        calls = [
            nest.call(
                kernel,
                nest.address(patches),
                nest.address(stream, part.words[0]),
                nest.address(out, position * channels),
                nest.address(stream, part.words[1]),
            )
            for kernel, part in zip(kernels, parts, strict=True)
        ]
        return [packing, *calls]

    chunks = " and ".join(str(part.chunk) for part in parts)
    by_sign = ", rounding by sign" if scaling.signed else ""
    return nest.function(
        [x, stream, out],
        [patches],
        [nest.loop(-(-positions // PIXELS), "step", step)],
        operator=node.operator,
        schedule=f"thumb, pairs, {staging}, chunks of {chunks}{by_sign}",
        headers=HEADERS,
        preamble=preamble,
        overlaps=[Overlap("out", 0, patch_distance(node, layer, PIXELS))],
    )


def _gather(node: Node, layer: Layer, geometry: Window) -> tuple[str, str]:
    """Name and instantiation of the function that packs patches."""
    depth = node.input(0).shape[3]
    (rows, columns), apart = geometry.kernel, geometry.dilation[1] * depth
    # Columns that are neighbours are packed together.
    parts, bytes_each = (1, columns * depth) if geometry.dilation[1] == 1 else (columns, depth)
    sizes = [*geometry.input, depth, *geometry.output, rows, parts, bytes_each, apart]
    sizes += [*geometry.stride, geometry.dilation[0], *geometry.pad]
    name = f"gather_{'_'.join(map(str, sizes))}_{layer.pad}".replace("-", "m")
    arguments = ", ".join(map(str, sizes))
    return name, f"TVMTINY_THUMB_GATHER({name}, {arguments}, ({layer.pad}))"
