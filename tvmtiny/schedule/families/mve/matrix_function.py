"""The loops around tile kernels of a CONV_2D or FULLY_CONNECTED."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tvm import tirx

from tvmtiny.ops import Node
from tvmtiny.ops.shared.sliding_window import Window
from tvmtiny.schedule import nest
from tvmtiny.schedule.families.mve import assembly
from tvmtiny.schedule.families.mve.assembly import VECTOR
from tvmtiny.schedule.families.mve.tile import Tile, pair_code, single_code
from tvmtiny.schedule.matrix_layer import Layer
from tvmtiny.schedule.overlap import Overlap, smallest_distance

HEADERS = ("tvmtiny_mve.h", "tvmtiny_mve_tile.h")

#: Instructions of a group for 8 channels of 2 pixels, and of a gathered group with its loop.
GROUP_INSTRUCTIONS, GATHER_INSTRUCTIONS = 28, 8


def geometry_of(layer: Layer) -> Window:
    """The window of a layer, if it has one."""
    assert layer.geometry is not None
    return layer.geometry


def strip_row(node: Node, geometry: Window) -> int:
    """Bytes of an input row with its padding, as far as windows reach."""
    columns = (geometry.output[1] - 1) * geometry.stride[1] + geometry.kernel[1]
    return columns * node.input(0).shape[3]


def _strip_rows(geometry: Window, rows: int) -> int:
    """Input rows of a strip of output rows."""
    return (rows - 1) * geometry.stride[0] + geometry.kernel[0]


@dataclass(frozen=True)
class _Part:
    """Neighbouring pixels whose inputs are in one buffer."""

    source: tirx.Buffer
    start: nest.Argument
    pixel: nest.Argument
    count: int


class MatrixFunction:
    """The function of one layer.

    Attributes
    ----------
    single
        Whether images have one pixel, so that the single kernel is used.
    gathers
        Whether patches are gathered.
    """

    def __init__(self, node: Node, layer: Layer, tile: Tile, kind: str, rows: int) -> None:
        self._node, self._layer, self._tile, self._kind, self._rows = node, layer, tile, kind, rows
        self._images = node.output.shape[0] if layer.geometry is not None else 1
        self.single = layer.pixels == self._images
        self.gathers = kind == "mve_patches" and not self.single
        self._x = nest.buffer("x", node.input(0).elements, "int8")
        self._out = nest.buffer("out", node.output.elements, "int8")
        self._table = nest.buffer("offsets", tile.groups * VECTOR, "uint8")
        self._workspaces: list[tirx.Buffer] = []
        self._name = self._kernel_name()

    @property
    def instructions(self) -> int:
        """A rough estimate of the instructions of one execution."""
        blocks = -(-self._layer.channels // 8)
        each = self._tile.groups * GROUP_INSTRUCTIONS + 33
        gathered = (
            self._layer.pixels * self._tile.groups * GATHER_INSTRUCTIONS if self.gathers else 0
        )
        return -(-self._layer.pixels // 2) * blocks * each + gathered

    @property
    def offsets(self) -> np.ndarray:
        """Offsets of the bytes of a patch in the strip: uint8, for whole groups."""
        geometry = geometry_of(self._layer)
        row = geometry.kernel[1] * self._node.input(0).shape[3]
        steps = np.arange(geometry.kernel[0])[:, None] * strip_row(self._node, geometry)
        flat = (steps + np.arange(row)).ravel()
        return np.pad(flat, (0, self._tile.groups * VECTOR - flat.size)).astype(np.uint8)

    def _kernel_name(self) -> str:
        tile = self._tile
        kind = "single" if self.single else "pair"
        sizes = [tile.channels, tile.rows, tile.row_bytes]
        sizes += [] if self.single else [tile.row_pitch, tile.pitch]
        sizes += [tile.unroll, tile.shift]
        return f"mve_{kind}_{'_'.join(map(str, sizes))}_{self._rounding.lower()}"

    @property
    def _rounding(self) -> str:
        return "SIGNED" if self._tile.signed else "PLAIN"

    def _instantiation(self) -> str:
        tile = self._tile
        if self.single:
            sizes = [tile.channels, tile.row_bytes, tile.shift]
            code = single_code(tile)
        else:
            sizes = [tile.channels, tile.rows, tile.row_bytes, tile.row_pitch, tile.pitch]
            sizes.append(tile.shift)
            code = pair_code(tile)
        arguments = ", ".join(map(str, sizes))
        macro = "SINGLE" if self.single else "PAIR"
        return (
            f"TVMTINY_MVE_{macro}({self._name}, {arguments}, {self._rounding}, "
            f"{assembly.text(code)})"
        )

    def _workspace(self, name: str, elements: int) -> tirx.Buffer:
        made = nest.buffer(name, elements, "int8")
        self._workspaces.append(made)
        return made

    def function(self, stream_words: int) -> tirx.PrimFunc:
        """Loops around kernel calls."""
        self._stream = nest.buffer("stream", stream_words, "int32")
        if self._layer.geometry is None:
            body, overlaps, staging = self._pixels()
        elif self._kind == "mve_rows":
            body, overlaps, staging = self._direct_rows()
        else:
            body, overlaps, staging = self._strips()
        tile = "1x8" if self.single else "2x4"
        if self._tile.channels < 4:
            tile = f"{tile[:2]}{self._tile.channels}"
        by_sign = ", rounding by sign" if self._tile.signed else ""
        return nest.function(
            [self._x, self._stream, *([self._table] if self.gathers else []), self._out],
            self._workspaces,
            body,
            operator=self._node.operator,
            schedule=f"mve, tile {tile}, {staging}, unroll {self._tile.turn}{by_sign}",
            headers=HEADERS,
            preamble=[self._instantiation()],
            overlaps=overlaps,
        )

    def _calls(self, part: _Part) -> list[tirx.Stmt]:
        """Compute the pixels of a part; if their number is odd, one pixel is computed twice."""
        tile = self._tile

        def call(pixel: int, pairs: int) -> tirx.Stmt:
            return nest.call(
                self._name,
                nest.address(part.source, part.start + pixel * tile.pitch),
                nest.address(self._stream),
                nest.address(self._out, (part.pixel + pixel) * tile.channels),
                *([] if self.single else [pairs]),
            )

        if self.single:
            return [call(pixel, 1) for pixel in range(part.count)]
        calls = [call(0, part.count // 2)]
        return calls + ([call(part.count - 2, 1)] if part.count % 2 else [])

    def _pixels(self) -> tuple[list[tirx.Stmt], list[Overlap], str]:
        """Loop over pixels that are runs of inputs.

        Whole vectors of the last ones would read past the end.
        """
        tile, pixels = self._tile, self._layer.pixels
        beyond = tile.groups * VECTOR - tile.row_bytes
        copied = 0
        if beyond:
            copied = min(pixels, max(1 if self.single else 2, -(-beyond // tile.row_bytes)))
            copied = pixels if pixels - copied == 1 else copied
        direct = pixels - copied
        body: list[tirx.Stmt] = []
        if direct:
            body += self._calls(_Part(self._x, 0, 0, direct))
        if copied:
            patches = self._workspace("patches", copied * tile.pitch + beyond)
            source = nest.address(self._x, direct * tile.pitch)
            size = copied * tile.pitch
            body.append(nest.call("tvmtiny_mve_copy", nest.address(patches), source, size))
            body += self._calls(_Part(patches, 0, direct, copied))
        overlaps = []
        if not direct:
            # The whole input is read before anything is written.
            overlaps.append(Overlap("out", 0, -self._node.output.elements))
        elif not self.single:
            overlaps.append(self._pixel_overlap(direct, copied))
        return body, overlaps, "pixels"

    def _pixel_overlap(self, direct: int, copied: int) -> Overlap:
        """The overlap that the order allows: a pair's inputs are read until it is written."""
        tile, pixels = self._tile, self._layer.pixels
        step = np.arange(pixels) // 2
        step[direct:] = direct // 2 + 2 + (np.arange(copied) // 2)
        last_read, first_write = step + 1, step
        if direct % 2:
            first_write[direct - 1] = direct // 2
            last_read[direct - 2 : direct] = direct // 2 + 1
        # The copied part of the input is read before anything is written.
        last_read[direct:] = direct // 2 + 2
        return Overlap(
            "out",
            0,
            smallest_distance(
                np.repeat(last_read, tile.pitch), np.repeat(first_write, tile.channels)
            ),
        )

    def _direct_rows(self) -> tuple[list[tirx.Stmt], list[Overlap], str]:
        """Loop over windows whose rows are whole vectors inside of the input."""
        geometry = geometry_of(self._layer)
        height, width = geometry.output
        image_bytes = self._node.input(0).elements // self._images
        row_bytes = geometry.input[1] * self._node.input(0).shape[3] * geometry.stride[0]

        def row(image: nest.Argument, y: nest.Argument) -> list[tirx.Stmt]:
            start = image * image_bytes + y * row_bytes
            return self._calls(_Part(self._x, start, (image * height + y) * width, width))

        body = nest.loop(
            self._images,
            "image",
            lambda image: [nest.loop(height, "y", lambda y: row(image, y))],
        )
        return [body], [self._strip_overlap(1, 1)], "rows"

    def _strips(self) -> tuple[list[tirx.Stmt], list[Overlap], str]:
        """Loop over strips of rows, copied with their padding.

        Optionally gather patches from them.
        """
        geometry, node = geometry_of(self._layer), self._node
        pixel = node.input(0).shape[3]
        (height, width), rows = geometry.output, min(self._rows, geometry.output[0])
        row_bytes, strip_rows = strip_row(node, geometry), _strip_rows(geometry, rows)
        left = geometry.pad[1] * pixel
        inside = min(geometry.input[1] * pixel, row_bytes - left)
        image_bytes = node.input(0).elements // self._images
        tile = self._tile
        slack = 0 if self.gathers else tile.row_groups * VECTOR - tile.row_bytes
        strip = self._workspace("strip", strip_rows * row_bytes + slack)
        patches = self._workspace("patches", rows * width * tile.pitch) if self.gathers else None

        def one(image: nest.Argument, index: nest.Argument) -> list[tirx.Stmt]:
            top = index * rows
            if height % rows:
                # The last strip overlaps the previous one.
                top = tirx.min(top, height - rows)
            first = (image * height + top) * width
            copy = nest.call(
                "tvmtiny_mve_rows",
                nest.address(self._x, image * image_bytes),
                nest.address(strip),
                top * geometry.stride[0] - geometry.pad[0],
                strip_rows,
                geometry.input[0],
                geometry.input[1] * pixel,
                left,
                inside,
                row_bytes - left - inside,
                self._layer.pad,
            )
            if patches is not None:
                return [
                    copy,
                    *gather(patches),
                    *self._calls(_Part(patches, 0, first, rows * width)),
                ]
            if width == 1:
                return [copy, *self._calls(_Part(strip, 0, first, rows))]
            step = geometry.stride[0] * row_bytes

            def line(y: nest.Argument) -> list[tirx.Stmt]:
                return self._calls(_Part(strip, y * step, first + y * width, width))

            return [copy, nest.loop(rows, "row", line)]

        def gather(to: tirx.Buffer) -> list[tirx.Stmt]:
            def line(y: nest.Argument) -> list[tirx.Stmt]:
                call = nest.call(
                    "tvmtiny_mve_patches",
                    nest.address(strip, y * (geometry.stride[0] * row_bytes)),
                    nest.address(self._table),
                    nest.address(to, y * (width * tile.pitch)),
                    width,
                    geometry.stride[1] * pixel,
                    tile.groups,
                )
                return [call]

            return [nest.loop(rows, "row", line)]

        body = nest.loop(
            self._images,
            "image",
            lambda image: [
                nest.loop(-(-height // rows), "strip_index", lambda index: one(image, index))
            ],
        )
        staging = f"{'patches of ' * self.gathers}strips of {rows} rows"
        return [body], [self._strip_overlap(rows, 0)], staging

    def _strip_overlap(self, rows: int, late: int) -> Overlap:
        """The overlap that the order of strips allows.

        Parameters
        ----------
        late
            0 if a strip is copied before its outputs are written, otherwise 1.
        """
        geometry, channels = geometry_of(self._layer), self._layer.channels
        height, width, depth = self._node.input(0).shape[1:]
        total = geometry.output[0]
        last_read = np.full((self._images, height), -1)
        first_write = np.zeros((self._images, total), np.int64)
        count = -(-total // rows)
        for step, (image, index) in enumerate(np.ndindex(self._images, count)):
            top = min(index * rows, total - rows)
            first = top * geometry.stride[0] - geometry.pad[0]
            end = max(0, first + _strip_rows(geometry, rows))
            last_read[image, max(0, first) : end] = step + late
            first_write[image, index * rows : top + rows] = step
        return Overlap(
            "out",
            0,
            smallest_distance(
                np.repeat(last_read.ravel(), width * depth),
                np.repeat(first_write.ravel(), geometry.output[1] * channels),
            ),
        )
