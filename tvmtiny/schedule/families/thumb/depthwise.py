"""DEPTHWISE_CONV_2D with the kernels of ``tvmtiny_thumb_depthwise.h``."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.shared.sliding_window import Window, window
from tvmtiny.schedule.depthwise_scaling import scale_channels
from tvmtiny.schedule.families.thumb.whole import WHOLE, implement_whole
from tvmtiny.schedule.few_taps import MOST_TAPS_OF_COLUMNS, fits_whole, is_whole_faster
from tvmtiny.schedule.implementation import Decision, Decisions, Goal, Implementation, Sketch
from tvmtiny.schedule.planes import PlanePlan, plan_planes, planes_function, rows_of_plane
from tvmtiny.schedule.scaling import Scaling
from tvmtiny.targets import Cpu

HEADERS = ("tvmtiny_thumb.h", "tvmtiny_thumb_depthwise.h")

#: Largest immediate offset of LDRSB, STRB, ADDW and SUBW.
_OFFSET = 4095

#: Largest immediate offset of LDRB on Armv6-M, and largest distance of rows there.
_NEAR, _FAR = 31, 65535

#: Unrolled pairs of outputs by goal, and the numbers that a tuner may choose.
_PAIRS = {Goal.SPEED: 6, Goal.BALANCED: 4, Goal.SIZE: 1}
_UNROLLS = (1, 2, 3, 4, 6, 8)


def implement_depthwise(
    node: Node, cpu: Cpu, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement an int8 layer; return None if the kernels do not apply or are not proven exact."""
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
    chosen = decisions or _decide(node, geometry, cpu, goal)
    nine = chosen["sketch"] == "plane3x3"
    if nine and not _fits_3x3(geometry, channels):
        return None
    taps = weights.data.reshape(-1, channels).T * gains[:, None]
    constants = (scaling.initial, scaling.multiplier, scaling.offset, scaling.step)
    last = [values[:, None] for values in constants if values is not None]
    stream = np.concatenate([taps, *last], axis=1).astype(np.int32)
    if chosen["sketch"] == WHOLE:
        fits = fits_whole(node, geometry)
        return implement_whole(node, geometry, scaling, stream, HEADERS, chosen) if fits else None
    plan = plan_planes(geometry, int(chosen["rows"]))
    *kernel, description = _kernel(geometry, plan, channels, scaling, chosen, cpu)
    function = planes_function(
        node,
        geometry,
        plan,
        stream.shape[1],
        tuple(kernel),
        schedule=f"thumb, {description}",
        headers=HEADERS,
        copies=_copies(geometry, plan, node.input(0).shape[3], cpu),
    )
    outputs = node.output.elements
    per_output = 27 if nine and scaling.signed else 22 if nine else 10 + 3 * height * width
    strips = node.input(0).shape[0] * -(-geometry.output[0] // plan.rows)
    copied = round(2.5 * strips * plan.height * plan.used * node.input(0).shape[3])
    arguments = (node.input(0), stream.ravel())
    return Implementation(function, arguments, chosen, outputs * per_output + copied)


def _copies(geometry: Window, plan: PlanePlan, channels: int, cpu: Cpu) -> str:
    """Return the macro that copies planes; rows of one channel are copied by words."""
    alone = channels == 1 and max(*geometry.input, plan.height, plan.width) <= _FAR
    return "TVMTINY_THUMB_PLANE" if alone and "thumb2" in cpu.features else "TVMTINY_PLANE"


def smaller_depthwise(node: Node, decisions: Decisions) -> Iterator[Decisions]:
    """Yield decisions with smaller strips, the largest of them first."""
    if "rows" not in decisions:
        return
    for rows in range(int(decisions["rows"]) - 1, 0, -1):
        yield {**decisions, "rows": rows}


def depthwise_sketches(node: Node, cpu: Cpu) -> tuple[Sketch, ...]:
    """Return the ways to compute a DEPTHWISE_CONV_2D, by kernel."""
    _, height, width, channels = node.input(1).shape
    geometry = window(node, (height, width))
    total = geometry.output[0]
    rows = Decision("rows", tuple(sorted({-(-total // n) for n in range(1, total + 1)})))
    sketches = [Sketch("plane", (rows,))]
    if "thumb2" in cpu.features and _fits_3x3(geometry, channels):
        pairs = max(1, geometry.output[1] // 2)
        unrolls = tuple(u for i, u in enumerate(_UNROLLS) if i == 0 or _UNROLLS[i - 1] < pairs)
        sketches.append(Sketch("plane3x3", (rows, Decision("unroll", unrolls))))
    if "thumb2" in cpu.features and fits_whole(node, geometry):
        sketches.append(Sketch(WHOLE))
    return tuple(sketches)


def _fits_3x3(geometry: Window, channels: int) -> bool:
    width = plan_planes(geometry, 1).width
    return (
        geometry.kernel == (3, 3)
        and geometry.stride in ((1, 1), (2, 2))
        and geometry.dilation == (1, 1)
        and 2 * width + 4 * max(_UNROLLS) + 4 <= _OFFSET
        and (2 * max(_UNROLLS) + 1) * channels <= _OFFSET
    )


def _decide(node: Node, geometry: Window, cpu: Cpu, goal: Goal) -> dict[str, int | str]:
    """Apply the default rule: no planes if there are faster kernels without them.

    Otherwise `rows_of_plane`, and as many unrolled pairs as the goal allows.
    """
    channels = node.output.shape[3]
    if "thumb2" in cpu.features and is_whole_faster(node, geometry):
        return {"sketch": WHOLE}
    rows = rows_of_plane(geometry, channels)
    if "thumb2" not in cpu.features or not _fits_3x3(geometry, channels):
        return {"sketch": "plane", "rows": rows}
    pairs = max(1, geometry.output[1] // 2)
    unroll = next(u for u in _UNROLLS if u >= min(_PAIRS[goal], pairs))
    return {"sketch": "plane3x3", "rows": rows, "unroll": unroll}


def _kernel(
    geometry: Window,
    plan: PlanePlan,
    channels: int,
    scaling: Scaling,
    decisions: Decisions,
    cpu: Cpu,
) -> tuple[str, ...]:
    """Return name, instantiations and description of the kernel that computes rows."""
    width = geometry.output[1]
    rounding = "SIGNED" if scaling.signed else "PLAIN"
    by_sign = ", rounding by sign" if scaling.signed else ""
    if decisions["sketch"] == "plane3x3":
        pairs, unroll = width // 2, int(decisions["unroll"])
        loops = pairs // unroll if pairs > unroll else 0
        rest = pairs - loops * unroll
        counts = (loops, unroll if loops else 0, rest, width % 2)
        sizes = (plan.width, geometry.stride[0], *counts, scaling.shift, channels)
        name = f"plane3x3_{'_'.join(map(str, sizes))}_{rounding.lower()}"
        line = f"TVMTINY_THUMB_3X3({name}, {', '.join(map(str, sizes))}, {rounding})"
        return name, line, f"3x3, unroll {unroll if loops else pairs}{by_sign}"
    filters = [*geometry.kernel, *geometry.stride, *geometry.dilation]
    numbers = ", ".join(map(str, [plan.width, width, *filters, scaling.shift, channels]))
    name = f"plane_{numbers.replace(', ', '_')}_{rounding.lower()}"
    sums = None if "thumb2" in cpu.features else _near_sums(geometry, plan)
    if sums is not None:
        line = f"TVMTINY_THUMB_DEPTHWISE_NEAR({name}, {sums[0]}, {numbers}, {rounding})"
        return name, sums[1], line, f"near taps{by_sign}"
    column = _column(geometry, plan, cpu)
    if column is not None:
        numbers = ", ".join(map(str, (*column, scaling.shift, channels)))
        name = f"plane_column_{numbers.replace(', ', '_')}_{rounding.lower()}"
        line = f"TVMTINY_THUMB_ONE_COLUMN({name}, {numbers}, {rounding})"
        return name, line, f"columns{by_sign}"
    line = f"TVMTINY_THUMB_DEPTHWISE({name}, {numbers}, {rounding})"
    return name, line, f"any filter{by_sign}"


def _column(geometry: Window, plan: PlanePlan, cpu: Cpu) -> tuple[int, ...] | None:
    """Return the sizes of TVMTINY_THUMB_ONE_COLUMN; None if it does not apply."""
    (rows, columns), (down, across) = geometry.kernel, geometry.dilation
    sizes = (
        rows * columns,
        columns,
        geometry.stride[0] * plan.width,
        down * plan.width,
        across,
    )
    if "thumb2" not in cpu.features or geometry.output[1] > 1 or sizes[0] > MOST_TAPS_OF_COLUMNS:
        return None
    return sizes if (rows - 1) * sizes[3] + (columns - 1) * across <= _OFFSET else None


def _near_sums(geometry: Window, plan: PlanePlan) -> tuple[str, str] | None:
    """Return name and instantiation of Armv6-M's sums; None if taps are too far apart."""
    column = geometry.output[1] == 1
    step = geometry.stride[0] * plan.width if column else geometry.stride[1]
    sizes = (
        geometry.kernel[1],
        step,
        geometry.dilation[0] * plan.width,
        geometry.dilation[1],
    )
    if (geometry.kernel[1] - 1) * geometry.dilation[1] + 3 * step > _NEAR or sizes[2] > _FAR:
        return None
    name = f"plane_sums_{'_'.join(map(str, sizes))}"
    return name, f"TVMTINY_THUMB_NEAR_SUMS({name}, {', '.join(map(str, sizes))})"
