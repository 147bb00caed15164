"""CONV_2D and FULLY_CONNECTED around the tile kernels of ``tvmtiny_dsp_block.h``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Protocol

import numpy as np
from tvm import tirx

from tvmtiny.ops import Node
from tvmtiny.ops.shared.sliding_window import Window, window
from tvmtiny.schedule import nest
from tvmtiny.schedule.families.dsp import packing
from tvmtiny.schedule.implementation import Decision, Decisions, Implementation, Sketch
from tvmtiny.schedule.matrix_layer import Layer
from tvmtiny.schedule.overlap import Overlap, smallest_distance
from tvmtiny.schedule.scaling import Scaling

HEADERS = ("tvmtiny_dsp.h", "tvmtiny_dsp_patch.h", "tvmtiny_dsp_tile.h", "tvmtiny_dsp_block.h")

#: Largest immediate offset of LDR and STRB.
_OFFSET = 4095

#: Bytes that are loaded by offsets beside the weights of a single patch: constants of four
#: channels.
_CONSTANTS = 32

#: The limit on unrolled groups; 36 of them are some 3 KB of code.
_MOST_UNROLLED = 48

#: Limits on output rows and columns of a block, and on the number of different column counts.
_MOST_ROWS = 8
_COLUMN_CHOICES = 4

#: Instructions that expand a group of one pixel.
_EXPANSION = 7


def block_sketches(node: Node) -> tuple[Sketch, ...]:
    """The sketch of a layer whose input has whole groups of channels, or single pixels."""
    weights = node.input(1)
    channels = weights.shape[0]
    pixels = node.output.elements // channels
    tiles = [t for t in packing.BLOCK_TILES.values() if t.pixels <= pixels]
    tiles = [t for t in tiles if t.channels <= channels and _near(t, channels)]
    geometry = _geometry(node)
    row_groups = packing.groups(prod(weights.shape[1:]))
    blocks: tuple[Decision, ...] = ()
    if geometry is not None:
        whole = weights.shape[3] == node.input(0).shape[3] and geometry.dilation == (1, 1)
        if weights.shape[3] % packing.GROUP or not whole:
            return ()
        row_groups = weights.shape[2] * weights.shape[3] // packing.GROUP
        height, width = geometry.output
        least = min(tile.pixels for tile in tiles) if tiles else 1
        columns = [n for n in _divisors(width) if n >= least][-_COLUMN_CHOICES:]
        blocks = (
            Decision("rows", tuple(n for n in _divisors(height) if n <= _MOST_ROWS)),
            Decision("columns", tuple(columns)),
        )
        if not columns:
            return ()
    if not tiles:
        return ()
    unrolls = [u for u in _divisors(row_groups) if u <= _MOST_UNROLLED]
    return (
        Sketch(
            "block",
            (
                Decision("tile", tuple(tile.shape for tile in tiles)),
                Decision("weights", ("w8", "w16", "p8")),
                Decision("unroll", tuple(unrolls[-5:])),
                *blocks,
            ),
        ),
    )


def _geometry(node: Node) -> Window | None:
    if node.operator != "CONV_2D":
        return None
    geometry = window(node, (node.input(1).shape[1], node.input(1).shape[2]))
    return None if geometry.trivial else geometry


def _divisors(number: int) -> list[int]:
    return [n for n in range(1, number + 1) if number % n == 0]


def _near(tile: packing.TileShape, channels: int) -> bool:
    """Whether one pointer reaches the outputs of all pixels."""
    return (tile.pixels - 1) * channels + 1 <= _OFFSET


@dataclass(frozen=True)
class _Plan:
    """Sizes that follow from the decisions.

    Attributes
    ----------
    tile
        The tile of the kernel.
    rows, columns
        Output rows and columns of a block.
    height
        Number of rows of a patch.
    row_groups
        Groups in each row of a patch.
    pixel, row
        Bytes from patch to patch, and from row to row of a block.
    size
        Input rows and columns of a block.
    unroll
        Groups per loop iteration.
    """

    tile: packing.TileShape
    rows: int
    columns: int
    height: int
    row_groups: int
    pixel: int
    row: int
    size: tuple[int, int]
    unroll: int

    @property
    def words(self) -> int:
        """Words of the workspace."""
        return self.size[0] * self.row // 4


def _plan(layer: Layer, input_channels: int, decisions: Decisions) -> _Plan | None:
    tile = packing.BLOCK_TILES[str(decisions["tile"])]
    unroll, geometry = int(decisions["unroll"]), layer.geometry
    if geometry is None:
        count = packing.groups(layer.depth)
        rows, columns, height, row_groups, pixel = 1, tile.pixels, 1, count, 8 * count
        size, row = (1, columns), 8 * count * columns
    else:
        rows, columns = int(decisions["rows"]), int(decisions["columns"])
        height, row_groups = geometry.kernel[0], geometry.kernel[1] * input_channels // 4
        steps = (rows - 1, columns - 1)
        high, wide = (
            n * s + k for n, s, k in zip(steps, geometry.stride, geometry.kernel, strict=True)
        )
        size, pixel, row = (high, wide), 2 * geometry.stride[1] * input_channels, 2 * wide
        row *= input_channels
    weights_words = tile.channels * (2 if decisions["weights"] == "w16" else 1)
    weights = 4 * weights_words * unroll + _CONSTANTS
    reach = max(8 * unroll + (tile.pixels - 1) * pixel, weights)
    fits = (
        columns >= tile.pixels
        and decisions["weights"] in tile.cycles
        and tile.channels <= layer.channels
        and tile.pixels <= layer.pixels
        and reach <= _OFFSET
        and row < 2**16
        and height * row < 2**16
        and _near(tile, layer.channels)
    )
    plan = _Plan(tile, rows, columns, height, row_groups, pixel, row, size, unroll)
    return plan if fits else None


def implement_block(
    node: Node, layer: Layer, scaling: Scaling, decisions: Decisions
) -> Implementation | None:
    """Implement the layer, expanding inputs one block at a time; None if that does not fit."""
    plan = _plan(layer, node.input(0).shape[-1], decisions)
    if plan is None:
        return None
    weight_format = str(decisions["weights"])
    if weight_format == "p8":
        stream = packing.pack_pairs(layer.weights, scaling, plan.tile)
    else:
        stream = packing.pack_stream(layer.weights, scaling, plan.tile, weight_format)
    function = _function(node, layer, plan, weight_format, scaling, stream.size)
    return Implementation(
        function, (node.input(0), stream), decisions, _instructions(node, layer, plan, decisions)
    )


def _instructions(node: Node, layer: Layer, plan: _Plan, decisions: Decisions) -> int:
    tile = plan.tile
    count = packing.groups(layer.depth)
    blocks = -(-layer.pixels // (plan.rows * plan.columns))
    tiles = blocks * plan.rows * -(-plan.columns // tile.pixels)
    tiles *= -(-layer.channels // tile.channels)
    each = count * tile.instructions[str(decisions["weights"])] + 5 * tile.pixels * tile.channels
    return blocks * plan.words // 2 * _EXPANSION + tiles * each


def _function(
    node: Node,
    layer: Layer,
    plan: _Plan,
    weight_format: str,
    scaling: Scaling,
    stream_words: int,
) -> tirx.PrimFunc:
    tile, channels, geometry = plan.tile, layer.channels, layer.geometry
    rounding = "SIGNED" if scaling.signed else "PLAIN"
    turns = plan.row_groups // plan.unroll
    sizes = (plan.height, plan.unroll, turns, scaling.shift, channels, plan.row, plan.pixel)
    kernel = f"block_{tile.name}_{weight_format}_{'_'.join(map(str, sizes))}_{rounding.lower()}"
    arguments = ", ".join(map(str, sizes))
    macro = f"TVMTINY_BLOCK_{tile.name.upper()}_{weight_format.upper()}"
    preamble = [f"{macro}({kernel}, {arguments}, {rounding})"]
    whole = channels - channels % tile.channels
    whole_words = stream_words * whole // len(packing.channel_order(channels, tile))

    x = nest.buffer("x", node.input(0).elements, "int8")
    stream = nest.buffer("stream", stream_words, "int32")
    out = nest.buffer("out", node.output.elements, "int8")
    block = nest.buffer("block", plan.words, "uint32")

    def tiles(row: nest.Argument, position: nest.Argument) -> Sequence[tirx.Stmt]:
        """Compute all outputs of a row of a block; the first one is at `position`."""

        def one(index: nest.Argument) -> Sequence[tirx.Stmt]:
            # If tiles do not divide pixels or channels, the last tile overlaps the previous one.
            column = index * tile.pixels
            if plan.columns % tile.pixels:
                column = tirx.min(column, plan.columns - tile.pixels)
            source = row * (plan.row // 4) + column * (plan.pixel // 4)

            def call(words: tuple[int, int], channel: int) -> tirx.Stmt:
                return nest.call(
                    kernel,
                    nest.address(block, source),
                    nest.address(stream, words[0]),
                    nest.address(out, (position + column) * channels + channel),
                    nest.address(stream, words[1]),
                )

            calls = [call((0, whole_words), 0)]
            if whole < channels:
                calls.append(call((whole_words, stream_words), channels - tile.channels))
            return calls

        return [nest.loop(-(-plan.columns // tile.pixels), "tile", one)]

    if geometry is None:
        body = _pixels(layer, plan, weight_format, x, block, tiles)
        description = "pixels"
    else:
        name, line = _expansion(node, layer, plan, weight_format)
        preamble.append(line)
        body = _blocks(node, geometry, plan, name, x, block, tiles)
        description = f"blocks of {plan.rows}x{plan.columns}"
    by_sign = ", rounding by sign" if scaling.signed else ""
    return nest.function(
        [x, stream, out],
        [block],
        [body],
        operator=node.operator,
        schedule=f"dsp, tile {tile.name}, {weight_format}, {description}, "
        f"unroll {plan.unroll}{by_sign}",
        headers=HEADERS,
        preamble=preamble,
        overlaps=[_overlap(node, layer, plan)],
    )


class _Tiles(Protocol):
    """A function that `_function` calls for each row of a block."""

    def __call__(self, row: nest.Argument, position: nest.Argument) -> Sequence[tirx.Stmt]: ...


def _pixels(
    layer: Layer,
    plan: _Plan,
    weight_format: str,
    x: tirx.Buffer,
    block: tirx.Buffer,
    tiles: _Tiles,
) -> tirx.Stmt:
    """Loop over blocks of neighbouring pixels, each of which is a separate patch."""
    depth, expand = layer.depth, f"tvmtiny_expand_{packing.inputs_of(weight_format)}"
    together = depth % packing.GROUP == 0

    def step(index: nest.Argument) -> Sequence[tirx.Stmt]:
        position = index * plan.columns
        if layer.pixels % plan.columns:
            position = tirx.min(position, layer.pixels - plan.columns)

        def pixels(first: nest.Argument, count: int) -> tirx.Stmt:
            source = nest.address(x, (position + first) * depth)
            return nest.call(
                expand, nest.address(block, first * (plan.pixel // 4)), source, count * depth, 1
            )

        if together:
            expansion = pixels(0, plan.columns)
        else:
            expansion = nest.loop(plan.columns, "lane", lambda lane: [pixels(lane, 1)])
        return [expansion, *tiles(0, position)]

    return nest.loop(-(-layer.pixels // plan.columns), "step", step)


def _blocks(
    node: Node,
    geometry: Window,
    plan: _Plan,
    expand: str,
    x: tirx.Buffer,
    block: tirx.Buffer,
    tiles: _Tiles,
) -> tirx.Stmt:
    """Loop over rectangles of outputs, with the inputs that they need."""
    images, height, width = node.input(0).shape[0], *geometry.output
    image_bytes = node.input(0).elements // images

    def one(image: nest.Argument, top: nest.Argument, left: nest.Argument) -> Sequence[tirx.Stmt]:
        first = (image * height + top * plan.rows) * width + left * plan.columns
        expansion = nest.call(
            expand,
            nest.address(x, image * image_bytes),
            top * (plan.rows * geometry.stride[0]) - geometry.pad[0],
            left * (plan.columns * geometry.stride[1]) - geometry.pad[1],
            nest.address(block),
        )
        rows = nest.loop(
            plan.rows,
            "row",
            lambda row: tiles(row * geometry.stride[0], first + row * width),
        )
        return [expansion, rows]

    def across(image: nest.Argument, top: nest.Argument) -> Sequence[tirx.Stmt]:
        return [nest.loop(width // plan.columns, "left", lambda left: one(image, top, left))]

    def down(image: nest.Argument) -> Sequence[tirx.Stmt]:
        return [nest.loop(height // plan.rows, "top", lambda top: across(image, top))]

    return nest.loop(images, "image", down)


def _expansion(node: Node, layer: Layer, plan: _Plan, weight_format: str) -> tuple[str, str]:
    """Name and instantiation of the function that expands a block."""
    height, width, depth = node.input(0).shape[1:]
    sizes = (height, width, depth, *plan.size)
    pad = str(layer.pad).replace("-", "m")
    inputs = packing.inputs_of(weight_format)
    name = f"expand_block_{inputs}_{'_'.join(map(str, sizes))}_{pad}"
    arguments = ", ".join(map(str, sizes))
    return name, f"TVMTINY_EXPAND_BLOCK({name}, {inputs}, {arguments}, ({layer.pad}))"


def _overlap(node: Node, layer: Layer, plan: _Plan) -> Overlap:
    """The overlap that the order allows: a block is expanded before its outputs are written."""
    geometry = layer.geometry
    if geometry is None:
        positions = np.arange(layer.pixels)
        first_write = positions // plan.columns
        last_read = np.where(positions >= layer.pixels - plan.columns, first_write[-1], first_write)
        depth = layer.depth
    else:
        images, height, width, depth = node.input(0).shape
        grid = geometry.output[0] // plan.rows, geometry.output[1] // plan.columns
        last_read = np.full((images, height, width), -1)
        first_write = np.zeros((images, *geometry.output), np.int64)
        for step, (image, top, left) in enumerate(np.ndindex(images, *grid)):
            y = top * plan.rows * geometry.stride[0] - geometry.pad[0]
            x = left * plan.columns * geometry.stride[1] - geometry.pad[1]
            rows = slice(max(y, 0), max(y + plan.size[0], 0))
            columns = slice(max(x, 0), max(x + plan.size[1], 0))
            last_read[image, rows, columns] = step
            written = slice(left * plan.columns, (left + 1) * plan.columns)
            first_write[image, top * plan.rows : (top + 1) * plan.rows, written] = step
    distance = smallest_distance(
        np.repeat(last_read.ravel(), depth), np.repeat(first_write.ravel(), layer.channels)
    )
    return Overlap("out", 0, distance)
