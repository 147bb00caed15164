"""Pools as calls of a kernel for each window, for schedules of every kernel family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from tvm import tirx

from tvmtiny.ops import Node
from tvmtiny.ops.shared.pooling import pool_window
from tvmtiny.schedule import nest


@dataclass(frozen=True)
class PoolWindows:
    """Which pixels each output is made from.

    Attributes
    ----------
    images
        Batch size.
    rows, columns
        One entry per output row or column: first input row or column, and how many.
    size
        Rows and columns of the input.
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
        """From an input row to the next."""
        return self.size[1] * self.channels

    @property
    def any_whole(self) -> bool:
        """Whether some window has the whole kernel's size."""
        whole = [
            any(n == size for _, n in windows)
            for windows, size in zip((self.rows, self.columns), self.kernel, strict=True)
        ]
        return all(whole)

    @property
    def constant(self) -> bool:
        """Whether all windows have the whole kernel's size."""
        sizes = (*self.rows, *self.columns)
        return all(n == self.kernel[i >= len(self.rows)] for i, (_, n) in enumerate(sizes))

    @property
    def counts(self) -> set[int]:
        """How many taps windows have."""
        return {r * c for _, r in self.rows for _, c in self.columns}


def pool_windows(node: Node) -> PoolWindows:
    """The windows of a pool without their taps outside of the input."""
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
    """A call for each window, with the scale of its count of taps if there are any.

    Parameters
    ----------
    kernels
        Names: ``kernel(x, [scale,] out, rows, columns)``. With two, windows that are clipped call
        the second.
    scales
        How many pairs of int32, one for each count of taps, or one for all; None without.
    """
    channels, (height, width) = windows.channels, windows.size
    outputs = len(windows.rows), len(windows.columns)
    x = nest.buffer("x", windows.images * height * width * channels, dtype)
    table = nest.buffer("scales", 2 * (scales or 1), "int32")
    out = nest.buffer("out", windows.images * prod(outputs) * channels, dtype)

    def clip(position: nest.Argument, axis: int) -> tuple[nest.Argument, nest.Argument]:
        """First row or column of a window, and how many."""
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
                # Its rows lie side by side.
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
