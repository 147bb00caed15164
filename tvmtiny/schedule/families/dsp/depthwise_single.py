"""Depthwise convolutions that compute a single pixel at a time."""

from __future__ import annotations

import numpy as np

from tvmtiny.ops import Node
from tvmtiny.ops.shared.sliding_window import Window, whole_height
from tvmtiny.schedule import nest
from tvmtiny.schedule.families.dsp.depthwise_packing import pack_single
from tvmtiny.schedule.implementation import Decisions, Implementation
from tvmtiny.schedule.scaling import Scaling

_HEADERS = (
    *("tvmtiny_dsp.h", "tvmtiny_dsp_depthwise.h", "tvmtiny_dsp_depthwise_pack.h"),
    "tvmtiny_dsp_depthwise_single.h",
)

#: Instructions for four channels: for a pair of rows, and for everything else.
_PAIR, _AROUND = 22, 50


def implement_single(
    node: Node, geometry: Window, taps: np.ndarray, scaling: Scaling, decisions: Decisions
) -> Implementation | None:
    """Implement one pixel of one column without planes; None for other windows and whole layers.

    Parameters
    ----------
    taps
        Weights times their gains: int64, ``(channels, height, width)``.
    decisions
        The decisions for the other kernels.
    """
    channels, height, _ = taps.shape
    if whole_height(node) == 1 or geometry.output != (1, 1) or geometry.input != geometry.kernel:
        return None
    if geometry.kernel[1] > 1 or height < 2 or channels % 4 or any(geometry.pad):
        return None
    stream = pack_single(taps, scaling)
    rounding = "SIGNED" if scaling.signed else "PLAIN"
    name = f"depthwise_single_{height}_{channels}_{scaling.shift}_{rounding.lower()}"
    x = nest.buffer("x", node.input(0).elements, "int8")
    weights = nest.buffer("stream", stream.size, "int32")
    out = nest.buffer("out", node.output.elements, "int8")
    function = nest.function(
        [x, weights, out],
        [],
        [nest.call(name, nest.address(x), nest.address(weights), nest.address(out))],
        operator=node.operator,
        schedule=f"dsp, single pixel{', rounding by sign' * scaling.signed}",
        headers=_HEADERS,
        preamble=[
            f"TVMTINY_DEPTHWISE_SINGLE({name}, {height}, {channels}, {scaling.shift}, {rounding})"
        ],
    )
    instructions = channels // 4 * (_PAIR * ((height + 1) // 2) + _AROUND)
    return Implementation(function, (node.input(0), stream.ravel()), decisions, instructions)
