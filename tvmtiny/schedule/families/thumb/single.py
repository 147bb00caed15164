"""Layers that read single pixels, with the kernels of ``tvmtiny_thumb_single.h``."""

from __future__ import annotations

from tvm import tirx

from tvmtiny.ops import Node
from tvmtiny.schedule import nest
from tvmtiny.schedule.families.thumb.packing import pack_single
from tvmtiny.schedule.implementation import Decisions, Implementation
from tvmtiny.schedule.matrix_layer import Layer, split_groups
from tvmtiny.schedule.scaling import Scaling

HEADERS = ("tvmtiny_thumb.h", "tvmtiny_thumb_single.h")

#: Numbers of channels in a tile.
TILES = (1, 2, 4, 8)

#: Bytes of code around the inputs, and instructions per iteration of the loop over them.
_FRAME, _TURN = 220, 2


def implement_single(
    node: Node, layer: Layer, scaling: Scaling, decisions: Decisions
) -> Implementation | None:
    """Implement the layer pixel by pixel without a workspace; None if a patch is not one pixel."""
    tile = int(decisions["tile"])
    if layer.geometry is not None or tile > layer.channels:
        return None
    stream = pack_single(layer.weights, scaling, tile)
    counts = split_groups(layer.depth, int(decisions["unroll"]))
    function = _function(node, layer, scaling, tile, counts, stream.size)
    instructions = round(estimate_single(layer, decisions)[0])
    return Implementation(function, (node.input(0), stream), decisions, instructions)


def estimate_single(layer: Layer, decisions: Decisions) -> tuple[float, float]:
    """Estimate instructions and bytes of assembly of the layer."""
    tile = int(decisions["tile"])
    first, unroll, turns = split_groups(layer.depth, int(decisions["unroll"]))
    tiles = layer.pixels * -(-layer.channels // tile)
    each = layer.depth * (2 * tile + 1) + 5 * tile + 8 + _TURN * turns
    return tiles * each, _FRAME + 4 * (2 * tile + 1) * (first + unroll)


def _function(
    node: Node,
    layer: Layer,
    scaling: Scaling,
    tile: int,
    counts: tuple[int, int, int],
    stream_words: int,
) -> tirx.PrimFunc:
    channels, depth = layer.channels, layer.depth
    rounding = "SIGNED" if scaling.signed else "PLAIN"
    sizes = (tile, *counts, scaling.shift)
    kernel = f"single_{'_'.join(map(str, sizes))}_{rounding.lower()}"
    line = f"TVMTINY_THUMB_SINGLE({kernel}, {', '.join(map(str, sizes))}, {rounding})"
    whole = channels - channels % tile
    tile_words = stream_words // -(-channels // tile)
    whole_words = tile_words * (channels // tile)
    x = nest.buffer("x", node.input(0).elements, "int8")
    stream = nest.buffer("stream", stream_words, "int32")
    out = nest.buffer("out", node.output.elements, "int8")

    def pixel(position: nest.Argument) -> list[tirx.Stmt]:
        def call(words: tuple[int, int], channel: int) -> tirx.Stmt:
            return nest.call(
                kernel,
                nest.address(x, position * depth),
                nest.address(stream, words[0]),
                nest.address(out, position * channels + channel),
                nest.address(stream, words[1]),
            )

        calls = [call((0, whole_words), 0)]
        if whole < channels:
            calls.append(call((whole_words, stream_words), channels - tile))
        return calls

    by_sign = ", rounding by sign" if scaling.signed else ""
    return nest.function(
        [x, stream, out],
        [],
        [nest.loop(layer.pixels, "pixel", pixel)],
        operator=node.operator,
        schedule=f"thumb, {tile} channels of a pixel, unroll {max(counts[:2])}{by_sign}",
        headers=HEADERS,
        preamble=[line],
        divisible=[nest.Divisible(kernel, {1: tile_words, 2: tile}, {3: tile_words})],
    )
