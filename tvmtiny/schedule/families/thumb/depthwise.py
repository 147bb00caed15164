"""DEPTHWISE_CONV_2D around the kernels of ``tvmtiny_thumb_depthwise.h``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from tvm import tirx

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.shared.sliding_window import Window, window
from tvmtiny.schedule import nest
from tvmtiny.schedule.depthwise_scaling import scale_channels
from tvmtiny.schedule.implementation import Decision, Decisions, Goal, Implementation, Sketch
from tvmtiny.schedule.overlap import Overlap, smallest_distance
from tvmtiny.schedule.requantize import Scaling
from tvmtiny.targets import Cpu

HEADERS = ("tvmtiny_thumb.h", "tvmtiny_thumb_depthwise.h")

#: Largest immediate offset of LDRSB, STRB, ADDW and SUBW.
_OFFSET = 4095

#: Pairs of outputs that are unrolled, by goal, and what a tuner may choose.
_PAIRS = {Goal.SPEED: 6, Goal.BALANCED: 4, Goal.SIZE: 1}
_UNROLLS = (1, 2, 3, 4, 6, 8)


@dataclass(frozen=True)
class _Plan:
    """How one layer is computed.

    Attributes
    ----------
    rows
        Output rows of a strip.
    height, width
        Of a plane, padding included.
    used
        Columns of the input that are copied into a plane.
    """

    rows: int
    height: int
    width: int
    used: int


def _plan(geometry: Window, rows: int) -> _Plan:
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
    return _Plan(rows, height, width, min(width - geometry.pad[1], geometry.input[1]))


def implement_depthwise(
    node: Node, cpu: Cpu, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """DEPTHWISE_CONV_2D in int8; None where the kernels cannot be used or proven exact."""
    weights = node.input(1)
    assert weights.data is not None and weights.quantization is not None
    _, height, width, channels = weights.shape
    if np.any(weights.quantization.zero_points):
        return None
    scaled = scale_channels(node)
    if scaled is None:
        return None
    scaling, gains = scaled
    geometry = window(node, (height, width))
    chosen = decisions or _decide(geometry, channels, scaling, cpu, goal)
    nine = chosen["sketch"] == "plane3x3"
    if nine and (scaling.signed or not _fits_3x3(geometry, channels)):
        return None
    taps = weights.data.reshape(-1, channels).T * gains[:, None]
    constants = (scaling.initial, scaling.multiplier, scaling.offset, scaling.step)
    last = [values[:, None] for values in constants if values is not None]
    stream = np.concatenate([taps, *last], axis=1).astype(np.int32)
    plan = _plan(geometry, int(chosen["rows"]))
    function = _function(node, geometry, plan, scaling, stream.shape[1], chosen)
    outputs = node.output.elements
    per_output = 22 if nine else 10 + 3 * height * width
    strips = node.input(0).shape[0] * -(-geometry.output[0] // plan.rows)
    copied = round(2.5 * strips * plan.height * plan.used * node.input(0).shape[3])
    arguments = (node.input(0), stream.ravel())
    return Implementation(function, arguments, chosen, outputs * per_output + copied)


def smaller_depthwise(node: Node, decisions: Decisions) -> Iterator[Decisions]:
    """Decisions with smaller strips, the largest of them first."""
    for rows in range(int(decisions["rows"]) - 1, 0, -1):
        yield {**decisions, "rows": rows}


def depthwise_sketches(node: Node, cpu: Cpu) -> tuple[Sketch, ...]:
    """Ways to compute a DEPTHWISE_CONV_2D, by kernel."""
    _, height, width, channels = node.input(1).shape
    geometry = window(node, (height, width))
    total = geometry.output[0]
    rows = Decision("rows", tuple(sorted({-(-total // n) for n in range(1, total + 1)})))
    sketches = [Sketch("plane", (rows,))]
    if "thumb2" in cpu.features and _fits_3x3(geometry, channels):
        pairs = max(1, geometry.output[1] // 2)
        unrolls = tuple(u for i, u in enumerate(_UNROLLS) if i == 0 or _UNROLLS[i - 1] < pairs)
        sketches.append(Sketch("plane3x3", (rows, Decision("unroll", unrolls))))
    return tuple(sketches)


def _fits_3x3(geometry: Window, channels: int) -> bool:
    width = _plan(geometry, 1).width
    return (
        geometry.kernel == (3, 3)
        and geometry.stride in ((1, 1), (2, 2))
        and geometry.dilation == (1, 1)
        and 2 * width + 4 * max(_UNROLLS) + 4 <= _OFFSET
        and (2 * max(_UNROLLS) + 1) * channels <= _OFFSET
    )


def _decide(
    geometry: Window, channels: int, scaling: Scaling, cpu: Cpu, goal: Goal
) -> dict[str, int | str]:
    """The default rule: the fewest strips whose plane is not larger than two windows of rows.

    Rows at the seam of two strips are copied twice, so fewer strips take fewer instructions.
    """
    total = geometry.output[0]
    limit = 2 * (geometry.kernel[0] + 1) * geometry.input[1] * channels
    sizes = [-(-total // n) for n in range(1, total + 1)]
    plans = {rows: _plan(geometry, rows) for rows in sizes}
    fitting = [rows for rows, plan in plans.items() if plan.height * plan.width <= limit]
    rows = max(fitting, default=1)
    if scaling.signed or "thumb2" not in cpu.features or not _fits_3x3(geometry, channels):
        return {"sketch": "plane", "rows": rows}
    pairs = max(1, geometry.output[1] // 2)
    unroll = next(u for u in _UNROLLS if u >= min(_PAIRS[goal], pairs))
    return {"sketch": "plane3x3", "rows": rows, "unroll": unroll}


def _function(
    node: Node,
    geometry: Window,
    plan: _Plan,
    scaling: Scaling,
    channel_words: int,
    decisions: Decisions,
) -> tirx.PrimFunc:
    batch, height, width, inputs = node.input(0).shape
    out_height, out_width, channels = node.output.shape[1:]
    multiplier, zero_point = channels // inputs, node.input(0).zero_point
    top, left = geometry.pad
    sizes = (height, width, inputs, plan.height, plan.width, left)
    copy = f"copy_plane_{'_'.join(map(str, sizes))}_{zero_point}".replace("-", "m")
    line = f"TVMTINY_THUMB_PLANE({copy}, {', '.join(map(str, sizes))}, ({zero_point}))"
    kernel, kernel_line, description = _kernel(geometry, plan, channels, scaling, decisions)
    x = nest.buffer("x", node.input(0).elements, "int8")
    stream = nest.buffer("stream", channels * channel_words, "int32")
    out = nest.buffer("out", node.output.elements, "int8")
    plane = nest.buffer("plane", plan.height * plan.width, "int8")
    strips = -(-out_height // plan.rows)

    def compute(
        image: nest.Argument, strip: nest.Argument, channel: nest.Argument
    ) -> list[tirx.Stmt]:
        """Copy and compute one input channel of a strip."""
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
                        kernel,
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
        # Columns beside the input stay as they are.
        size = plan.height * plan.width
        fill = nest.call("tvmtiny_thumb_fill", nest.address(plane), size, zero_point)
        body.insert(0, fill)
    return nest.function(
        [x, stream, out],
        [plane],
        body,
        operator=node.operator,
        schedule=f"thumb, {description}, planes of {plan.rows} rows",
        headers=HEADERS,
        preamble=[line, kernel_line],
        overlaps=[] if multiplier > 1 else [_overlap(node, geometry, plan)],
    )


def _overlap(node: Node, geometry: Window, plan: _Plan) -> Overlap:
    """What the order of strips and channels allows: a plane is copied before outputs are written.

    Channels are independent of each other, so that only distances of whole pixels count.
    """
    batch, height, width, channels = node.input(0).shape
    out_height, out_width = geometry.output
    last_read = np.full((batch, height, width, channels), -1)
    first_write = np.zeros((batch, out_height, out_width, channels), np.int64)
    strips = -(-out_height // plan.rows)
    for step, (image, strip) in enumerate(np.ndindex(batch, strips)):
        first = strip * plan.rows * geometry.stride[0] - geometry.pad[0]
        steps = step * channels + np.arange(channels)
        last_read[image, max(0, first) : max(0, first + plan.height)] = steps
        first_write[image, strip * plan.rows : (strip + 1) * plan.rows] = steps
    distance = smallest_distance(last_read.ravel(), first_write.ravel(), channels)
    return Overlap("out", 0, distance, channels)


def _kernel(
    geometry: Window, plan: _Plan, channels: int, scaling: Scaling, decisions: Decisions
) -> tuple[str, str, str]:
    """Name, instantiation and description of the kernel that computes rows."""
    width = geometry.output[1]
    if decisions["sketch"] == "plane3x3":
        pairs, unroll = width // 2, int(decisions["unroll"])
        loops = pairs // unroll if pairs > unroll else 0
        rest = pairs - loops * unroll
        counts = (loops, unroll if loops else 0, rest, width % 2)
        sizes = (plan.width, geometry.stride[0], *counts, scaling.shift, channels)
        name = f"plane3x3_{'_'.join(map(str, sizes))}"
        line = f"TVMTINY_THUMB_3X3({name}, {', '.join(map(str, sizes))})"
        return name, line, f"3x3, unroll {unroll if loops else pairs}"
    rounding = "SIGNED" if scaling.signed else "PLAIN"
    filters = [*geometry.kernel, *geometry.stride, *geometry.dilation]
    numbers = ", ".join(map(str, [plan.width, width, *filters, scaling.shift, channels]))
    name = f"plane_{numbers.replace(', ', '_')}_{rounding.lower()}"
    line = f"TVMTINY_THUMB_DEPTHWISE({name}, {numbers}, {rounding})"
    return name, line, f"any filter{', rounding by sign' if scaling.signed else ''}"
