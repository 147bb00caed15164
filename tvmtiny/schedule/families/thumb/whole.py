"""DEPTHWISE_CONV_2D whose filter covers the whole input, with ``tvmtiny_thumb_depthwise.h``."""

from __future__ import annotations

import numpy as np

from tvmtiny.ops import Node
from tvmtiny.ops.shared.sliding_window import Window
from tvmtiny.schedule import nest
from tvmtiny.schedule.implementation import Decisions, Implementation
from tvmtiny.schedule.overlap import Overlap, smallest_distance
from tvmtiny.schedule.scaling import Scaling

#: Name of the sketch.
WHOLE = "whole"


def implement_whole(
    node: Node,
    geometry: Window,
    scaling: Scaling,
    stream: np.ndarray,
    headers: tuple[str, ...],
    decisions: Decisions,
) -> Implementation:
    """Implement the layer channel by channel, without planes.

    Parameters
    ----------
    stream
        The words of each channel: weights and constants.
    headers
        The headers of the kernel.
    """
    channels, taps = node.output.shape[3], geometry.kernel[0] * geometry.kernel[1]
    pixels = node.output.elements // channels
    rounding = "SIGNED" if scaling.signed else "PLAIN"
    sizes = (taps, channels, scaling.shift)
    name = f"whole_{'_'.join(map(str, sizes))}_{rounding.lower()}"
    line = f"TVMTINY_THUMB_WHOLE({name}, {', '.join(map(str, sizes))}, {rounding})"
    x = nest.buffer("x", node.input(0).elements, "int8")
    words = nest.buffer("stream", stream.size, "int32")
    out = nest.buffer("out", node.output.elements, "int8")
    by_sign = ", rounding by sign" if scaling.signed else ""
    function = nest.function(
        [x, words, out],
        [],
        [
            nest.loop(
                pixels,
                "pixel",
                lambda pixel: [
                    nest.call(
                        name,
                        nest.address(x, pixel * (taps * channels)),
                        nest.address(words),
                        nest.address(out, pixel * channels),
                    )
                ],
            )
        ],
        operator=node.operator,
        schedule=f"thumb, whole patches{by_sign}",
        headers=headers,
        preamble=[line],
        overlaps=[Overlap("out", 0, _distance(pixels, taps, channels))],
    )
    instructions = pixels * (12 + channels * (6 + 2 * taps + 3 * scaling.signed))
    return Implementation(function, (node.input(0), stream.ravel()), decisions, instructions)


def _distance(pixels: int, taps: int, channels: int) -> int:
    """Return the bytes by which the output must start before the input."""
    steps = np.arange(pixels * channels)
    last_read = np.repeat(steps.reshape(pixels, 1, channels), taps, axis=1)
    return smallest_distance(last_read.ravel(), steps)
