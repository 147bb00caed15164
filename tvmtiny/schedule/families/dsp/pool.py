"""AVERAGE_POOL_2D, MAX_POOL_2D and MEAN around ``tvmtiny_dsp_elementwise.h``."""

from __future__ import annotations

import numpy as np

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.average_pool_2d import exact_mean
from tvmtiny.ops.mean import mean_multiplier, reduced_block
from tvmtiny.ops.shared.affine import wide_image
from tvmtiny.ops.shared.quantization import activation_range
from tvmtiny.schedule.families.dsp.add import HEADERS
from tvmtiny.schedule.implementation import Decision, Decisions, Goal, Implementation, Sketch
from tvmtiny.schedule.pool_windows import PoolWindows, average_scales, pool_function, pool_windows

#: Sums of more values would not fit the lanes.
_MOST_TAPS = 256
#: A shift that is precise enough for all counts, and small enough for the factor of a single tap.
_SHIFT = 14


def implement_average_pool(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """AVERAGE_POOL_2D in int8; None for large windows or fewer than four channels."""
    windows = pool_windows(node)
    low, high = activation_range(node)
    scales = average_scales(
        windows, _SHIFT, lambda count: exact_mean(node, count, wide_image, 16, _SHIFT)
    )
    if scales is None or windows.channels < 4:
        return None
    kernel = f"average_pool_{_SHIFT}_{_suffix(windows, low, high)}"
    macro = (
        f"TVMTINY_AVERAGE_POOL({{}}, {windows.channels}, {windows.row_bytes}, {_SHIFT}, "
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
    windows = PoolWindows(
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
    windows = pool_windows(node)
    low, high = activation_range(node)
    if windows.channels < 4:
        return None
    apart = windows.constant and windows.channels % 4 > 0
    sizes = f"{windows.channels}, {windows.row_bytes}, {low}, {high}"
    macro = f"TVMTINY_MAX_POOL{'_APART' * apart}({{}}, {sizes})"
    kernel = f"max_pool_{_suffix(windows, low, high)}{'_apart' * apart}"
    return _implementation(node, windows, kernel, macro, None, _decide(windows, goal, decisions))


def _suffix(windows: PoolWindows, low: int, high: int) -> str:
    return f"{windows.channels}_{windows.row_bytes}_{low}_{high}".replace("-", "m")


def _decide(windows: PoolWindows, goal: Goal, decisions: Decisions | None) -> Decisions:
    """Decisions: ``split`` is 1 for a copy of the kernel for windows that are not clipped."""
    if decisions:
        return decisions
    split = goal is not Goal.SIZE and windows.any_whole and not windows.constant
    return {"sketch": "windows", "split": int(split)}


def pool_sketches(node: Node, oracle: Oracle) -> tuple[Sketch, ...]:
    """The sketch of a pool, with or without a separate kernel for whole windows."""
    windows = pool_windows(node)
    both = windows.any_whole and not windows.constant
    return (Sketch("windows", (Decision("split", (0, 1) if both else (0,)),)),)


def _implementation(
    node: Node,
    windows: PoolWindows,
    kernel: str,
    macro: str,
    scales: np.ndarray | None,
    decisions: Decisions,
) -> Implementation:
    split = bool(decisions["split"]) and windows.any_whole and not windows.constant
    kernels = (kernel, f"{kernel}_clipped") if split else (kernel,)
    words = "words" if windows.channels % 4 == 0 else "overlapping words"
    clipped = "" if windows.constant else ", clipped windows apart" if split else ", clipped"
    function = pool_function(
        windows,
        kernels,
        None if scales is None else len(scales),
        node.operator,
        f"dsp, {words}{clipped}",
        HEADERS,
        [macro.format(name) for name in kernels],
    )
    constants = () if scales is None else (scales.ravel(),)
    return Implementation(function, (node.input(0), *constants), decisions)
