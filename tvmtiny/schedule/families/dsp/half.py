"""CONV_2D and FULLY_CONNECTED with int16 activations, around ``tvmtiny_dsp_half.h``."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from tvm import tirx

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.conv_2d import groups as convolution_groups
from tvmtiny.ops.shared.expressions import Expression
from tvmtiny.ops.shared.quantization import activation_range
from tvmtiny.ops.shared.sliding_window import window
from tvmtiny.schedule import nest
from tvmtiny.schedule.families.dsp import packing
from tvmtiny.schedule.families.dsp.half_packing import HalfStream, pack
from tvmtiny.schedule.families.dsp.int32_sums import HEADERS as SUMS_HEADERS
from tvmtiny.schedule.families.dsp.int32_sums import Chunk
from tvmtiny.schedule.families.dsp.near import HEADER as NEAR_HEADER
from tvmtiny.schedule.families.dsp.near import near
from tvmtiny.schedule.half_factors import Factors, factors
from tvmtiny.schedule.implementation import Decision, Decisions, Goal, Implementation, Sketch
from tvmtiny.schedule.matrix_layer import Layer, patch_distance
from tvmtiny.schedule.overlap import Overlap

HEADERS = (*SUMS_HEADERS, "tvmtiny_dsp_half.h")

#: Instructions and cycles per group, by tile and format: LDM of N words takes 1 + N. Bytes of one
#: pixel are in halfwords of two channels.
_INSTRUCTIONS = {
    "3x2": {"h8": 19, "h16": 16},
    "2x2": {"h8": 14, "h16": 10},
    "1x4": {"h8": 14, "h16": 11},
}
_CYCLES = {
    "3x2": {"h8": 27, "h16": 26},
    "2x2": {"h8": 20, "h16": 18},
    "1x4": {"h8": 20, "h16": 21},
}


#: The limit on unrolled groups, by goal, and the choices of a tuner.
_UNROLL = {Goal.SPEED: 16, Goal.BALANCED: 8, Goal.SIZE: 4}
_UNROLLS = (4, 8, 16)

#: Instructions per output, per copied group, and per correction.
_EPILOGUE, _COPY, _CORRECTION = 12, 5, 9


def half_sketches(node: Node, oracle: Oracle) -> tuple[Sketch, ...]:
    """Sketches of a layer with int16 activations."""
    layer = _layer(node)
    tiles = [] if layer is None else _tiles(layer)
    if not tiles:
        return ()
    decisions = (
        Decision("tile", tuple(tile.shape for tile in tiles)),
        Decision("weights", ("h8", "h16")),
        Decision("unroll", _UNROLLS),
    )
    return (Sketch("half", decisions),)


def implement_half(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement the layer; None for dilation, groups, few channels, or a bias beyond 32 bits."""
    layer = _layer(node)
    tiles = [] if layer is None else _tiles(layer)
    if layer is None or not tiles:
        return None
    chosen = dict(decisions) if decisions else _decide(layer, tiles, goal)
    tile = next((t for t in tiles if t.shape == chosen["tile"]), None)
    if tile is None:
        return None
    weight_format, unroll = str(chosen["weights"]), int(chosen["unroll"])
    packed = pack(node, layer.weights, tile, weight_format, unroll)
    if packed is None:
        return None
    scaling = factors(node, oracle, len(packed.chunks) > 1)
    count = packing.groups(layer.depth)
    steps = -(-layer.pixels // tile.pixels)
    each = count * _INSTRUCTIONS[tile.shape][weight_format] + 2 * tile.pixels * tile.channels
    total = steps * -(-layer.channels // tile.channels) * each
    total += steps * tile.pixels * (count * _COPY + _EPILOGUE * layer.channels)
    total += layer.pixels * packed.corrections * _CORRECTION
    function = _Function(node, layer, tile, packed, scaling).build(chosen)
    arguments = (node.input(0), packed.words, scaling.values)
    return Implementation(function, arguments, chosen, total)


def _layer(node: Node) -> Layer | None:
    data = node.input(1).data
    assert data is not None
    flat = data.reshape(len(data), -1)
    if node.operator == "FULLY_CONNECTED":
        return Layer(flat, node.input(0).elements // flat.shape[1], None, 0)
    geometry = window(node, (data.shape[1], data.shape[2]))
    if geometry.dilation != (1, 1) or convolution_groups(node) > 1:
        return None
    pixels = node.output.shape[0] * prod(geometry.output)
    return Layer(flat, pixels, None if geometry.trivial else geometry, 0)


def _tiles(layer: Layer) -> list[packing.TileShape]:
    return [
        tile
        for tile in packing.TILES.values()
        if not tile.direct
        and tile.pixels <= layer.pixels
        and tile.channels <= layer.channels
        and (tile.pixels == 1 or tile.pixels * layer.channels <= packing.MOST_SUMS_PITCH)
    ]


def _decide(layer: Layer, tiles: Sequence[packing.TileShape], goal: Goal) -> dict[str, int | str]:
    """The default rule: the tile with the fewest estimated cycles."""
    weight_format = "h16" if goal is Goal.SPEED else "h8"
    count = packing.groups(layer.depth)

    def cost(tile: packing.TileShape) -> int:
        steps = -(-layer.pixels // tile.pixels) * -(-layer.channels // tile.channels)
        outputs = tile.pixels * tile.channels
        return steps * (count * _CYCLES[tile.shape][weight_format] + 20 + 2 * outputs)

    tile = min(tiles, key=cost)
    return {
        "sketch": "half",
        "tile": tile.shape,
        "weights": weight_format,
        "unroll": _UNROLL[goal],
    }


class _Function:
    """The loop over steps of a tile, each of which copies its patches first."""

    def __init__(
        self,
        node: Node,
        layer: Layer,
        tile: packing.TileShape,
        packed: HalfStream,
        scaling: Factors,
    ) -> None:
        chunks, words = packed.chunks, packed.words.size
        self._node, self._layer, self._tile, self._chunks = node, layer, tile, chunks
        self._scaling, self._corrections = scaling, packed.corrections
        # Whole groups of one pixel are read in place.
        self._copied = (
            tile.pixels > 1 or layer.geometry is not None or layer.depth % packing.GROUP != 0
        )
        count = packing.groups(layer.depth)
        self._x = nest.buffer("x", node.input(0).elements, "int16")
        self._stream = nest.buffer("stream", words, "int32")
        self._out = nest.buffer("out", node.output.elements, "int16")
        self._factors = nest.buffer("factors", scaling.values.size, str(scaling.values.dtype))
        self._patches = nest.buffer("patches", 2 * count * tile.pixels, "uint32")
        self._stride = tile.pixels * layer.channels
        self._sums = nest.buffer("sums", len(chunks) * self._stride, "int32")
        self._together = near(node, layer, tile, "h16")

    def build(self, decisions: Decisions) -> tirx.PrimFunc:
        node, layer, tile = self._node, self._layer, self._tile
        sizes = [self._scaling.each, layer.channels, len(self._chunks), self._stride]
        kind = {"float64": "double"}.get(str(self._scaling.values.dtype))
        kind = kind or f"{self._scaling.values.dtype}_t"
        scale = f"TVMTINY_HALF_{self._scaling.kind.upper()}"
        finish, arguments = nest.macro_arguments(
            "half_finish", [scale, kind, *sizes, *activation_range(node)]
        )
        gather, preamble = self._gather()

        def step(index: nest.Argument) -> list[tirx.Stmt]:
            # If tiles do not divide the pixels, the last tile overlaps the previous one.
            position = index * tile.pixels
            if layer.pixels % tile.pixels:
                position = tirx.min(position, layer.pixels - tile.pixels)

            def copy(lane: nest.Argument) -> list[tirx.Stmt]:
                return [self._copy(gather, position + lane, lane)]

            def finished(lane: nest.Argument) -> list[tirx.Stmt]:
                return [
                    nest.call(
                        finish,
                        nest.address(self._sums, lane * layer.channels),
                        nest.address(self._factors),
                        nest.address(self._out, (position + lane) * layer.channels),
                    )
                ]

            calls = [nest.loop(tile.pixels, "lane", copy)] if self._copied else []
            if self._together is not None:
                source, target = nest.address(self._x), nest.address(self._patches)
                calls = [nest.call(self._together.gather, source, position, target)]
            for number, chunk in enumerate(self._chunks):
                calls += self._chunk(position, number, chunk)
            if self._corrections:
                calls.append(self._correct(position))
            return [*calls, nest.loop(tile.pixels, "lane", finished)]

        kernels = list(dict.fromkeys(chunk.preamble for chunk in self._chunks))
        parts = f", sums in {len(self._chunks)} parts" if len(self._chunks) > 1 else ""
        headers = list(HEADERS)
        if self._scaling.kind == "double":
            headers.insert(-1, "tvmtiny_double.h")
        copied = "patches" if self._copied else "no patches"
        if self._together is not None:
            headers.append(NEAR_HEADER)
            copied = "patches of neighbours"
        return nest.function(
            [self._x, self._stream, self._factors, self._out],
            [self._patches, self._sums] if self._copied else [self._sums],
            [nest.loop(-(-layer.pixels // tile.pixels), "step", step)],
            operator=node.operator,
            schedule=f"dsp, tile {tile.name}, {decisions['weights']}, "
            f"{copied}, unroll {decisions['unroll']}{parts}, "
            f"scaled {self._scaling.kind}",
            headers=headers,
            preamble=[*kernels, *preamble, f"TVMTINY_HALF_FINISH({finish}, {arguments})"],
            overlaps=[Overlap("out", 0, 2 * patch_distance(node, layer, tile.pixels))],
        )

    def _gather(self) -> tuple[str, list[str]]:
        """Name and instantiation of the function that copies a patch."""
        geometry = self._layer.geometry
        if geometry is None:
            return "tvmtiny_half_copy", []
        sizes = [*self._node.input(0).shape[1:], *geometry.kernel, self._tile.pixels]
        name, arguments = nest.macro_arguments("half_gather", sizes)
        shared = () if self._together is None else self._together.preamble
        return name, [
            f"TVMTINY_HALF_GATHER({name}, {arguments})",
            *(line.format(one=name) for line in shared),
        ]

    def _copy(self, name: str, position: nest.Argument, lane: nest.Argument) -> tirx.Stmt:
        """Copy the patch of the output at `position` into every ``pixels``-th word."""
        target = nest.address(self._patches, lane)
        layer, geometry = self._layer, self._layer.geometry
        if geometry is None:
            source = nest.address(self._x, position * layer.depth)
            return nest.call(name, target, source, layer.depth, self._tile.pixels)
        rows, columns = geometry.output
        row = tirx.indexdiv(position, columns)
        image = self._node.input(0).elements // self._node.input(0).shape[0]
        return nest.call(
            name,
            nest.address(self._x, tirx.indexdiv(row, rows) * image),
            tirx.indexmod(row, rows) * geometry.stride[0] - geometry.pad[0],
            tirx.indexmod(position, columns) * geometry.stride[1] - geometry.pad[1],
            target,
        )

    def _chunk(self, position: nest.Argument, number: int, chunk: Chunk) -> list[tirx.Stmt]:
        """Compute the sums of a chunk."""
        tile, channels = self._tile, self._layer.channels
        source = self._inputs(position, chunk.first)
        # If tiles do not divide the channels, the last tile overlaps the previous one.
        whole = channels - channels % tile.channels
        split = chunk.words * whole // len(packing.channel_order(channels, tile))
        parts = [(0, split, 0)]
        if whole < channels:
            parts.append((split, chunk.words, channels - tile.channels))
        return [
            nest.call(
                chunk.kernel,
                source,
                nest.address(self._stream, chunk.word + start),
                nest.address(self._sums, number * self._stride + channel),
                nest.address(self._stream, chunk.word + end),
            )
            for start, end, channel in parts
        ]

    def _inputs(self, position: nest.Argument, group: int) -> Expression:
        """The address of the inputs of a group and those that follow."""
        if self._copied:
            return nest.address(self._patches, 2 * group * self._tile.pixels)
        return nest.address(self._x, position * self._layer.depth + group * packing.GROUP)

    def _correct(self, position: nest.Argument) -> tirx.Stmt:
        """Correct the sums of weights that were changed to fit halfwords."""
        end = self._stream.shape[0]
        return nest.call(
            "tvmtiny_half_correct",
            self._inputs(position, 0),
            nest.address(self._stream, end - self._corrections),
            nest.address(self._sums),
            nest.address(self._stream, end),
        )
