"""CONV_2D and FULLY_CONNECTED around the tile kernels of ``tvmtiny_dsp_tile.h``."""

from __future__ import annotations

from tvm import tirx

from tvmtiny.ops import Node
from tvmtiny.schedule import nest
from tvmtiny.schedule.families.dsp import packing
from tvmtiny.schedule.implementation import Decisions
from tvmtiny.schedule.matrix_layer import Layer, patch_distance, split_groups
from tvmtiny.schedule.overlap import Overlap
from tvmtiny.schedule.requantize import Scaling

HEADERS = ("tvmtiny_dsp.h", "tvmtiny_dsp_patch.h", "tvmtiny_dsp_tile.h")


def patches_function(
    node: Node,
    layer: Layer,
    tile: packing.TileShape,
    weight_format: str,
    scaling: Scaling,
    stream_words: int,
    decisions: Decisions,
) -> tirx.PrimFunc:
    """The loop over steps of a tile, each of which expands its patches first."""
    count = packing.turns(layer.depth, weight_format)
    first, unroll, loops = split_groups(count, int(decisions["unroll"]))
    pixels, channels, positions = tile.pixels, layer.channels, layer.pixels
    patch_words = packing.patch_words(layer.depth, pixels, weight_format)
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
    gather = None if tile.direct else Gather(node, layer, tile, weight_format)
    if gather is not None:
        preamble += gather.preamble
    staging = "no patches" if gather is None else gather.description
    group_channels, group_words = layer.group_channels, stream_words // layer.groups
    whole = group_channels - group_channels % tile.channels
    whole_words = group_words * whole // len(packing.channel_order(group_channels, tile))

    x = nest.buffer("x", node.input(0).elements, "int8")
    stream = nest.buffer("stream", stream_words, "int32")
    out = nest.buffer("out", node.output.elements, "int8")
    patches = nest.buffer("patches", patch_words, "uint32")

    def tile_call(
        position: nest.Argument, group: nest.Argument, words: tuple[int, int], channel: int
    ) -> tirx.Stmt:
        return nest.call(
            kernel,
            nest.address(x, position * layer.depth) if gather is None else nest.address(patches),
            nest.address(stream, group * group_words + words[0]),
            nest.address(out, position * channels + group * group_channels + channel),
            nest.address(stream, group * group_words + words[1]),
        )

    def part(position: nest.Argument, group: nest.Argument) -> list[tirx.Stmt]:
        calls = [] if gather is None else [gather.calls(x, position, group, patches)]
        calls.append(tile_call(position, group, (0, whole_words), 0))
        if whole < group_channels:
            rest = (whole_words, group_words)
            calls.append(tile_call(position, group, rest, group_channels - tile.channels))
        return calls

    def step(index: nest.Argument) -> list[tirx.Stmt]:
        # Where pixels or channels do not divide, the last tile overlaps the one before.
        position = index * pixels
        if positions % pixels:
            position = tirx.min(position, positions - pixels)
        return [nest.loop(layer.groups, "group", lambda group: part(position, group))]

    return nest.function(
        [x, stream, out],
        [] if gather is None else [patches],
        [nest.loop(-(-positions // pixels), "step", step)],
        operator=node.operator,
        schedule=f"dsp, tile {tile.name}, {weight_format}, {staging}, "
        f"unroll {max(first, unroll)}{', rounding by sign' if scaling.signed else ''}",
        headers=(*HEADERS, "tvmtiny_dsp_nibble.h") if weight_format == "w4" else HEADERS,
        preamble=preamble,
        overlaps=_overlaps(node, layer, tile),
    )


def _overlaps(node: Node, layer: Layer, tile: packing.TileShape) -> list[Overlap]:
    """What the order of the steps allows: a step expands its patches before it writes."""
    if tile.direct:
        # Every step reads the whole of its pixel again for each tile of channels.
        return []
    found = [Overlap("out", 0, patch_distance(node, layer, tile.pixels))]
    if layer.geometry is None and layer.pixels == tile.pixels == 1:
        # Each word is read before it is written as two, so that the input can lie in the last
        # bytes of the patch that it becomes.
        found.append(Overlap("patches", 0, layer.depth))
    return found


class Gather:
    """Expansion of one patch.

    Attributes
    ----------
    preamble
        What has to be instantiated.
    description
        For reports.
    """

    def __init__(
        self, node: Node, layer: Layer, tile: packing.TileShape, weight_format: str
    ) -> None:
        self._layer = layer
        self._pixels = tile.pixels
        self._part = node.input(0).shape[-1] // layer.groups
        self._image = node.input(0).elements // node.input(0).shape[0]
        self.preamble: list[str] = []
        geometry = layer.geometry
        if geometry is None:
            self._name = f"tvmtiny_expand_{weight_format}"
            self.description = "pixels"
            return
        height, width, depth = node.input(0).shape[1:]
        rows, columns = geometry.kernel
        pad = str(layer.pad).replace("-", "m")
        sizes = f"{height}x{width}x{depth}_{rows}x{columns}"
        part = self._part
        if layer.groups > 1 or geometry.dilation != (1, 1):
            down, across = geometry.dilation
            self._name = f"gather_{weight_format}_{sizes}_{part}_{down}x{across}_{pad}"
            self._name += f"_{tile.pixels}"
            self.preamble.append(
                f"TVMTINY_GATHER_SPREAD({self._name}, {weight_format}, {height}, {width}, {depth}, "
                f"{part}, {rows}, {columns}, {down}, {across}, ({layer.pad}), {tile.pixels})"
            )
            self.description = "spread patches" if part % packing.GROUP == 0 else "byte patches"
            if layer.groups > 1:
                self.description += f", {layer.groups} groups"
            return
        by_words = columns * depth % packing.GROUP == 0
        macro = "TVMTINY_GATHER" if by_words else "TVMTINY_GATHER_BYTES"
        if weight_format == "w4":
            # The kernel needs the sum of a whole patch.
            by_words = depth % (2 * packing.GROUP) == 0
            macro = "TVMTINY_GATHER_W4" if by_words else "TVMTINY_GATHER_BYTES"
        self._name = f"gather_{weight_format}_{sizes}_{pad}_{tile.pixels}"
        self.preamble.append(
            f"{macro}({self._name}, {weight_format}, {height}, {width}, {depth}, {rows}, "
            f"{columns}, ({layer.pad}), {tile.pixels})"
        )
        self.description = "patches" if by_words else "byte patches"

    def calls(
        self, x: tirx.Buffer, position: nest.Argument, group: nest.Argument, patches: tirx.Buffer
    ) -> tirx.Stmt:
        """Expand the patches of all pixels from `position` on, of a group of channels."""
        return nest.loop(
            self._pixels,
            "lane",
            lambda lane: [self._call(x, position + lane, group, patches, lane)],
        )

    def _call(
        self,
        x: tirx.Buffer,
        position: nest.Argument,
        group: nest.Argument,
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
            nest.address(x, tirx.indexdiv(row, rows) * self._image + group * self._part),
            tirx.indexmod(row, rows) * geometry.stride[0] - geometry.pad[0],
            tirx.indexmod(position, columns) * geometry.stride[1] - geometry.pad[1],
            target,
        )
