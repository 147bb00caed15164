"""AVERAGE_POOL_2D, MAX_POOL_2D and MEAN around ``tvmtiny_dsp_elementwise.h``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from tvm import tirx

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.average_pool_2d import exact_mean
from tvmtiny.ops.mean import mean_multiplier, reduced_block
from tvmtiny.ops.shared.affine import wide_image
from tvmtiny.ops.shared.pooling import pool_window
from tvmtiny.ops.shared.quantization import activation_range
from tvmtiny.schedule import nest
from tvmtiny.schedule.families.dsp.add import HEADERS
from tvmtiny.schedule.implementation import Decision, Decisions, Goal, Implementation, Sketch

#: Sums of more values would not fit the lanes.
_MOST_TAPS = 256
#: With padding there is a scale for each count of taps; beyond this many they are not worth it.
_MOST_SCALES = 64
#: Precise enough for all counts, and small enough for the factor of a single tap.
_SHIFT = 14


@dataclass(frozen=True)
class _Windows:
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


def implement_average_pool(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """AVERAGE_POOL_2D in int8; None for large windows or fewer than four channels."""
    windows = _windows(node)
    low, high = activation_range(node)
    counts = windows.counts
    most = max(counts)
    if windows.channels < 4 or most > _MOST_TAPS or (len(counts) > 1 and most > _MOST_SCALES):
        return None
    scales = np.zeros((1 if len(counts) == 1 else most, 2), np.int32)
    for count in counts:
        line = exact_mean(count, (low, high), wide_image, 16, _SHIFT)
        if line is None or line.shift != _SHIFT:
            return None
        scales[0 if len(counts) == 1 else count - 1] = line.factors[0], line.offset
    kernel = f"average_pool_{_SHIFT}_{_suffix(windows, low, high)}"
    macro = (
        f"TVMTINY_AVERAGE_POOL({{}}, {windows.channels}, {_pitch(windows)}, {_SHIFT}, "
        f"{low}, {high})"
    )
    chosen = _decide(windows, goal, decisions)
    return _implementation(node, windows, kernel, macro, scales, chosen)


def implement_mean(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """MEAN in int8 over neighbouring dimensions, not the last, of at most 256 elements."""
    block = reduced_block(node)
    if block is None or block[1] > _MOST_TAPS or block[2] < 4:
        return None
    images, count, channels = block
    windows = _Windows(
        images, ((0, 1),), ((0, count),), (1, count), channels, (1, 1), (0, 0), (1, count)
    )
    (multiplier, shift), zero_point = mean_multiplier(node), node.output.zero_point
    kernel = f"mean_{channels}_{shift}_{zero_point}".replace("-", "m")
    macro = f"TVMTINY_MEAN({{}}, {channels}, {shift}, {zero_point})"
    scales = np.array([[multiplier, -count * node.input(0).zero_point]], np.int32)
    chosen = _decide(windows, goal, decisions)
    return _implementation(node, windows, kernel, macro, scales, chosen)


def implement_max_pool(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """MAX_POOL_2D in int8; None for fewer than four channels."""
    windows = _windows(node)
    low, high = activation_range(node)
    if windows.channels < 4:
        return None
    macro = f"TVMTINY_MAX_POOL({{}}, {windows.channels}, {_pitch(windows)}, {low}, {high})"
    kernel = f"max_pool_{_suffix(windows, low, high)}"
    return _implementation(node, windows, kernel, macro, None, _decide(windows, goal, decisions))


def _windows(node: Node) -> _Windows:
    geometry = pool_window(node)
    images, height, width, channels = node.input(0).shape
    ranges = []
    for axis, size in enumerate((height, width)):
        starts = [
            i * geometry.stride[axis] - geometry.pad[axis] for i in range(geometry.output[axis])
        ]
        clipped = [(max(s, 0), min(s + geometry.kernel[axis], size)) for s in starts]
        ranges.append(tuple((first, end - first) for first, end in clipped))
    return _Windows(
        images,
        ranges[0],
        ranges[1],
        (height, width),
        channels,
        geometry.stride,
        geometry.pad,
        geometry.kernel,
    )


def _pitch(windows: _Windows) -> int:
    return windows.size[1] * windows.channels


def _suffix(windows: _Windows, low: int, high: int) -> str:
    return f"{windows.channels}_{_pitch(windows)}_{low}_{high}".replace("-", "m")


def _decide(windows: _Windows, goal: Goal, decisions: Decisions | None) -> Decisions:
    """Decisions: ``split`` is 1 for a copy of the kernel for windows that are not clipped."""
    if decisions:
        return decisions
    split = goal is not Goal.SIZE and windows.any_whole and not windows.constant
    return {"sketch": "windows", "split": int(split)}


def pool_sketches(node: Node) -> tuple[Sketch, ...]:
    """One way to compute a pool, with a kernel of its own for whole windows or without."""
    windows = _windows(node)
    both = windows.any_whole and not windows.constant
    return (Sketch("windows", (Decision("split", (0, 1) if both else (0,)),)),)


def _implementation(
    node: Node,
    windows: _Windows,
    kernel: str,
    macro: str,
    scales: np.ndarray | None,
    decisions: Decisions,
) -> Implementation:
    split = bool(decisions["split"]) and windows.any_whole and not windows.constant
    kernels = (kernel, f"{kernel}_clipped") if split else (kernel,)
    words = "words" if windows.channels % 4 == 0 else "overlapping words"
    clipped = "" if windows.constant else ", clipped windows apart" if split else ", clipped"
    function = _function(
        windows,
        kernels,
        None if scales is None else len(scales),
        node.operator,
        f"dsp, {words}{clipped}",
        [macro.format(name) for name in kernels],
    )
    constants = () if scales is None else (scales.ravel(),)
    return Implementation(function, (node.input(0), *constants), decisions)


def _function(
    windows: _Windows,
    kernels: tuple[str, ...],
    scales: int | None,
    operator: str,
    schedule: str,
    preamble: Sequence[str],
) -> tirx.PrimFunc:
    """A call for each window, with the scale of its count of taps if there are any."""
    channels, (height, width) = windows.channels, windows.size
    outputs = len(windows.rows), len(windows.columns)
    x = nest.buffer("x", windows.images * height * width * channels, "int8")
    table = nest.buffer("scales", 2 * (scales or 1), "int32")
    out = nest.buffer("out", windows.images * prod(outputs) * channels, "int8")

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
        headers=HEADERS,
        preamble=preamble,
    )
