"""Pools as calls of a kernel for each window, for schedules of all kernel families."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from tvm import tirx

from tvmtiny.ops import Node
from tvmtiny.ops.shared.affine import Affine
from tvmtiny.ops.shared.pooling import pool_window
from tvmtiny.schedule import nest

#: Limit on the pixels of a window, whose sums must fit lanes of 16 bits.
_MOST_PIXELS = 256

#: With padding there is a scale for each number of pixels; a larger table does not pay off.
_MOST_SCALES = 64


@dataclass(frozen=True)
class PoolWindows:
    """The input pixels of each output.

    Attributes
    ----------
    images
        Batch size.
    rows, columns
        For each output row or column: the first input row or column, and their number.
    size
        Rows and columns of the input.
    channels
        Channels of a pixel.
    stride, pad, kernel
        Geometry of the pool along height and width.
    """

    images: int
    rows: tuple[tuple[int, int], ...]
    columns: tuple[tuple[int, int], ...]
    size: tuple[int, int]
    channels: int
    stride: tuple[int, int]
    pad: tuple[int, int]
    kernel: tuple[int, int]

    @property
    def row_bytes(self) -> int:
        """Bytes from an input row to the next."""
        return self.size[1] * self.channels

    @property
    def any_whole(self) -> bool:
        """Whether any window has the full size of the kernel."""
        whole = [
            any(n == size for _, n in windows)
            for windows, size in zip((self.rows, self.columns), self.kernel, strict=True)
        ]
        return all(whole)

    @property
    def constant(self) -> bool:
        """Whether all windows have the full size of the kernel."""
        sizes = (*self.rows, *self.columns)
        return all(n == self.kernel[i >= len(self.rows)] for i, (_, n) in enumerate(sizes))

    @property
    def counts(self) -> set[int]:
        """The numbers of taps that occur in windows."""
        return {r * c for _, r in self.rows for _, c in self.columns}


def pool_windows(node: Node) -> PoolWindows:
    """Return the windows of a pool, without taps outside the input."""
    geometry = pool_window(node)
    images, height, width, channels = node.input(0).shape
    ranges = []
    for axis, size in enumerate((height, width)):
        starts = [
            i * geometry.stride[axis] - geometry.pad[axis] for i in range(geometry.output[axis])
        ]
        clipped = [(max(s, 0), min(s + geometry.kernel[axis], size)) for s in starts]
        ranges.append(tuple((first, end - first) for first, end in clipped))
    return PoolWindows(
        images,
        ranges[0],
        ranges[1],
        (height, width),
        channels,
        geometry.stride,
        geometry.pad,
        geometry.kernel,
    )


def average_scales(
    windows: PoolWindows, shift: int, exact: Callable[[int], Affine | None]
) -> np.ndarray | None:
    """Return factors and offsets of int8 averages.

    Parameters
    ----------
    windows
        Windows of the pool.
    shift
        Right shift of the averages; a shift that is precise enough for all numbers of pixels lets
        them share a kernel.
    exact
        Returns the constants for the average of a number of pixels, None if there are none.

    Returns
    -------
    numpy.ndarray or None
        int32, ``(counts, 2)``: a row for the only number of pixels, or for each from 1; None if
        windows are too large, or averages with this shift are not exact.
    """
    counts = windows.counts
    most = max(counts)
    if most > _MOST_PIXELS or (len(counts) > 1 and most > _MOST_SCALES):
        return None
    scales = np.zeros((1 if len(counts) == 1 else most, 2), np.int32)
    for count in counts:
        line = exact(count)
        if line is None or line.shift != shift:
            return None
        scales[0 if len(counts) == 1 else count - 1] = line.factors[0], line.offset
    return scales


def pool_function(
    windows: PoolWindows,
    kernels: tuple[str, ...],
    scales: int | None,
    operator: str,
    schedule: str,
    headers: Sequence[str],
    preamble: Sequence[str],
    dtype: str = "int8",
) -> tirx.PrimFunc:
    """Make a function that calls a kernel for each window.

    Parameters
    ----------
    kernels
        Names of functions ``kernel(x, [scale,] out, rows, columns)``. If there are two, the second
        is called for clipped windows.
    scales
        Number of pairs of int32: one for each number of taps, or a single one for all; None for
        kernels without a scale.
    """
    channels, (height, width) = windows.channels, windows.size
    outputs = len(windows.rows), len(windows.columns)
    x = nest.buffer("x", windows.images * height * width * channels, dtype)
    table = nest.buffer("scales", 2 * (scales or 1), "int32")
    out = nest.buffer("out", windows.images * prod(outputs) * channels, dtype)

    def clip(position: nest.Argument, axis: int) -> tuple[nest.Argument, nest.Argument]:
        """Return the first row or column of a window, and their number."""
        start = position * windows.stride[axis] - windows.pad[axis]
        if windows.constant:
            return start, windows.kernel[axis]
        first = tirx.max(start, 0)
        return first, tirx.min(start + windows.kernel[axis], windows.size[axis]) - first

    def call(
        kernel: str, clipped: bool, image: nest.Argument, row: nest.Argument, column: nest.Argument
    ) -> tirx.Stmt:
        (top, rows), (left, columns) = clip(row, 0), clip(column, 1)
        if not clipped:
            rows, columns = windows.kernel
            if columns == width:
                # The rows of the window are contiguous.
                rows, columns = 1, rows * columns
        scale = []
        if scales is not None:
            scale = [nest.address(table, 0 if scales == 1 else (rows * columns - 1) * 2)]
        source = ((image * height + top) * width + left) * channels
        target = ((image * outputs[0] + row) * outputs[1] + column) * channels
        addresses = [nest.address(x, source), *scale, nest.address(out, target)]
        return nest.call(kernel, *addresses, rows, columns)

    def window(
        image: nest.Argument, row: nest.Argument, column: nest.Argument
    ) -> Sequence[tirx.Stmt]:
        if len(kernels) == 1:
            return [call(kernels[0], not windows.constant, image, row, column)]
        sizes = clip(row, 0)[1], clip(column, 1)[1]
        whole = tirx.all(*(a == b for a, b in zip(sizes, windows.kernel, strict=True)))
        return [
            tirx.IfThenElse(
                whole,
                call(kernels[0], False, image, row, column),
                call(kernels[1], True, image, row, column),
            )
        ]

    def columns(image: nest.Argument, row: nest.Argument) -> Sequence[tirx.Stmt]:
        return [nest.loop(outputs[1], "column", lambda column: window(image, row, column))]

    def rows(image: nest.Argument) -> Sequence[tirx.Stmt]:
        return [nest.loop(outputs[0], "row", lambda row: columns(image, row))]

    parameters = [x, out] if scales is None else [x, table, out]
    return nest.function(
        parameters,
        [],
        [nest.loop(windows.images, "image", rows)],
        operator=operator,
        schedule=schedule,
        headers=headers,
        preamble=preamble,
    )
