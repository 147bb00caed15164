"""Layers with windows, row by row: directly from the input, or from strips of padded rows.

A strip holds the padded input rows of some output rows. The next strip keeps the rows that both
need, so each row of the input is read once, before any output of the strip is written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod

import numpy as np
from tvm import tirx

from tvmtiny.ops import Node
from tvmtiny.ops.shared.sliding_window import Window
from tvmtiny.schedule import nest
from tvmtiny.schedule.matrix_layer import Layer, read_patches
from tvmtiny.schedule.overlap import Overlap, smallest_distance

#: Instructions that copy 128 bytes, and instructions around a copy and the call that follows.
_COPY, _STAGE = 7, 30

#: Computes rows of outputs from source, first input and first output position.
Row = Callable[[tirx.Buffer, nest.Argument, nest.Argument], list[tirx.Stmt]]


def lying(geometry: Window) -> Window:
    """Return a window over a column of pixels as the equivalent window over a row of pixels."""
    if geometry.input[1] > 1 or geometry.kernel[1] > 1 or geometry.output[1] > 1:
        return geometry
    if geometry.pad[1] or geometry.pad_after[1]:
        return geometry
    fields = ("input", "output", "kernel", "stride", "dilation", "pad", "pad_after")
    return replace(geometry, **{name: getattr(geometry, name)[::-1] for name in fields})


@dataclass(frozen=True)
class Patch:
    """The inputs of a pixel.

    Attributes
    ----------
    rows, row_bytes, row_pitch
        Number of runs of inputs, bytes of a run, and bytes from one run to the next.
    pitch
        Bytes from the patch of one pixel to that of the next in a row.
    """

    rows: int
    row_bytes: int
    row_pitch: int
    pitch: int


@dataclass(frozen=True)
class Strips:
    """The division of a layer's rows into strips.

    Attributes
    ----------
    node
        The layer.
    geometry
        The window.
    rows
        Output rows of a strip, which divide all rows; 0 if kernels read the input directly.
    called
        Output rows that a call of the kernel computes, which divide those of a strip.
    """

    node: Node
    geometry: Window
    rows: int
    called: int = 1

    @property
    def images(self) -> int:
        """Batch size."""
        return self.node.output.shape[0]

    @property
    def pixel(self) -> int:
        """Bytes of an input pixel."""
        return self.node.input(0).shape[3]

    @property
    def row_bytes(self) -> int:
        """Bytes from an input row to the next, as kernels read them."""
        geometry = self.geometry
        if not self.rows:
            return geometry.input[1] * self.pixel
        reach = (geometry.kernel[1] - 1) * geometry.dilation[1] + 1
        return ((geometry.output[1] - 1) * geometry.stride[1] + reach) * self.pixel

    @property
    def _reach(self) -> int:
        """Number of input rows under a window."""
        return (self.geometry.kernel[0] - 1) * self.geometry.dilation[0] + 1

    @property
    def height(self) -> int:
        """Number of input rows in a strip."""
        return (self.rows - 1) * self.geometry.stride[0] + self._reach

    @property
    def kept(self) -> int:
        """Number of rows that the next strip needs as well."""
        return max(0, self._reach - self.geometry.stride[0])

    @property
    def workspace(self) -> int:
        """Bytes of a strip."""
        return self.height * self.row_bytes if self.rows else 0

    @property
    def description(self) -> str:
        """Description for reports."""
        return f"strips of {self.rows} rows" if self.rows else "rows of the input"

    def loops(self, x: tirx.Buffer, strip: tirx.Buffer | None, row: Row) -> tirx.Stmt:
        """Make the loops over images and rows of outputs."""
        geometry = self.geometry
        height, width = geometry.output
        image_bytes = self.node.input(0).elements // self.images
        step = geometry.stride[0] * self.row_bytes
        strips = height // self.rows if strip is not None else 1

        def position(image: nest.Argument, y: nest.Argument) -> nest.Argument:
            return (image * height + y) * width

        def direct(image: nest.Argument) -> list[tirx.Stmt]:
            def one(index: nest.Argument) -> list[tirx.Stmt]:
                y = index * self.called
                return row(x, image * image_bytes + y * step, position(image, y))

            return [nest.loop(height // self.called, "y", one)]

        def one(image: nest.Argument, index: nest.Argument) -> list[tirx.Stmt]:
            assert strip is not None
            kept = self.kept if strips > 1 else 0
            advance = self.rows * geometry.stride[0]
            first = index * advance - geometry.pad[0] + kept
            target = nest.address(strip, kept * self.row_bytes)
            statements = [self._copy(x, image, target, first, self.height - kept)]

            def line(number: nest.Argument) -> list[tirx.Stmt]:
                y = number * self.called
                return row(strip, y * step, position(image, index * self.rows + y))

            statements.append(nest.loop(self.rows // self.called, "row", line))
            if kept:
                rest = nest.address(strip, advance * self.row_bytes)
                size = kept * self.row_bytes
                statements.append(nest.call("tvmtiny_rvv_copy", nest.address(strip), rest, size))
            return statements

        def stripped(image: nest.Argument) -> list[tirx.Stmt]:
            assert strip is not None
            begin = nest.address(strip)
            first = [self._copy(x, image, begin, -geometry.pad[0], self.kept)]
            loop = nest.loop(strips, "strip_index", lambda index: one(image, index))
            return [*(first if self.kept and strips > 1 else []), loop]

        return nest.loop(self.images, "image", direct if strip is None else stripped)

    def _copy(
        self,
        x: tirx.Buffer,
        image: nest.Argument,
        target: nest.Argument,
        first: nest.Argument,
        rows: int,
    ) -> tirx.Stmt:
        geometry = self.geometry
        pitch = geometry.input[1] * self.pixel
        left = geometry.pad[1] * self.pixel
        inside = min(pitch, self.row_bytes - left)
        return nest.call(
            "tvmtiny_rvv_rows",
            nest.address(x, image * (geometry.input[0] * pitch)),
            target,
            first,
            rows,
            geometry.input[0],
            pitch,
            left,
            inside,
            self.row_bytes - left - inside,
            self.node.input(0).zero_point,
        )

    def overlap(self, pixels: int, multiple: int, blocks: int) -> Overlap:
        """Return the overlap that the order of reads and writes permits.

        Parameters
        ----------
        pixels
            Pixels per iteration of the kernel; the last iteration of a row may repeat some.
        multiple
            Channels of a pixel if they are independent of each other; else 1.
        blocks
            Number of blocks of channels; without a strip, the first block is written before the
            last one is read.
        """
        node, geometry = self.node, self.geometry
        height, width = geometry.output
        channels = node.output.shape[3]
        if self.rows:
            last_read, first_write = self._strip_steps()
        else:
            turns = -(-width // pixels)
            columns = np.arange(width)
            first = np.minimum(columns // pixels, turns - 1)
            last = np.where(columns >= width - pixels, turns - 1, first)
            rows = np.arange(self.images * height)[:, None] * turns
            first_write = (rows + first).ravel()
            last_read = np.full(node.input(0).elements // self.pixel, -1)
            read_patches(last_read, (rows + last).ravel(), geometry, self.images)
            if blocks > 1 and multiple == 1:
                last_read[last_read >= 0] += 1
        distance = smallest_distance(
            np.repeat(last_read, self.pixel), np.repeat(first_write, channels), multiple
        )
        return Overlap("out", 0, distance, multiple)

    def _strip_steps(self) -> tuple[np.ndarray, np.ndarray]:
        """Return for each pixel the strip that reads or writes it."""
        geometry = self.geometry
        height, width = geometry.input
        strips = geometry.output[0] // self.rows
        last_read = np.full((self.images, height, width), -1)
        steps = np.arange(self.images * strips)
        for step, (image, strip) in zip(steps, np.ndindex(self.images, strips), strict=True):
            start = strip * self.rows * geometry.stride[0] - geometry.pad[0]
            first = start + self.kept if strip else start
            last_read[image, max(0, first) : max(0, start + self.height)] = step
        return last_read.ravel(), np.repeat(steps, self.rows * geometry.output[1])


def copied_first(size: int) -> int:
    """Estimate the instructions to copy the inputs of a call of a kernel."""
    return _STAGE + _COPY * -(-size // 128)


def patch_of(layer: Layer, strips: Strips | None) -> Patch:
    """Return the inputs of a pixel; without strips, patches are one run after the other."""
    geometry = layer.geometry
    if geometry is None or strips is None:
        return Patch(1, layer.depth, layer.depth, layer.depth)
    rows, row_bytes = geometry.kernel[0], geometry.kernel[1] * strips.pixel
    row_pitch = geometry.dilation[0] * strips.row_bytes
    pitch = geometry.stride[1] * strips.pixel
    if row_bytes == row_pitch:
        # The rows of the filter are contiguous.
        return Patch(1, layer.depth, layer.depth, pitch)
    return Patch(rows, row_bytes, row_pitch, pitch)


def rows_of_strips(geometry: Window) -> tuple[int, ...]:
    """Return the heights of strips that divide the output."""
    height = geometry.output[0]
    return tuple(n for n in range(1, height + 1) if height % n == 0)


def positions(node: Node, geometry: Window) -> int:
    """Return the number of output positions in all images."""
    return node.output.shape[0] * prod(geometry.output)
