"""Depthwise convolutions plane by plane, for schedules of all kernel families.

A plane holds the padded inputs of one channel for some output rows, one byte each; see
``runtime/core/tvmtiny_plane.h``. It is copied before the outputs of these rows are written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tvm import tirx

from tvmtiny.ops import Node
from tvmtiny.ops.shared.sliding_window import Window
from tvmtiny.schedule import nest
from tvmtiny.schedule.overlap import Overlap, smallest_distance

PLANE_HEADER = "tvmtiny_plane.h"


@dataclass(frozen=True)
class PlanePlan:
    """The division of a layer into strips.

    Attributes
    ----------
    rows
        Output rows of a strip.
    height, width
        Size of a plane, including padding.
    used
        Columns of the input that are copied into a plane.
    """

    rows: int
    height: int
    width: int
    used: int


def plan_planes(geometry: Window, rows: int) -> PlanePlan:
    """Plan strips of `rows` output rows; a layer with fewer rows gets one strip."""
    rows = min(rows, geometry.output[0])
    height, width = (
        (n - 1) * stride + (kernel - 1) * dilation + 1
        for n, stride, kernel, dilation in zip(
            (rows, geometry.output[1]),
            geometry.stride,
            geometry.kernel,
            geometry.dilation,
            strict=True,
        )
    )
    return PlanePlan(rows, height, width, min(width - geometry.pad[1], geometry.input[1]))


def rows_of_plane(geometry: Window, channels: int) -> int:
    """Return the default number of output rows of a strip.

    The rule picks the fewest strips whose plane is no larger than two windows of rows. Rows at the
    seam of two strips are copied twice, so fewer strips take fewer instructions.
    """
    total = geometry.output[0]
    limit = 2 * (geometry.kernel[0] + 1) * geometry.input[1] * channels
    sizes = [-(-total // n) for n in range(1, total + 1)]
    plans = {rows: plan_planes(geometry, rows) for rows in sizes}
    return max((n for n, plan in plans.items() if plan.height * plan.width <= limit), default=1)


def planes_function(
    node: Node,
    geometry: Window,
    plan: PlanePlan,
    channel_words: int,
    kernel: tuple[str, ...],
    *,
    schedule: str,
    headers: Sequence[str],
    copies: str = "TVMTINY_PLANE",
) -> tirx.PrimFunc:
    """Make the function of an int8 DEPTHWISE_CONV_2D.

    Parameters
    ----------
    node
        The layer.
    geometry
        The window.
    plan
        The division into strips.
    channel_words
        Words per output channel in the stream, the parameter after the input.
    kernel
        Name of the function that computes rows, ``NAME(plane, stream, out, rows)``, and the lines
        that instantiate it.
    schedule, headers
        See `tvmtiny.schedule.nest.function`; `PLANE_HEADER` is added.
    copies
        The macro that defines the function that copies a plane.
    """
    batch, height, width, inputs = node.input(0).shape
    out_height, out_width, channels = node.output.shape[1:]
    multiplier, zero_point = channels // inputs, node.input(0).zero_point
    top, left = geometry.pad
    sizes = (height, width, inputs, plan.height, plan.width, left)
    copy = f"copy_plane_{'_'.join(map(str, sizes))}_{zero_point}".replace("-", "m")
    line = f"{copies}({copy}, {', '.join(map(str, sizes))}, ({zero_point}))"
    x = nest.buffer("x", node.input(0).elements, "int8")
    stream = nest.buffer("stream", channels * channel_words, "int32")
    out = nest.buffer("out", node.output.elements, "int8")
    plane = nest.buffer("plane", plan.height * plan.width, "int8")
    strips = -(-out_height // plan.rows)

    def compute(
        image: nest.Argument, strip: nest.Argument, channel: nest.Argument
    ) -> list[tirx.Stmt]:
        """Copy the plane of one input channel of a strip, and compute its outputs."""
        rows: nest.Argument = plan.rows
        if out_height % plan.rows:
            rows = tirx.min(plan.rows, out_height - strip * plan.rows)
        first = strip * (plan.rows * geometry.stride[0]) - top
        source = nest.address(x, image * (height * width * inputs) + channel)
        target = (image * out_height + strip * plan.rows) * (out_width * channels)
        return [
            nest.call(copy, source, first, nest.address(plane)),
            nest.loop(
                multiplier,
                "part",
                lambda part: [
                    nest.call(
                        kernel[0],
                        nest.address(plane),
                        nest.address(stream, (channel * multiplier + part) * channel_words),
                        nest.address(out, target + channel * multiplier + part),
                        rows,
                    )
                ],
            ),
        ]

    def channels_of(image: nest.Argument, strip: nest.Argument) -> list[tirx.Stmt]:
        return [nest.loop(inputs, "channel", lambda channel: compute(image, strip, channel))]

    def strips_of(image: nest.Argument) -> list[tirx.Stmt]:
        return [nest.loop(strips, "strip", lambda strip: channels_of(image, strip))]

    body = [nest.loop(batch, "image", strips_of)]
    if plan.used < plan.width:
        # Columns outside the input keep the value that is set here.
        size = plan.height * plan.width
        fill = nest.call("tvmtiny_plane_fill", nest.address(plane), size, zero_point)
        body.insert(0, fill)
    return nest.function(
        [x, stream, out],
        [plane],
        body,
        operator=node.operator,
        schedule=f"{schedule}, planes of {plan.rows} rows",
        headers=(PLANE_HEADER, *headers),
        preamble=[line, *kernel[1:]],
        overlaps=[] if multiplier > 1 else [_overlap(node, geometry, plan)],
    )


def _overlap(node: Node, geometry: Window, plan: PlanePlan) -> Overlap:
    """Return the permitted overlap: a plane is copied before outputs are written.

    Channels are independent of each other, so distances are multiples of a pixel.
    """
    batch, *_, channels = node.input(0).shape
    return Overlap("out", 0, plane_distance(batch, geometry, plan, channels), channels)


def plane_distance(batch: int, geometry: Window, plan: PlanePlan, channels: int) -> int:
    """Return the least number of channels by which the output must start before the input.

    Parameters
    ----------
    batch
        Number of images.
    geometry
        The window.
    plan
        The division into strips.
    channels
        Channels of a pixel, whose planes are computed one after the other.
    """
    (height, width), (out_height, out_width) = geometry.input, geometry.output
    last_read = np.full((batch, height, width, channels), -1)
    first_write = np.zeros((batch, out_height, out_width, channels), np.int64)
    strips = -(-out_height // plan.rows)
    for step, (image, strip) in enumerate(np.ndindex(batch, strips)):
        first = strip * plan.rows * geometry.stride[0] - geometry.pad[0]
        steps = step * channels + np.arange(channels)
        last_read[image, max(0, first) : max(0, first + plan.height)] = steps
        first_write[image, strip * plan.rows : (strip + 1) * plan.rows] = steps
    return smallest_distance(last_read.ravel(), first_write.ravel(), channels)
