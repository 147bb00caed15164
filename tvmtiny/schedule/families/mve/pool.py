"""AVERAGE_POOL_2D, MAX_POOL_2D and MEAN around ``tvmtiny_mve_elementwise.h``."""

from __future__ import annotations

import numpy as np

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.average_pool_2d import exact_mean
from tvmtiny.ops.mean import mean_multiplier, reduced_block
from tvmtiny.ops.shared.quantization import activation_range
from tvmtiny.schedule.families.mve.elementwise import HEADERS
from tvmtiny.schedule.implementation import Decisions, Goal, Implementation, Sketch
from tvmtiny.schedule.pool_windows import (
    PoolWindows,
    average_scales,
    pool_function,
    pool_windows,
)

#: Sums of more values would not fit the lanes.
_MOST_TAPS = 256
#: A shift that is precise enough for all counts of taps, so that they share a kernel.
_SHIFT = 23
#: Channels of a vector of sums, and of a vector of bytes.
_SUMS, _BYTES = 8, 16
#: Estimated instructions per vector of sums, for each input pixel and for the output.
_PER_TAP, _PER_OUTPUT = 3, 20

_HALF_HEADERS = ("tvmtiny_mve.h", "tvmtiny_mve_half_pool.h")

_DECISIONS: Decisions = {"sketch": "mve_pool"}


def implement_average_pool(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """AVERAGE_POOL_2D; None for large windows, in int8 for fewer than eight channels."""
    windows = pool_windows(node)
    if node.output.dtype == "int16":
        return _half_average(node, windows)
    scales = average_scales(
        windows, _SHIFT, lambda count: exact_mean(node, count, largest_shift=_SHIFT)
    )
    if scales is None or windows.channels < _SUMS:
        return None
    sizes = (windows.channels, windows.row_bytes, _SHIFT, *activation_range(node))
    return _implementation(node, windows, "AVERAGE_POOL", sizes, scales)


def _half_average(node: Node, windows: PoolWindows) -> Implementation | None:
    """AVERAGE_POOL_2D in int16; None for windows of one pixel."""
    counts = windows.counts
    if min(counts) == 1 or max(counts) > _MOST_TAPS:
        return None
    scales = np.zeros((1 if len(counts) == 1 else max(counts), 2), np.uint32)
    for count in counts:
        scales[0 if len(counts) == 1 else count - 1] = -(-(2**32) // count), count // 2
    sizes = (windows.channels, windows.row_bytes, *activation_range(node))
    return _implementation(node, windows, "HALF_AVERAGE_POOL", sizes, scales.view(np.int32))


def implement_max_pool(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """MAX_POOL_2D; None in int8 for fewer than sixteen channels."""
    windows = pool_windows(node)
    if node.output.dtype == "int16":
        sizes = (windows.channels, windows.row_bytes, *activation_range(node))
        return _implementation(node, windows, "HALF_MAX_POOL", sizes, None)
    if windows.channels < _BYTES:
        return None
    sizes = (windows.channels, windows.row_bytes, *activation_range(node))
    return _implementation(node, windows, "MAX_POOL", sizes, None)


def implement_mean(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """MEAN in int8 over neighbouring dimensions, not the last, of at most 256 elements.

    None for fewer than eight elements after these dimensions.
    """
    block = _mean_block(node)
    if block is None:
        return None
    images, count, channels = block
    windows = PoolWindows(
        images, ((0, 1),), ((0, count),), (1, count), channels, (1, 1), (0, 0), (1, count)
    )
    multiplier, shift = mean_multiplier(node)
    sizes = (channels, windows.row_bytes, shift, node.output.zero_point)
    scales = np.array([[multiplier, -count * node.input(0).zero_point]], np.int32)
    return _implementation(node, windows, "MEAN", sizes, scales)


def mean_sketches(node: Node) -> tuple[Sketch, ...]:
    """The only sketch of a MEAN, without decisions."""
    return () if _mean_block(node) is None else (Sketch("mve_pool"),)


def _mean_block(node: Node) -> tuple[int, int, int] | None:
    block = reduced_block(node) if node.output.dtype == "int8" else None
    if block is None or block[1] > _MOST_TAPS or block[2] < _SUMS or not node.output.elements:
        return None
    return block


def pool_sketches(node: Node) -> tuple[Sketch, ...]:
    """The only sketch of a pool, without decisions."""
    if node.output.dtype == "int16":
        return (Sketch("mve_pool"),)
    least = _SUMS if node.operator == "AVERAGE_POOL_2D" else _BYTES
    return (Sketch("mve_pool"),) if node.input(0).shape[3] >= least else ()


def _implementation(
    node: Node,
    windows: PoolWindows,
    macro: str,
    sizes: tuple[int, ...],
    scales: np.ndarray | None,
) -> Implementation:
    kernel = f"mve_{macro.lower()}_{'_'.join(map(str, sizes))}".replace("-", "m")
    function = pool_function(
        windows,
        (kernel,),
        None if scales is None else len(scales),
        node.operator,
        f"mve, vectors of channels{'' if windows.constant else ', clipped'}",
        _HALF_HEADERS if node.output.dtype == "int16" else HEADERS,
        [f"TVMTINY_MVE_{macro}({kernel}, {', '.join(map(str, sizes))})"],
        node.output.dtype,
    )
    constants = () if scales is None else (scales.ravel(),)
    return Implementation(
        function, (node.input(0), *constants), _DECISIONS, _instructions(node, windows)
    )


def _instructions(node: Node, windows: PoolWindows) -> int:
    """Estimate the instructions of one execution."""
    rows, columns = windows.rows, windows.columns
    taps = sum(count for _, count in rows) * sum(count for _, count in columns)
    lanes = _SUMS if node.output.dtype == "int8" else _SUMS // 2
    vectors = -(-windows.channels // lanes)
    outputs = len(rows) * len(columns)
    return windows.images * vectors * (_PER_TAP * taps + _PER_OUTPUT * outputs)
