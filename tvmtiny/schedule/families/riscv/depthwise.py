"""DEPTHWISE_CONV_2D with the kernels of ``tvmtiny_riscv_depthwise.h``."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.shared.sliding_window import Window, window
from tvmtiny.schedule.depthwise_scaling import scale_channels
from tvmtiny.schedule.implementation import Decision, Decisions, Goal, Implementation, Sketch
from tvmtiny.schedule.planes import PlanePlan, plan_planes, planes_function, rows_of_plane
from tvmtiny.schedule.scaling import Scaling
from tvmtiny.targets import Cpu

FILTER, NINE = "riscv_filter", "riscv_3x3"

HEADERS = ("tvmtiny_riscv.h", "tvmtiny_riscv_depthwise.h")

#: Largest immediate offset of loads.
_OFFSET = 2047

#: Unrolled outputs by goal, and the numbers that a tuner may choose.
_OUTPUTS = {Goal.SPEED: 12, Goal.BALANCED: 6, Goal.SIZE: 1}
_UNROLLS = (1, 2, 3, 4, 6)


def implement_depthwise(
    node: Node, cpu: Cpu, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement an int8 layer; return None if the kernels do not apply or are not proven exact."""
    weights = node.input(1)
    assert weights.data is not None and weights.quantization is not None
    _, height, width, channels = weights.shape
    geometry = window(node, (height, width))
    if np.any(weights.quantization.zero_points):
        return None
    scaled = scale_channels(node)
    if scaled is None:
        return None
    scaling, gains = scaled
    chosen = decisions or _decide(geometry, channels, scaling, goal)
    nine = chosen["sketch"] == NINE
    if nine and (scaling.signed or not _fits(geometry)):
        return None
    taps = weights.data.reshape(-1, channels).T * gains[:, None]
    constants = (scaling.initial, scaling.multiplier, scaling.offset, scaling.step)
    last = [values[:, None] for values in constants if values is not None]
    stream = np.concatenate([taps, *last], axis=1).astype(np.int32)
    plan = plan_planes(geometry, int(chosen["rows"]))
    if nine:
        kernel = _nine(geometry, plan, channels, scaling.shift, int(chosen["unroll"]))
        description = f"3x3, unroll {int(chosen['unroll']) * _group(geometry.stride[0])}"
    else:
        kernel = _filter(geometry, plan, channels, scaling)
        description = f"any filter{', rounding by sign' if scaling.signed else ''}"
    function = planes_function(
        node,
        geometry,
        plan,
        stream.shape[1],
        kernel,
        schedule=f"riscv, {description}",
        headers=HEADERS,
    )
    strips = node.input(0).shape[0] * -(-geometry.output[0] // plan.rows)
    copied = round(2.5 * strips * plan.height * plan.used * node.input(0).shape[3])
    each = (26 if geometry.stride[0] == 1 else 29) if nine else 12 + 3 * height * width
    instructions = node.output.elements * each + copied
    return Implementation(function, (node.input(0), stream.ravel()), chosen, instructions)


def smaller_depthwise(node: Node, decisions: Decisions) -> Iterator[Decisions]:
    """Yield decisions with smaller strips, the largest of them first."""
    for rows in range(int(decisions["rows"]) - 1, 0, -1):
        yield {**decisions, "rows": rows}


def depthwise_sketches(node: Node, cpu: Cpu) -> tuple[Sketch, ...]:
    """Return the ways to compute a DEPTHWISE_CONV_2D."""
    geometry = window(node, (node.input(1).shape[1], node.input(1).shape[2]))
    total = geometry.output[0]
    rows = Decision("rows", tuple(sorted({-(-total // n) for n in range(1, total + 1)})))
    sketches = [Sketch(FILTER, (rows,))]
    if _fits(geometry):
        sketches.append(Sketch(NINE, (rows, Decision("unroll", _UNROLLS))))
    return tuple(sketches)


def _decide(geometry: Window, channels: int, scaling: Scaling, goal: Goal) -> dict[str, int | str]:
    """Apply the default rule: `rows_of_plane`, and as many unrolled outputs as the goal allows."""
    rows = rows_of_plane(geometry, channels)
    if scaling.signed or not _fits(geometry):
        return {"sketch": FILTER, "rows": rows}
    group = _group(geometry.stride[0])
    unroll = max(u for u in _UNROLLS if u * group <= max(_OUTPUTS[goal], group))
    return {"sketch": NINE, "rows": rows, "unroll": unroll}


def _fits(geometry: Window) -> bool:
    width = plan_planes(geometry, 1).width
    return (
        geometry.kernel == (3, 3)
        and geometry.stride in ((1, 1), (2, 2))
        and geometry.dilation == (1, 1)
        and geometry.output[1] >= 2
        and 3 * width <= _OFFSET
    )


def _group(stride: int) -> int:
    """Return the number of outputs after which sums are in the same registers again."""
    return 3 if stride == 1 else 2


def _filter(geometry: Window, plan: PlanePlan, channels: int, scaling: Scaling) -> tuple[str, str]:
    """Return name and instantiation of the kernel for any filter."""
    rounding = "SIGNED" if scaling.signed else "PLAIN"
    filters = (*geometry.kernel, *geometry.stride, *geometry.dilation)
    sizes = (plan.width, geometry.output[1], *filters, scaling.shift, channels)
    name = f"plane_{'_'.join(map(str, sizes))}_{rounding.lower()}"
    return name, f"TVMTINY_RISCV_FILTER({name}, {', '.join(map(str, sizes))}, {rounding})"


def _nine(
    geometry: Window, plan: PlanePlan, channels: int, shift: int, unroll: int
) -> tuple[str, str]:
    """Return name and instantiation of the kernel for 3x3 filters."""
    width, stride = geometry.output[1], geometry.stride[0]
    # The last one or two outputs of a row have no successors and are computed after the groups.
    groups, more = divmod(width - (2 if stride == 1 else 1), _group(stride))
    loops = groups // unroll if groups > unroll else 0
    rest = groups - loops * unroll
    sizes = (plan.width, stride, width, loops, unroll, rest, more, shift, channels)
    name = f"plane3x3_{'_'.join(map(str, sizes))}"
    return name, f"TVMTINY_RISCV_3X3({name}, {', '.join(map(str, sizes))})"
