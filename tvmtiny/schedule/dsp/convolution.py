"""CONV_2D and FULLY_CONNECTED around the tile kernels of ``tvmtiny_dsp_tile.h``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np
from tvm import tirx

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.checks import accumulator_range, bias_values
from tvmtiny.ops.convolution import Window, window
from tvmtiny.ops.rounding import (
    OutputRounding,
    convolution_rounding,
    litert_fully_connected_rounding,
    tflm_fully_connected_rounding,
)
from tvmtiny.schedule import nest
from tvmtiny.schedule.dsp import packing
from tvmtiny.schedule.dsp.requantize import Scaling, solve
from tvmtiny.schedule.implementation import (
    FLASH_WEIGHT,
    HEADERS_ATTR,
    OVERLAPS_ATTR,
    PREAMBLE_ATTR,
    SCHEDULE_ATTR,
    Decision,
    Decisions,
    Goal,
    Implementation,
    Sketch,
)
from tvmtiny.schedule.overlap import Overlap, overlaps_attribute, smallest_distance
from tvmtiny.schedule.per_node import per_node

#: How many groups the default rule may unroll, and a tuner beside it.
_UNROLL_LIMITS = (4, 8, 12, 16)
_MORE_UNROLL_LIMITS = (2, 6, 20, 24, 36)

#: Instructions that expand a group of one pixel.
_EXPANSION = 7

#: Instructions of a turn of the loop over groups.
_TURN = 3

#: Cycles and instructions around the groups of one tile step, roughly, for comparing tiles.
_TILE_OVERHEAD = 20

#: Outputs of neighbouring pixels must be within reach of STRB's immediate.
_MOST_PITCH = 2047


@dataclass(frozen=True, eq=False)
class _Layer:
    """A convolution as a matrix product.

    Attributes
    ----------
    weights
        int8, ``(channels, depth)`` in the order in which a patch lies in memory.
    pixels
        Output positions.
    geometry
        None where a patch is `depth` consecutive inputs, one patch after the other.
    """

    weights: np.ndarray
    pixels: int
    geometry: Window | None
    pad: int

    @property
    def channels(self) -> int:
        return len(self.weights)

    @property
    def depth(self) -> int:
        return self.weights.shape[1]


def implement_convolution(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """CONV_2D in int8; None where the micro-kernels cannot be used or proven exact."""
    weights = node.input(1)
    assert weights.data is not None
    channels, height, width, _ = weights.shape
    geometry = window(node, (height, width))
    if geometry.dilation != (1, 1) or np.any(weight_zero_points(node)):
        return None
    flat = weights.data.reshape(channels, -1)
    pixels = node.output.shape[0] * prod(geometry.output)
    layer = _Layer(flat, pixels, None if geometry.trivial else geometry, node.input(0).zero_point)
    return _implement(node, layer, oracle, goal, decisions)


def weight_zero_points(node: Node) -> np.ndarray:
    """The zero points of a node's weights."""
    quantization = node.input(1).quantization
    return np.zeros(1) if quantization is None else np.array(quantization.zero_points)


def implement_fully_connected(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """FULLY_CONNECTED in int8; None where the micro-kernels cannot be used or proven exact."""
    weights = node.input(1)
    assert weights.data is not None
    if np.any(weight_zero_points(node)):
        return None
    layer = _Layer(weights.data, node.input(0).elements // weights.shape[1], None, 0)
    return _implement(node, layer, oracle, goal, decisions)


def _rounding(node: Node, oracle: Oracle) -> OutputRounding:
    if node.operator == "CONV_2D":
        return convolution_rounding(node, node.input(1).shape[0])
    if oracle is Oracle.TFLM:
        return tflm_fully_connected_rounding(node)
    return litert_fully_connected_rounding(node)


def _implement(
    node: Node,
    layer: _Layer,
    oracle: Oracle,
    goal: Goal,
    decisions: Decisions | None,
) -> Implementation | None:
    chosen = dict(decisions) if decisions else _decide(layer, goal)
    if chosen is None:
        return None
    tile, weight_format = _tile(chosen), str(chosen["weights"])
    scaling = _scale(node, oracle, weight_format)
    if scaling is None and weight_format == "w8":
        weight_format = chosen["weights"] = "w16"
        scaling = _scale(node, oracle, weight_format)
    if scaling is None or (tile.direct and not _can_be_direct(layer, weight_format)):
        return None
    stream = packing.pack_stream(layer.weights, scaling, tile, weight_format)
    function = _function(node, layer, tile, weight_format, scaling, stream.size, chosen)
    return Implementation(
        function, (node.input(0), stream), chosen, _instructions(layer, tile, weight_format)
    )


def _instructions(layer: _Layer, tile: packing.TileShape, weight_format: str) -> int:
    count = packing.groups(layer.depth)
    steps = -(-layer.pixels // tile.pixels)
    tiles = steps * -(-layer.channels // tile.channels)
    expansion = 0 if tile.direct else _EXPANSION * steps * tile.pixels * count
    return expansion + tiles * (
        count * tile.instructions[weight_format] + 4 * tile.pixels * tile.channels
    )


def smaller_convolution(node: Node, decisions: Decisions) -> Iterator[Decisions]:
    """Decisions with smaller patches, the fastest first."""
    tile = _tile(decisions)
    for other in sorted(packing.TILES.values(), key=lambda t: (-t.pixels, t.direct)):
        fits = other.channels <= node.output.shape[-1]
        if fits and (other.pixels < tile.pixels or (other.direct and not tile.direct)):
            sketch = "direct" if other.direct else "patches"
            yield {**decisions, "sketch": sketch, "tile": other.shape}


def _tile(decisions: Decisions) -> packing.TileShape:
    direct = "_direct" if decisions["sketch"] == "direct" else ""
    return packing.TILES[f"{decisions['tile']}{direct}"]


def convolution_sketches(node: Node) -> tuple[Sketch, ...]:
    """Ways to compute a CONV_2D or FULLY_CONNECTED around the tile kernels."""
    weights = node.input(1)
    channels, depth = weights.shape[0], prod(weights.shape[1:])
    pixels = node.output.elements // channels
    unrolls = Decision("unroll", tuple(unroll_limits(packing.groups(depth))))
    sketches = []
    for direct in (False, True):
        tiles = [
            tile
            for tile in packing.TILES.values()
            if tile.direct == direct and _usable(tile, pixels, channels)
        ]
        if tiles and not (direct and depth % packing.GROUP):
            formats = ("w8",) if direct else ("w8", "w16")
            decisions = (
                Decision("tile", tuple(tile.shape for tile in tiles)),
                Decision("weights", formats),
                unrolls,
            )
            sketches.append(Sketch("direct" if direct else "patches", decisions))
    return tuple(sketches)


def _usable(tile: packing.TileShape, pixels: int, channels: int) -> bool:
    near = tile.pixels == 1 or tile.pixels * channels <= _MOST_PITCH
    return tile.pixels <= pixels and tile.channels <= channels and near


def _can_be_direct(layer: _Layer, weight_format: str) -> bool:
    """Whether inputs can be read in whole groups without expanding them first."""
    return layer.geometry is None and layer.depth % packing.GROUP == 0 and weight_format == "w8"


def _decide(layer: _Layer, goal: Goal) -> dict[str, int | str] | None:
    """The default rule: the tile with the fewest estimated cycles."""
    weight_format = "w16" if goal is Goal.SPEED else "w8"
    count = packing.groups(layer.depth)

    def cost(tile: packing.TileShape) -> float:
        steps = -(-layer.pixels // tile.pixels) * -(-layer.channels // tile.channels)
        overhead = _TILE_OVERHEAD + 3 * tile.pixels * tile.channels
        return steps * (count * tile.cycles[weight_format] + overhead)

    usable = [
        tile
        for tile in packing.TILES.values()
        if not tile.direct and _usable(tile, layer.pixels, layer.channels)
    ]
    if not usable:
        return None
    tile = min(usable, key=cost)
    group_instructions = tile.instructions[weight_format]

    def unroll_cost(limit: int) -> float:
        first, unroll, loops = split_groups(count, limit)
        slower = _TURN * loops / (group_instructions * count)
        larger = 4 * group_instructions * (first + unroll) / layer.weights.size
        return slower + FLASH_WEIGHT[goal] * larger

    best = split_groups(count, min(_UNROLL_LIMITS, key=unroll_cost))
    unroll = next(u for u in unroll_limits(count) if split_groups(count, u) == best)
    return {"sketch": "patches", "tile": tile.name, "weights": weight_format, "unroll": unroll}


@per_node
def _scale(node: Node, oracle: Oracle, weight_format: str) -> Scaling | None:
    data = node.input(1).data
    assert data is not None
    channels = len(data)
    weights = data.reshape(channels, -1)
    if not packing.storable(weights, weight_format):
        return None
    rounding = _rounding(node, oracle)
    zero_point = node.input(0).zero_point
    bias = bias_values(node, channels)
    return solve(
        lambda acc: rounding(acc.T).T,
        np.broadcast_to(rounding.scales, (channels,)),
        accumulator_range(weights, bias, zero_point),
        bias.astype(np.int64) - zero_point * weights.astype(np.int64).sum(axis=1),
        excess=packing.excess(weights, weight_format),
    )


def _function(
    node: Node,
    layer: _Layer,
    tile: packing.TileShape,
    weight_format: str,
    scaling: Scaling,
    stream_words: int,
    decisions: Decisions,
) -> tirx.PrimFunc:
    count = packing.groups(layer.depth)
    first, unroll, loops = split_groups(count, int(decisions["unroll"]))
    pixels, channels, positions = tile.pixels, layer.channels, layer.pixels
    patch_words = 2 * count * pixels
    step_bytes = layer.depth if tile.direct else 4 * patch_words
    rounding = "SIGNED" if scaling.signed else "PLAIN"
    kernel = (
        f"tile_{tile.name}_{weight_format}_{first}_{unroll}_{loops}_{scaling.shift}_{channels}_"
        f"{rounding.lower()}"
    )
    preamble = [
        f"TVMTINY_TILE_{tile.name.upper()}_{weight_format.upper()}({kernel}, {first}, {unroll}, "
        f"{loops}, {scaling.shift}, {channels}, {step_bytes}, {rounding})"
    ]
    gather = None if tile.direct else _Gather(node, layer, tile, weight_format)
    if gather is not None:
        preamble += gather.preamble
    staging = "no patches" if gather is None else gather.description
    whole = channels - channels % tile.channels
    whole_words = stream_words * whole // len(packing.channel_order(channels, tile))

    x = nest.buffer("x", node.input(0).elements, "int8")
    stream = nest.buffer("stream", stream_words, "int32")
    out = nest.buffer("out", node.output.elements, "int8")
    patches = nest.buffer("patches", patch_words, "uint32")

    def tile_call(position: nest.Argument, words: tuple[int, int], channel: int) -> tirx.Stmt:
        return nest.call(
            kernel,
            nest.address(x, position * layer.depth) if gather is None else nest.address(patches),
            nest.address(stream, words[0]),
            nest.address(out, position * channels + channel),
            nest.address(stream, words[1]),
        )

    def step(index: nest.Argument) -> list[tirx.Stmt]:
        # Where pixels or channels do not divide, the last tile overlaps the one before.
        position = index * pixels
        if positions % pixels:
            position = tirx.min(position, positions - pixels)
        calls = [] if gather is None else [gather.calls(x, position, patches)]
        calls.append(tile_call(position, (0, whole_words), 0))
        if whole < channels:
            calls.append(tile_call(position, (whole_words, stream_words), channels - tile.channels))
        return calls

    return nest.function(
        [x, stream, out],
        [] if gather is None else [patches],
        [nest.loop(-(-positions // pixels), "step", step)],
        {
            "tvmtiny.operator": node.operator,
            SCHEDULE_ATTR: f"dsp, tile {tile.name}, {weight_format}, {staging}, "
            f"unroll {max(first, unroll)}{', rounding by sign' if scaling.signed else ''}",
            HEADERS_ATTR: "tvmtiny_dsp.h tvmtiny_dsp_patch.h tvmtiny_dsp_tile.h",
            PREAMBLE_ATTR: "\n".join(preamble),
            OVERLAPS_ATTR: overlaps_attribute(_overlaps(node, layer, tile)),
        },
    )


def _overlaps(node: Node, layer: _Layer, tile: packing.TileShape) -> list[Overlap]:
    """What the order of the steps allows: a step expands its patches before it writes."""
    inputs = node.input(0)
    positions = np.arange(layer.pixels)
    # The last step may repeat positions of the one before.
    first_write = positions // tile.pixels
    last_step = np.where(
        positions >= layer.pixels - tile.pixels, first_write[-1], positions // tile.pixels
    )
    depth = inputs.shape[-1] if layer.geometry is not None else layer.depth
    last_read = np.full(inputs.elements // depth, -1)
    if layer.geometry is None:
        last_read[:] = last_step
    else:
        _read_patches(last_read, last_step, layer.geometry, inputs.shape[0])
    distance = smallest_distance(
        np.repeat(last_read, depth), np.repeat(first_write, layer.channels)
    )
    if tile.direct:
        # Every step reads the whole of its pixel again for each tile of channels.
        return []
    found = [Overlap("out", 0, distance)]
    if layer.geometry is None and layer.pixels == tile.pixels == 1:
        # Each word is read before it is written as two, so that the input can lie in the last
        # bytes of the patch that it becomes.
        found.append(Overlap("patches", 0, layer.depth))
    return found


def _read_patches(last_read: np.ndarray, steps: np.ndarray, geometry: Window, images: int) -> None:
    """Enter into `last_read`, per input pixel, the steps of all patches that hold it."""
    (height, width), (rows, columns) = geometry.input, geometry.output
    image, y, x = np.unravel_index(np.arange(len(steps)), (images, rows, columns))
    for ky, kx in np.ndindex(geometry.kernel):
        row = y * geometry.stride[0] - geometry.pad[0] + ky
        column = x * geometry.stride[1] - geometry.pad[1] + kx
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        pixel = (image * height + row) * width + column
        np.maximum.at(last_read, pixel[inside], steps[inside])


def split_groups(count: int, limit: int) -> tuple[int, int, int]:
    """How a tile runs over its groups: some unrolled, then a loop of unrolled ones.

    Returns
    -------
    first, unroll, loops
        ``first + unroll * loops == count``, with ``first >= 1``.
    """
    if count <= limit:
        return count, 0, 0
    # A loop costs three instructions a turn; a remainder costs only code.
    unroll = max(range(limit // 2, limit + 1), key=lambda u: (-((count - 1) % u), u))
    loops = (count - 1) // unroll
    return count - unroll * loops, unroll, loops


def unroll_limits(count: int) -> list[int]:
    """Limits that divide `count` groups in different ways, in ascending order."""
    ways: dict[tuple[int, int, int], int] = {}
    for limit in sorted((*_UNROLL_LIMITS, *_MORE_UNROLL_LIMITS)):
        ways.setdefault(split_groups(count, limit), limit)
    return list(ways.values())


class _Gather:
    """Expansion of one patch.

    Attributes
    ----------
    preamble
        What has to be instantiated.
    description
        For reports.
    """

    def __init__(
        self, node: Node, layer: _Layer, tile: packing.TileShape, weight_format: str
    ) -> None:
        self._layer = layer
        self._pixels = tile.pixels
        self._image = node.input(0).elements // node.input(0).shape[0]
        self.preamble: list[str] = []
        geometry = layer.geometry
        if geometry is None:
            self._name = f"tvmtiny_expand_{weight_format}"
            self.description = "pixels"
            return
        height, width, depth = node.input(0).shape[1:]
        rows, columns = geometry.kernel
        by_words = columns * depth % packing.GROUP == 0
        macro = "TVMTINY_GATHER" if by_words else "TVMTINY_GATHER_BYTES"
        pad = str(layer.pad).replace("-", "m")
        sizes = f"{height}x{width}x{depth}_{rows}x{columns}"
        self._name = f"gather_{weight_format}_{sizes}_{pad}_{tile.pixels}"
        self.preamble.append(
            f"{macro}({self._name}, {weight_format}, {height}, {width}, {depth}, {rows}, "
            f"{columns}, ({layer.pad}), {tile.pixels})"
        )
        self.description = "patches" if by_words else "byte patches"

    def calls(self, x: tirx.Buffer, position: nest.Argument, patches: tirx.Buffer) -> tirx.Stmt:
        """Expand the patches of all pixels from `position` on."""
        return nest.loop(
            self._pixels, "lane", lambda lane: [self._call(x, position + lane, patches, lane)]
        )

    def _call(
        self,
        x: tirx.Buffer,
        position: nest.Argument,
        patches: tirx.Buffer,
        lane: nest.Argument,
    ) -> tirx.Stmt:
        """Expand the patch of the output at `position` into every ``pixels``-th word."""
        target = nest.address(patches, lane)
        geometry = self._layer.geometry
        if geometry is None:
            depth = self._layer.depth
            source = nest.address(x, position * depth)
            return nest.call(self._name, target, source, depth, self._pixels)
        rows, columns = geometry.output
        row = tirx.indexdiv(position, columns)
        return nest.call(
            self._name,
            nest.address(x, tirx.indexdiv(row, rows) * self._image),
            tirx.indexmod(row, rows) * geometry.stride[0] - geometry.pad[0],
            tirx.indexmod(position, columns) * geometry.stride[1] - geometry.pad[1],
            target,
        )
