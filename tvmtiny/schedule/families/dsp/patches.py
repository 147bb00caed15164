"""CONV_2D and FULLY_CONNECTED around the tile kernels of ``tvmtiny_dsp_tile.h``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tvm import tirx

from tvmtiny.ops import Node
from tvmtiny.schedule import nest
from tvmtiny.schedule.families.dsp import packing
from tvmtiny.schedule.families.dsp.near import HEADER as NEAR_HEADER
from tvmtiny.schedule.families.dsp.near import Near, Strip
from tvmtiny.schedule.implementation import Decisions
from tvmtiny.schedule.matrix_layer import Layer, patch_distance, split_groups
from tvmtiny.schedule.overlap import Overlap
from tvmtiny.schedule.scaling import Scaling

HEADERS = ("tvmtiny_dsp.h", "tvmtiny_dsp_patch.h", "tvmtiny_dsp_tile.h")


def patches_function(
    node: Node,
    layer: Layer,
    tile: packing.TileShape,
    weight_format: str,
    scaling: Scaling,
    stream_words: int,
    decisions: Decisions,
    together: Near | None = None,
    rest: Rest | None = None,
) -> tirx.PrimFunc:
    """The loop over steps of a tile, each of which expands its patches first.

    Parameters
    ----------
    layer
        The layer, with weights in the order in which patches are expanded.
    together
        How patches are expanded together; None if each is expanded separately.
    rest
        How to compute the pixels that whole tiles leave; None if the last tile overlaps the
        previous one.
    """
    made = _Function(node, layer, tile, weight_format, stream_words, together, rest)
    return made.build(scaling, decisions)


@dataclass(frozen=True)
class Rest:
    """Smaller tiles after the whole ones.

    Attributes
    ----------
    tile
        A tile with as many channels as the main tile, so that both read the same weights.
    steps
        Number of steps.
    unroll
        How many groups of inputs to unroll.
    together
        How their patches are expanded together.
    """

    tile: packing.TileShape
    steps: int
    unroll: int
    together: Near | None


@dataclass(frozen=True)
class _Kernel:
    """A tile kernel: name, instantiation, header, and description for reports.

    `divided` states whether calls can be divided between tiles of channels.
    """

    name: str
    line: str
    header: str
    description: str
    divided: bool = True


class _Function:
    """Buffers and loops."""

    def __init__(
        self,
        node: Node,
        layer: Layer,
        tile: packing.TileShape,
        weight_format: str,
        stream_words: int,
        together: Near | None,
        rest: Rest | None,
    ) -> None:
        self._node, self._layer, self._tile, self._format = node, layer, tile, weight_format
        self._rest = rest
        self._gather = (
            None
            if tile.direct
            else Gather(node, layer, tile, packing.inputs_of(weight_format), together)
        )
        self._strip = None if together is None else together.strip
        self._words = packing.patch_words(layer.depth, tile.pixels, weight_format)
        self._x = nest.buffer("x", node.input(0).elements, "int8")
        self._stream = nest.buffer("stream", stream_words, "int32")
        self._out = nest.buffer("out", node.output.elements, "int8")
        self._patches = nest.buffer("patches", self._words, "uint32")
        self._lines = nest.buffer("lines", 0 if self._strip is None else self._strip.size, "int8")
        self._group_words = stream_words // layer.groups
        #: Channels of a group, computed by whole tiles; the last tile overlaps the previous one.
        self._whole = layer.group_channels - layer.group_channels % tile.channels
        self._rest_gather = None
        if rest is not None and self._gather is not None:
            self._rest_gather = Gather(node, layer, rest.tile, weight_format, rest.together)

    def _sparse(self, scaling: Scaling) -> _Kernel:
        tile, channels = self._tile, self._layer.channels
        rounding = "SIGNED" if scaling.signed else "PLAIN"
        name = f"sparse_{tile.name}_{scaling.shift}_{channels}_{rounding.lower()}"
        macro = f"TVMTINY_SPARSE_{tile.name.upper()}"
        line = f"{macro}({name}, {scaling.shift}, {channels}, {rounding})"
        return _Kernel(name, line, "tvmtiny_dsp_sparse.h", "sparse", divided=False)

    def _pairs(self, scaling: Scaling) -> _Kernel:
        layer, tile = self._layer, self._tile
        rounding = "SIGNED" if scaling.signed else "PLAIN"
        sizes = (1, packing.groups(layer.depth), 1, scaling.shift, layer.channels)
        numbers = ", ".join(map(str, (*sizes, 4 * self._words, 4)))
        name = f"block_{tile.name}_p8_{'_'.join(map(str, sizes))}_patches_{rounding.lower()}"
        line = f"TVMTINY_BLOCK_{tile.name.upper()}_P8({name}, {numbers}, {rounding})"
        return _Kernel(name, line, "tvmtiny_dsp_block.h", "unrolled")

    def _dense(self, tile: packing.TileShape, scaling: Scaling, limit: int) -> _Kernel:
        layer = self._layer
        first, unroll, loops = split_groups(packing.turns(layer.depth, self._format), limit)
        patches = 4 * packing.patch_words(layer.depth, tile.pixels, self._format)
        step_bytes = layer.depth if tile.direct else patches
        rounding = "SIGNED" if scaling.signed else "PLAIN"
        name = (
            f"tile_{tile.name}_{self._format}_{first}_{unroll}_{loops}_{scaling.shift}_"
            f"{layer.channels}_{rounding.lower()}"
        )
        return _Kernel(
            name,
            f"TVMTINY_TILE_{tile.name.upper()}_{self._format.upper()}({name}, {first}, "
            f"{unroll}, {loops}, {scaling.shift}, {layer.channels}, {step_bytes}, {rounding})",
            "tvmtiny_dsp_nibble.h" if self._format == "w4" else "tvmtiny_dsp_tile.h",
            f"unroll {max(first, unroll)}",
        )

    def build(self, scaling: Scaling, decisions: Decisions) -> tirx.PrimFunc:
        layer, tile, gather = self._layer, self._tile, self._gather
        if decisions["sketch"] == "sparse":
            kernel = self._sparse(scaling)
        elif self._format == "p8":
            kernel = self._pairs(scaling)
        else:
            kernel = self._dense(tile, scaling, int(decisions["unroll"]))
        kernels = [kernel]
        preamble = [kernel.line]
        headers = [*HEADERS, *(kernel.header,) * (kernel.header not in HEADERS)]
        workspaces = []
        description = tile.name
        if self._rest is not None:
            kernels.append(self._dense(self._rest.tile, scaling, self._rest.unroll))
            preamble.append(kernels[1].line)
            description += f" and {self._rest.tile.name}"
        if gather is not None:
            preamble += gather.preamble
        if self._rest_gather is not None:
            preamble += self._rest_gather.preamble
        if gather is not None:
            headers += gather.headers
            workspaces.append(self._patches)
        if self._strip is not None:
            workspaces.append(self._lines)
        # The streams of all tiles of channels have the same length.
        words = self._group_words * tile.channels
        words //= len(packing.channel_order(layer.group_channels, tile))
        return nest.function(
            [self._x, self._stream, self._out],
            workspaces,
            self._all_steps(kernels)
            if self._strip is None
            else [self._strips(self._strip, kernel)],
            operator=self._node.operator,
            schedule=f"dsp, tile {description}, {self._format}, "
            f"{'no patches' if gather is None else gather.description}, "
            f"{kernel.description}{', rounding by sign' if scaling.signed else ''}",
            headers=headers,
            preamble=preamble,
            overlaps=_overlaps(self._node, layer, tile, self._strip),
            divisible=[
                nest.Divisible(k.name, {1: words, 2: tile.channels}, {3: words})
                for k in kernels
                if k.divided
            ],
        )

    def _all_steps(self, kernels: Sequence[_Kernel]) -> list[tirx.Stmt]:
        """Compute whole tiles, and then the remaining pixels by smaller tiles."""
        pixels, rest = self._layer.pixels, self._rest
        whole = pixels if rest is None else pixels - rest.steps * rest.tile.pixels
        steps = [self._steps(kernels[0], self._gather, self._tile.pixels, whole)] if whole else []
        if rest is not None:
            made = self._steps(kernels[1], self._rest_gather, rest.tile.pixels, pixels, whole)
            steps.append(made)
        return steps

    def _strips(self, strip: Strip, kernel: _Kernel) -> tirx.Stmt:
        """Compute one strip after the other; the last strip may overlap the previous one."""
        geometry = self._layer.geometry
        assert geometry is not None
        rows, columns = geometry.output

        def fill_and_compute(index: nest.Argument) -> list[tirx.Stmt]:
            row = index * strip.rows
            if rows % strip.rows:
                row = tirx.min(row, rows - strip.rows)
            top = row * geometry.stride[0] - geometry.pad[0]
            fill = nest.call(strip.fill, nest.address(self._x), top, nest.address(self._lines))
            positions = strip.rows * columns
            steps = self._steps(
                kernel, self._gather, self._tile.pixels, positions, start=row * columns
            )
            return [fill, steps]

        return nest.loop(-(-rows // strip.rows), "strip", fill_and_compute)

    def _steps(
        self,
        kernel: _Kernel,
        gather: Gather | None,
        pixels: int,
        end: int,
        begin: int = 0,
        start: nest.Argument = 0,
    ) -> tirx.Stmt:
        """Compute the outputs from `begin` to `end`.

        With a strip, those of its rows, which start at `start`.
        """

        def step(index: nest.Argument) -> list[tirx.Stmt]:
            # If tiles do not divide pixels or channels, the last tile overlaps the previous one.
            position = index * pixels + begin
            if (end - begin) % pixels:
                position = tirx.min(position, end - pixels)
            return [
                nest.loop(
                    self._layer.groups,
                    "group",
                    lambda g: self._part(kernel, gather, start, position, g),
                )
            ]

        return nest.loop(-(-(end - begin) // pixels), "step", step)

    def _part(
        self,
        kernel: _Kernel,
        gather: Gather | None,
        start: nest.Argument,
        position: nest.Argument,
        group: nest.Argument,
    ) -> list[tirx.Stmt]:
        """Compute the channels of a group at one step of a tile."""
        calls, last = [], self._layer.group_channels - self._tile.channels
        if gather is not None:
            source = self._x if self._strip is None else self._lines
            calls.append(gather.calls(source, position, group, self._patches))
        split = self._group_words * self._whole
        split //= len(packing.channel_order(self._layer.group_channels, self._tile))
        at = position if self._strip is None else start + position
        calls.append(self._tile_call(kernel, at, group, (0, split), 0))
        if self._whole < self._layer.group_channels:
            calls.append(self._tile_call(kernel, at, group, (split, self._group_words), last))
        return calls

    def _tile_call(
        self,
        kernel: _Kernel,
        position: nest.Argument,
        group: nest.Argument,
        words: tuple[int, int],
        channel: int,
    ) -> tirx.Stmt:
        layer = self._layer
        patches = nest.address(self._patches)
        if self._gather is None:
            patches = nest.address(self._x, position * layer.depth)
        target = position * layer.channels + group * layer.group_channels + channel
        return nest.call(
            kernel.name,
            patches,
            nest.address(self._stream, group * self._group_words + words[0]),
            nest.address(self._out, target),
            nest.address(self._stream, group * self._group_words + words[1]),
        )


def _overlaps(
    node: Node, layer: Layer, tile: packing.TileShape, strip: Strip | None
) -> list[Overlap]:
    """The overlap that the order allows: a step expands its patches before it writes.

    Smaller tiles at the end read no later, and write no earlier, than a tile that overlaps the
    previous one.
    """
    if strip is not None and layer.geometry is not None:
        outputs = strip.rows * layer.geometry.output[1]
        return [Overlap("out", 0, patch_distance(node, layer, outputs))]
    if tile.direct:
        # Every step reads its whole pixel again for each tile of channels.
        return []
    found = [Overlap("out", 0, patch_distance(node, layer, tile.pixels))]
    if layer.geometry is None and layer.pixels == tile.pixels == 1:
        # Each word is read before it is written as two words, so the input can be in the last bytes
        # of the patch into which it is expanded.
        found.append(Overlap("patches", 0, layer.depth))
    return found


class Gather:
    """Expansion of one patch.

    Attributes
    ----------
    preamble
        The instantiations that the expansion needs.
    description
        A description for reports.
    """

    def __init__(
        self,
        node: Node,
        layer: Layer,
        tile: packing.TileShape,
        weight_format: str,
        together: Near | None = None,
    ) -> None:
        self._layer = layer
        self._together = together
        self._pixels = tile.pixels
        self._part = node.input(0).shape[-1] // layer.groups
        self._image = node.input(0).elements // node.input(0).shape[0]
        self.preamble: list[str] = []
        self.headers = () if together is None else (NEAR_HEADER,)
        geometry = layer.geometry
        if geometry is None:
            self._name = f"tvmtiny_expand_{weight_format}"
            self.description = "pixels"
            return
        height, width, depth = node.input(0).shape[1:]
        rows, columns = geometry.kernel
        if together is not None and together.strip is not None:
            # Patches in the padded lines, if they have the same width as expanded patches.
            height, width = together.strip.lines, together.strip.pitch
            columns = layer.depth // rows
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
        if together is not None:
            self._share(together)

    def _share(self, together: Near) -> None:
        """Expand the patches of a tile together if they are in one row."""
        if together.single:
            self._name = f"{together.gather}_one"
            self.preamble = [together.single.format(one=self._name)]
        self.preamble += [line.format(one=self._name) for line in together.preamble]
        self.description = f"{'strips of ' if together.strip else ''}patches of neighbours"

    def calls(
        self, x: tirx.Buffer, position: nest.Argument, group: nest.Argument, patches: tirx.Buffer
    ) -> tirx.Stmt:
        """Expand the patches of all pixels of a group of channels, beginning at `position`."""
        if self._together is not None:
            return nest.call(
                self._together.gather, nest.address(x), position, nest.address(patches)
            )
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
