"""DEPTHWISE_CONV_2D around the kernels of ``tvmtiny_mve_window.h``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from tvm import tirx

from tvmtiny.ops import Node, Oracle
from tvmtiny.schedule import nest
from tvmtiny.schedule.depthwise_scaling import scale_channels
from tvmtiny.schedule.families.mve import assembly, packing
from tvmtiny.schedule.families.mve.depthwise_plan import (
    Plan,
    Strip,
    decide,
    kernel_of_rows,
    plan_of,
)
from tvmtiny.schedule.families.mve.paired_window import paired_code
from tvmtiny.schedule.families.mve.window import WindowKernel, pack_windows, window_code
from tvmtiny.schedule.implementation import Decisions, Goal, Implementation
from tvmtiny.schedule.overlap import Overlap, smallest_distance
from tvmtiny.schedule.scaling import Scaling

HEADERS = ("tvmtiny_mve.h", "tvmtiny_mve_window.h")

#: VQDMULH accounts for one bit of VQSHRN's shift.
_MOST_SHIFT = 15

_SHIFTS = tuple(shift for shift in packing.SHIFTS if shift <= _MOST_SHIFT)

#: Instructions to copy one pixel of a group of channels.
_COPY = 4


def implement_depthwise(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement DEPTHWISE_CONV_2D in int8; None if the kernel cannot be used or proven exact."""
    weights = node.input(1)
    assert weights.data is not None and weights.quantization is not None
    _, height, width, outputs = weights.shape
    if np.any(weights.quantization.zero_points) or not node.output.elements:
        return None
    found = scale_channels(node, _SHIFTS)
    if found is None or packing.usable(found[0], _MOST_SHIFT) is None:
        return None
    scaling, gains = found
    chosen = dict(decisions) if decisions else decide(node)
    plan = plan_of(node, chosen)
    if chosen is None or plan is None:
        return None
    kernels = plan.kernels(scaling.shift, scaling.signed)
    if not kernels:
        return None
    kernel = kernels[0]
    taps = weights.data.reshape(height, width, outputs).transpose(2, 0, 1)
    stream = pack_windows(taps, gains, scaling, kernel)
    strips = [kernel_of_rows(kernel, strip.rows) for strip in plan.strips]
    each = node.input(0).shape[0] * plan.beside
    copied = sum(plan.read(s.rows)[0] - s.kept for s in plan.strips) * plan.pitch
    copies = copied * -(-plan.channels // plan.lanes) * _COPY
    return Implementation(
        _function(node, plan, kernel, scaling),
        (node.input(0), stream.ravel()),
        chosen,
        each * (outputs * sum(strip.cost for strip in strips) + copies),
    )


def _instance(kernel: WindowKernel) -> tuple[str, str]:
    """The name of a kernel, and the line that instantiates it."""
    name = f"mve_window_{kernel.identifier()}"
    sizes: tuple[int, ...] = (
        *kernel.outputs,
        *kernel.kernel,
        *kernel.stride,
        *kernel.dilation,
        kernel.pitch,
    )
    sizes += (kernel.taps_row, int(kernel.paired), kernel.plane, kernel.words)
    sizes += (kernel.down, kernel.right, kernel.shift)
    rounding = "SIGNED" if kernel.signed else "PLAIN"
    code = paired_code(kernel) if kernel.paired else window_code(kernel)
    arguments = f"{name}, {', '.join(map(str, sizes))}, {rounding}, {assembly.text(code)}"
    return name, f"TVMTINY_MVE_WINDOW({arguments})"


class _Layer:
    """Statements of one layer."""

    def __init__(self, node: Node, plan: Plan, kernel: WindowKernel) -> None:
        self._node, self._plan, self._kernel = node, plan, kernel
        self.x = nest.buffer("x", node.input(0).elements, "int8")
        words = plan.channels * plan.multiplier * kernel.words
        self.stream = nest.buffer("stream", words, "int32")
        self.out = nest.buffer("out", node.output.elements, "int8")
        self.planes = nest.buffer("planes", plan.planes_bytes, "int8")
        self.kernels: dict[int, tuple[str, str]] = {}

    def body(self) -> list[tirx.Stmt]:
        """All statements, in the order that the plan states."""
        plan, geometry = self._plan, self._plan.geometry
        image = self._kept if plan.keeps else self._strips
        body = [nest.loop(self._node.input(0).shape[0], "image", image)]
        return [self._fill(), *body] if geometry.padded and plan.beside == 1 else body

    def _fill(self) -> tirx.Stmt:
        size = self._plan.planes_bytes
        zero_point = self._node.input(0).zero_point
        return nest.call("tvmtiny_mve_fill", nest.address(self.planes), zero_point, size)

    def _kept(self, image: nest.Argument) -> list[tirx.Stmt]:
        """Group by group, whose planes keep rows from strip to strip."""
        plan = self._plan
        next_strip, last = plan.following, plan.last

        def group(channel: nest.Argument, skipped: int, count: int) -> list[tirx.Stmt]:
            def strip(index: nest.Argument) -> list[tirx.Stmt]:
                kept = (
                    0 if plan.repeated == 1 else tirx.min(index * next_strip.kept, next_strip.kept)
                )
                top = index * plan.rows
                return self._strip(image, next_strip, top, 0, kept, channel, skipped, count)

            statements = [nest.loop(plan.repeated, "strip", strip)]
            if last is not None:
                statements += self._strip(
                    image, last, last.top, 0, last.kept, channel, skipped, count
                )
            return statements

        return self._groups(group)

    def _strips(self, image: nest.Argument) -> list[tirx.Stmt]:
        """Strip by strip, with all groups of channels."""
        plan, geometry = self._plan, self._plan.geometry
        rows, columns = plan.rows, plan.columns

        def start(index: nest.Argument, axis: int) -> nest.Argument:
            size = (rows, columns)[axis]
            total = geometry.output[axis]
            return tirx.min(index * size, total - size) if total % size else index * size

        def strip(down: nest.Argument, right: nest.Argument) -> list[tirx.Stmt]:
            top, left = start(down, 0), start(right, 1)
            shape = Strip(0, 0, rows)
            return self._groups(lambda *g: self._strip(image, shape, top, left, 0, *g))

        def line(down: nest.Argument) -> list[tirx.Stmt]:
            return [nest.loop(plan.beside, "beside", lambda right: strip(down, right))]

        return [nest.loop(len(plan.strips), "strip", line)]

    def _groups(
        self, group: Callable[[nest.Argument, int, int], list[tirx.Stmt]]
    ) -> list[tirx.Stmt]:
        plan = self._plan
        statements = []
        for first, skipped, count in plan.groups[: 1 if plan.channels % plan.lanes else 0]:
            statements += group(first, skipped, count)
        whole = plan.channels // plan.lanes
        loop = nest.loop(whole, "group", lambda index: group(index * plan.lanes, 0, plan.lanes))
        return [*statements, loop]

    def _strip(
        self,
        image: nest.Argument,
        strip: Strip,
        top: nest.Argument,
        left: nest.Argument,
        kept: nest.Argument,
        channel: nest.Argument,
        skipped: int,
        count: int,
    ) -> list[tirx.Stmt]:
        """Copy the planes of a group of channels, and compute the outputs of a strip."""
        plan, geometry, kernel = self._plan, self._plan.geometry, self._kernel
        _, height, width, channels = self._node.input(0).shape
        rows, columns = plan.read(strip.rows)
        padded: nest.Argument = geometry.pad[1]
        inside: nest.Argument = min(width, columns - geometry.pad[1])
        first: nest.Argument = 0
        if plan.beside > 1:
            column = left * geometry.stride[1] - geometry.pad[1]
            first = tirx.max(column, 0)
            padded = first - column
            inside = tirx.min(column + columns, width) - first
        row_bytes = width * channels
        sizes = (inside, row_bytes, channels, plan.lanes, plan.pitch, plan.plane, int(plan.paired))
        source = ((image * height) * width + first) * channels + channel - skipped
        if len(plan.strips) == plan.beside == 1:
            # Nothing but this copy writes to the planes, so their padding stays.
            start = geometry.pad[1] * (1 + plan.paired)
            copy = nest.call(
                "tvmtiny_mve_spread",
                nest.address(self.x, source),
                nest.address(self.planes, start),
                geometry.pad[0],
                min(height, rows - geometry.pad[0]),
                *sizes,
            )
        else:
            copy = nest.call(
                "tvmtiny_mve_planes",
                nest.address(self.x, source),
                nest.address(self.planes),
                top * geometry.stride[0] - geometry.pad[0],
                strip.moved,
                kept,
                rows,
                height,
                padded,
                self._node.input(0).zero_point,
                *sizes,
            )
        outputs = channels * plan.multiplier
        target = ((image * geometry.output[0] + top) * geometry.output[1] + left) * outputs
        if strip.rows not in self.kernels:
            self.kernels[strip.rows] = _instance(kernel_of_rows(kernel, strip.rows))
        name, _ = self.kernels[strip.rows]

        def compute(lane: nest.Argument, number: int) -> tirx.Stmt:
            return nest.call(
                name,
                nest.address(self.planes, (lane + skipped) * plan.plane),
                nest.address(self.stream, (channel + lane) * plan.multiplier * kernel.words),
                nest.address(self.out, target + (channel + lane) * plan.multiplier),
                number,
            )

        calls = [self._fill()] if plan.beside > 1 and geometry.padded else []
        calls.append(copy)
        if plan.multiplier == 1:
            return [*calls, compute(0, count)]
        many = nest.loop(count, "lane", lambda lane: [compute(lane, plan.multiplier)])
        return [*calls, many]


def _function(node: Node, plan: Plan, kernel: WindowKernel, scaling: Scaling) -> tirx.PrimFunc:
    layer = _Layer(node, plan, kernel)
    body = layer.body()
    by = {1: "", 2: " by halfwords", 4: " by words"}[kernel.element]
    by_sign = ", rounding by sign" if scaling.signed else ""
    units, blocks = ("x".join(map(str, size)) for size in (kernel.unit, kernel.block))
    strips = "rings" if plan.keeps and len(plan.strips) > 1 else "strips"
    return nest.function(
        [layer.x, layer.stream, layer.out],
        [layer.planes],
        body,
        operator=node.operator,
        schedule=f"mve, windows, {units} outputs, {blocks} a patch{by}, "
        f"{strips} of {plan.rows} rows x {plan.lanes} channels{by_sign}",
        headers=HEADERS,
        preamble=[line for _, line in layer.kernels.values()],
        overlaps=[_overlap(node, plan)],
    )


def _overlap(node: Node, plan: Plan) -> Overlap:
    """The overlap that the order allows: a group is copied before it is written.

    Channels are independent of each other, so only distances of whole pixels count.
    """
    batch, height, width, channels = node.input(0).shape
    geometry, multiplier = plan.geometry, plan.multiplier
    out_height, out_width = geometry.output
    last_read = np.full((batch, height, width, channels), -1)
    first_write = np.full((batch, out_height, out_width, channels * multiplier), -1)
    if plan.keeps:
        order = [(0, strip, group) for group in plan.groups for strip in plan.strips]
    else:
        lefts = [min(n * plan.columns, out_width - plan.columns) for n in range(plan.beside)]
        order = [(x, strip, g) for strip in plan.strips for x in lefts for g in plan.groups]
    steps = [(image, *step) for image in range(batch) for step in order]
    for step, (image, left, strip, (first, skipped, count)) in enumerate(steps):
        y = strip.top * geometry.stride[0] - geometry.pad[0]
        x = left * geometry.stride[1] - geometry.pad[1]
        high, wide = plan.read(strip.rows)
        rows = slice(max(0, y + strip.kept), max(0, y + high))
        columns = slice(max(0, x), max(0, x + wide))
        last_read[image, rows, columns, first - skipped : first + count] = step
        written = first_write[
            image,
            strip.top : strip.top + strip.rows,
            left : left + plan.columns,
            first * multiplier : (first + count) * multiplier,
        ]
        written[written < 0] = step
    multiple = channels if multiplier == 1 else 1
    distance = smallest_distance(last_read.ravel(), first_write.ravel(), multiple)
    return Overlap("out", 0, distance, multiple)
