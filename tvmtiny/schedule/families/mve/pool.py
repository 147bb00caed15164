"""AVERAGE_POOL_2D and MAX_POOL_2D around ``tvmtiny_mve_elementwise.h``."""

from __future__ import annotations

import numpy as np

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.average_pool_2d import exact_mean
from tvmtiny.ops.shared.quantization import activation_range
from tvmtiny.schedule.families.mve.elementwise import HEADERS
from tvmtiny.schedule.implementation import Decisions, Goal, Implementation, Sketch
from tvmtiny.schedule.pool_windows import PoolWindows, pool_function, pool_windows

#: Sums of more values would not fit the lanes.
_MOST_TAPS = 256
#: With padding there is a scale for each count of taps; beyond this many they are not worth it.
_MOST_SCALES = 64
#: Precise enough for all counts of taps; one for all, so that they share a kernel.
_SHIFT = 23
#: Channels of a vector of sums, and of a vector of bytes.
_SUMS, _BYTES = 8, 16

_DECISIONS: Decisions = {"sketch": "mve_pool"}


def implement_average_pool(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """AVERAGE_POOL_2D in int8; None for large windows or fewer than eight channels."""
    windows = pool_windows(node)
    low, high = activation_range(node)
    counts = windows.counts
    most = max(counts)
    if windows.channels < _SUMS or most > _MOST_TAPS or (len(counts) > 1 and most > _MOST_SCALES):
        return None
    scales = np.zeros((1 if len(counts) == 1 else most, 2), np.int32)
    for count in counts:
        line = exact_mean(count, (low, high), largest_shift=_SHIFT)
        if line is None or line.shift != _SHIFT:
            return None
        scales[0 if len(counts) == 1 else count - 1] = line.factors[0], line.offset
    sizes = (windows.channels, windows.row_bytes, _SHIFT, low, high)
    return _implementation(node, windows, "AVERAGE_POOL", sizes, scales)


def implement_max_pool(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """MAX_POOL_2D in int8; None for fewer than sixteen channels."""
    windows = pool_windows(node)
    if windows.channels < _BYTES:
        return None
    sizes = (windows.channels, windows.row_bytes, *activation_range(node))
    return _implementation(node, windows, "MAX_POOL", sizes, None)


def pool_sketches(node: Node) -> tuple[Sketch, ...]:
    """One way to compute a pool, which leaves nothing open."""
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
        HEADERS,
        [f"TVMTINY_MVE_{macro}({kernel}, {', '.join(map(str, sizes))})"],
    )
    constants = () if scales is None else (scales.ravel(),)
    return Implementation(function, (node.input(0), *constants), _DECISIONS)
