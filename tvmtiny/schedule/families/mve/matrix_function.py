"""The loops around tile kernels of a CONV_2D or FULLY_CONNECTED."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tvm import tirx

from tvmtiny.ops import Node
from tvmtiny.ops.shared.sliding_window import Window
from tvmtiny.schedule import nest
from tvmtiny.schedule.families.mve.assembly import VECTOR
from tvmtiny.schedule.families.mve.matrix_kernel import MatrixKernel
from tvmtiny.schedule.matrix_layer import Layer
from tvmtiny.schedule.overlap import Overlap, smallest_distance
from tvmtiny.schedule.product_blocks import BLOCK

#: Instructions of a gathered group with its loop.
GATHER_INSTRUCTIONS = 8


def geometry_of(layer: Layer) -> Window:
    """The window of a layer, if it has one."""
    assert layer.geometry is not None
    return layer.geometry


def images_of(node: Node, layer: Layer) -> int:
    """Return the number of images; all pixels of a layer without a window are one image."""
    return node.output.shape[0] if layer.geometry is not None else 1


def strip_row(node: Node, geometry: Window) -> int:
    """Bytes of an input row with its padding, as far as windows reach."""
    columns = (geometry.output[1] - 1) * geometry.stride[1] + geometry.kernel[1]
    return columns * node.input(0).shape[3]


def strip_rows(geometry: Window, rows: int) -> int:
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

    Parameters
    ----------
    staging
        The way to the inputs: ``pixels``, ``rows``, ``strip`` or ``patches``.

    Attributes
    ----------
    gathers
        Whether patches are gathered.
    """

    def __init__(
        self, node: Node, layer: Layer, kernel: MatrixKernel, staging: str, rows: int
    ) -> None:
        self._node, self._layer, self._rows = node, layer, rows
        self._kernel, self._tile, self._staging = kernel, kernel.tile, staging
        self._images = images_of(node, layer)
        self.gathers = staging == "patches" and layer.pixels > self._images
        self._x = nest.buffer("x", node.input(0).elements, "int8")
        self._out = nest.buffer("out", node.output.elements, "int8")
        self._table = nest.buffer("offsets", kernel.tile.groups * VECTOR, "uint8")
        self._workspaces: list[tirx.Buffer] = []

    @property
    def instructions(self) -> int:
        """A rough estimate of the instructions of one execution."""
        gathered = (
            self._layer.pixels * self._tile.groups * GATHER_INSTRUCTIONS if self.gathers else 0
        )
        return self._kernel.instructions(self._layer.pixels) + gathered

    @property
    def offsets(self) -> np.ndarray:
        """Offsets of the bytes of a patch in the strip: uint8, for whole groups."""
        geometry = geometry_of(self._layer)
        row = geometry.kernel[1] * self._node.input(0).shape[3]
        steps = np.arange(geometry.kernel[0])[:, None] * strip_row(self._node, geometry)
        flat = (steps + np.arange(row)).ravel()
        return np.pad(flat, (0, self._tile.groups * VECTOR - flat.size)).astype(np.uint8)

    def _workspace(self, name: str, elements: int) -> tirx.Buffer:
        made = nest.buffer(name, elements, "int8")
        self._workspaces.append(made)
        return made

    def function(self, stream_words: int) -> tirx.PrimFunc:
        """Loops around kernel calls."""
        self._stream = nest.buffer("stream", stream_words, "int32")
        if self._layer.geometry is None:
            body, overlaps, staging = self._pixels()
        elif self._staging == "rows":
            body, overlaps, staging = self._direct_rows()
        else:
            body, overlaps, staging = self._strips()
        by_sign = ", rounding by sign" if self._tile.signed else ""
        return nest.function(
            [self._x, self._stream, *([self._table] if self.gathers else []), self._out],
            self._workspaces,
            body,
            operator=self._node.operator,
            schedule=f"mve, {self._kernel.described(staging)}{by_sign}",
            headers=self._kernel.headers,
            preamble=[self._kernel.instantiation],
            overlaps=overlaps,
        )

    def _calls(self, part: _Part) -> list[tirx.Stmt]:
        """Compute the pixels of a part; if steps do not divide them, some are computed twice."""
        tile, each = self._tile, self._kernel.pixels

        def call(pixel: int, steps: int) -> tirx.Stmt:
            return nest.call(
                self._kernel.name,
                nest.address(part.source, part.start + pixel * tile.pitch),
                nest.address(self._stream),
                nest.address(self._out, (part.pixel + pixel) * tile.channels),
                *([] if each == 1 else [steps]),
            )

        if each == 1:
            return [call(pixel, 1) for pixel in range(part.count)]
        calls = [call(0, part.count // each)]
        return calls + ([call(part.count - each, 1)] if part.count % each else [])

    def _pixels(self) -> tuple[list[tirx.Stmt], list[Overlap], str]:
        """Loop over pixels that are runs of inputs.

        Whole vectors of the last ones would read past the end.
        """
        tile, pixels = self._tile, self._layer.pixels
        beyond = tile.groups * VECTOR - tile.row_bytes if self._kernel.reads_vectors else 0
        copied = 0
        if beyond:
            copied = min(pixels, max(self._kernel.pixels, -(-beyond // tile.row_bytes)))
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
        elif self._kernel.pixels > 1:
            overlaps.append(self._pixel_overlap(direct, copied))
        return body, overlaps, "pixels"

    def _pixel_overlap(self, direct: int, copied: int) -> Overlap:
        """The overlap that the order allows: a step's inputs are read until it is written."""
        tile, pixels, each = self._tile, self._layer.pixels, self._kernel.pixels
        step = np.arange(pixels) // each
        step[direct:] = direct // each + 2 + (np.arange(copied) // each)
        last_read, first_write = step + 1, step
        if direct % each:
            last_read[direct - each : direct] = direct // each + 1
        # The copied part of the input is read before anything is written.
        last_read[direct:] = direct // each + 2
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
        row_bytes, high = strip_row(node, geometry), strip_rows(geometry, rows)
        left = geometry.pad[1] * pixel
        inside = min(geometry.input[1] * pixel, row_bytes - left)
        image_bytes = node.input(0).elements // self._images
        tile = self._tile
        # Without patches, the last window is read to the end of a vector or of a block.
        unit = VECTOR if self._kernel.reads_vectors else BLOCK
        slack = 0 if self.gathers else -tile.row_bytes % unit
        strip = self._workspace("strip", high * row_bytes + slack)
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
                high,
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
            end = max(0, first + strip_rows(geometry, rows))
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
