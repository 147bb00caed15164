"""DEPTHWISE_CONV_2D around the kernels of ``tvmtiny_mve_window.h``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from tvm import tirx

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.shared.sliding_window import Window, window
from tvmtiny.schedule import nest
from tvmtiny.schedule.depthwise_scaling import scale_channels
from tvmtiny.schedule.families.mve import assembly, packing
from tvmtiny.schedule.families.mve.paired_window import paired_code
from tvmtiny.schedule.families.mve.window import (
    WindowKernel,
    pack_windows,
    window_code,
    window_kernels,
)
from tvmtiny.schedule.implementation import Decision, Decisions, Goal, Implementation, Sketch
from tvmtiny.schedule.overlap import Overlap, smallest_distance
from tvmtiny.schedule.requantize import Scaling

HEADERS = ("tvmtiny_mve.h", "tvmtiny_mve_window.h")

#: Number of channels that are copied to planes together.
_LANES = 8

#: The limit on bytes of planes, if strips can be small enough.
_PLANES_BYTES = 4096

#: Additional instructions of a row in pairs over a single row, and the number of gathered elements
#: that costs as much as an instruction.
_PAIRED_ROW, _ELEMENTS = 6, 4

#: Bytes of two columns of a pair of rows.
_WORD = 4

#: The limit on output columns of a strip, from the reach of the widest patch, three rows down.
_WIDEST = 60

#: VQDMULH accounts for one bit of VQSHRN's shift.
_MOST_SHIFT = 15

_SHIFTS = tuple(shift for shift in packing.SHIFTS if shift <= _MOST_SHIFT)

#: Instructions to copy one pixel of a group of channels.
_COPY = 4


@dataclass(frozen=True)
class _Plan:
    """How one layer is computed.

    Attributes
    ----------
    geometry
        The window.
    channels, multiplier
        Number of input channels, and of outputs per channel.
    lanes
        Number of channels that are copied together.
    rows, columns
        Output rows and columns of a strip.
    paired
        Whether planes hold pairs of rows: see `WindowKernel`.
    """

    geometry: Window
    channels: int
    multiplier: int
    lanes: int
    rows: int
    columns: int
    paired: bool

    @property
    def read(self) -> tuple[int, int]:
        """Rows and columns of a plane that the outputs of a strip need."""
        return self._extent(0, self.rows), self._extent(1, self.columns)

    def _extent(self, axis: int, outputs: int) -> int:
        window = self.geometry
        return (
            (outputs - 1) * window.stride[axis]
            + (window.kernel[axis] - 1) * window.dilation[axis]
            + 1
        )

    def _size(self, axis: int) -> int:
        """Rows or columns of a plane, an even number for pairs.

        A block may have one surplus output.
        """
        outputs = (self.rows, self.columns)[axis]
        if not self.paired:
            return self._extent(axis, outputs)
        found = self._extent(axis, outputs + (outputs > 1 and outputs % 2))
        return found + found % 2

    @property
    def _own(self) -> int:
        """Columns of a pair of rows, up to the padding that also begins the next pair."""
        found = self.geometry.pad[1] + self.geometry.input[1]
        return found + found % 2

    @property
    def shares(self) -> bool:
        """Whether right padding is also left padding of the next pair of rows or plane."""
        whole = self.columns == self.geometry.output[1]
        left = self.geometry.pad[1]
        return (
            self.paired and whole and self._own < self._size(1) and self.read[1] <= self._own + left
        )

    @property
    def pitch(self) -> int:
        """Bytes of a row of a plane."""
        return self._own if self.shares else self._size(1)

    @property
    def plane(self) -> int:
        """Bytes of a plane."""
        return self._size(0) * self.pitch

    @property
    def planes_bytes(self) -> int:
        """Bytes of all planes, and of bytes that are read behind the last plane."""
        behind = 2 * (self._size(1) - self.pitch)
        return self.lanes * self.plane + -(-behind // _WORD) * _WORD

    @property
    def strips(self) -> tuple[int, int]:
        """Number of strips below and beside each other; the last ones overlap the previous ones."""
        height, width = self.geometry.output
        return -(-height // self.rows), -(-width // self.columns)

    @property
    def groups(self) -> list[tuple[int, int, int]]:
        """First channel, lanes that are copied before it, and number of channels of each group.

        The incomplete group comes first: it is copied with channels that must not be overwritten
        yet.
        """
        rest = self.channels % self.lanes
        found = [(self.channels - rest, self.lanes - rest, rest)] if rest else []
        return found + [(c, 0, self.lanes) for c in range(0, self.channels - rest, self.lanes)]

    def kernels(self, shift: int, signed: bool) -> list[WindowKernel]:
        """Kernels for a strip, the cheapest first."""
        window, outputs = self.geometry, self.channels * self.multiplier
        return window_kernels(
            WindowKernel(
                (self.rows, self.columns),
                window.kernel,
                window.stride,
                window.dilation,
                self.pitch,
                self.plane if self.multiplier == 1 else 0,
                self.lanes * self.plane,
                window.output[1] * outputs,
                outputs,
                shift,
                signed,
                (1, 1),
                (1, 1),
                self.paired,
            )
        )


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
    chosen = dict(decisions) if decisions else _decide(node)
    plan = _plan(node, chosen)
    if chosen is None or plan is None:
        return None
    kernels = plan.kernels(scaling.shift, scaling.signed)
    if not kernels:
        return None
    kernel = kernels[0]
    taps = weights.data.reshape(height, width, outputs).transpose(2, 0, 1)
    stream = pack_windows(taps, gains, scaling, kernel)
    strips = plan.strips[0] * plan.strips[1] * node.input(0).shape[0]
    copies = strips * plan.plane * -(-plan.channels // plan.lanes) * _COPY
    return Implementation(
        _function(node, plan, kernel, scaling),
        (node.input(0), stream.ravel()),
        chosen,
        strips * outputs * kernel.cost + copies,
    )


def depthwise_sketches(node: Node) -> tuple[Sketch, ...]:
    """The sketch of a DEPTHWISE_CONV_2D, whose decisions are the outputs of a strip."""
    decided = _decide(node)
    if decided is None:
        return ()
    height, width = _geometry(node).output
    rows = {min(height, n) for n in (1, 2, 4, 8, 16, height)} | {int(decided["rows"])}
    usable = [n for n in sorted(rows) if _plan(node, {**decided, "rows": n}) is not None]
    columns = tuple(sorted({int(decided["columns"]), min(width, 8), min(width, 16)}))
    return (Sketch("mve_windows", (Decision("rows", tuple(usable)), Decision("columns", columns))),)


def smaller_depthwise(node: Node, decisions: Decisions) -> Iterator[Decisions]:
    """Decisions with smaller strips, the largest strip first."""
    rows = int(decisions["rows"])
    for fewer in (n for n in (16, 8, 6, 4, 2, 1) if n < rows):
        yield {**decisions, "rows": fewer}


def _geometry(node: Node) -> Window:
    return window(node, (node.input(1).shape[1], node.input(1).shape[2]))


def _plan(node: Node, decisions: Decisions | None) -> _Plan | None:
    """The sizes that follow from the decisions; None if no kernel supports them."""
    if decisions is None:
        return None
    channels = node.input(0).shape[3]
    made = _Plan(
        _geometry(node),
        channels,
        node.input(1).shape[3] // channels,
        min(channels, _LANES),
        int(decisions["rows"]),
        int(decisions["columns"]),
        True,
    )
    plans = [plan for plan in (made, replace(made, paired=False)) if plan.plane * _LANES < 2**16]
    kernels = {plan: plan.kernels(1, False) for plan in plans}

    def cost(plan: _Plan) -> int:
        kernel = kernels[plan][0]
        each = kernel.cost + kernel.gathered // _ELEMENTS
        return plan.lanes * plan.multiplier * each + plan.paired * plan.read[0] * _PAIRED_ROW

    return min((plan for plan in plans if kernels[plan]), key=cost, default=None)


def _decide(node: Node) -> dict[str, int | str] | None:
    """The default rule: the highest strips that the memory for planes allows.

    Rows at the seam of two strips are copied twice, so fewer strips take fewer instructions.
    """
    height, width = _geometry(node).output
    strips = -(-width // _WIDEST)
    for columns in (-(-width // strips), min(width, 24), min(width, 8), 1):
        for rows in range(height, 0, -1):
            decided: dict[str, int | str] = {
                "sketch": "mve_windows",
                "rows": -(-height // -(-height // rows)),
                "columns": columns,
            }
            plan = _plan(node, decided)
            if plan is not None and (rows <= 2 or plan.lanes * plan.plane <= _PLANES_BYTES):
                return decided
    return None


def _function(node: Node, plan: _Plan, kernel: WindowKernel, scaling: Scaling) -> tirx.PrimFunc:
    batch, height, width, channels = node.input(0).shape
    geometry, outputs = plan.geometry, channels * plan.multiplier
    out_height, out_width = geometry.output
    zero_point = node.input(0).zero_point
    rounding = "SIGNED" if scaling.signed else "PLAIN"
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
    code = paired_code(kernel) if kernel.paired else window_code(kernel)
    preamble = (
        f"TVMTINY_MVE_WINDOW({name}, {', '.join(map(str, sizes))}, {rounding}, "
        f"{assembly.text(code)})"
    )
    x = nest.buffer("x", node.input(0).elements, "int8")
    stream = nest.buffer("stream", outputs * kernel.words, "int32")
    out = nest.buffer("out", node.output.elements, "int8")
    planes = nest.buffer("planes", plan.planes_bytes, "int8")
    fill = nest.call("tvmtiny_mve_fill", nest.address(planes), zero_point, plan.planes_bytes)
    beside = plan.strips[1] > 1

    def start(index: nest.Argument, axis: int) -> nest.Argument:
        size = (plan.rows, plan.columns)[axis]
        first = index * size
        return (
            tirx.min(first, geometry.output[axis] - size) if geometry.output[axis] % size else first
        )

    def group(
        image: nest.Argument,
        down: nest.Argument,
        right: nest.Argument,
        channel: nest.Argument,
        skipped: int,
        count: int,
    ) -> list[tirx.Stmt]:
        top, left = start(down, 0), start(right, 1)
        column = left * geometry.stride[1] - geometry.pad[1]
        padded: nest.Argument = geometry.pad[1]
        inside: nest.Argument = min(width, plan.read[1] - geometry.pad[1])
        first: nest.Argument = 0
        if beside:
            first = tirx.max(column, 0)
            padded = first - column
            inside = tirx.min(column + plan.read[1], width) - first
        source = ((image * height) * width + first) * channels + channel - skipped
        copy = nest.call(
            "tvmtiny_mve_planes",
            nest.address(x, source),
            nest.address(planes),
            top * geometry.stride[0] - geometry.pad[0],
            plan.read[0],
            height,
            width * channels,
            channels,
            plan.lanes,
            padded,
            inside,
            plan.pitch,
            plan.plane,
            int(plan.paired),
            zero_point,
        )
        target = ((image * out_height + top) * out_width + left) * outputs

        def compute(lane: nest.Argument, number: int) -> tirx.Stmt:
            return nest.call(
                name,
                nest.address(planes, (lane + skipped) * plan.plane),
                nest.address(stream, (channel + lane) * plan.multiplier * kernel.words),
                nest.address(out, target + (channel + lane) * plan.multiplier),
                number,
            )

        calls = [fill] if beside and geometry.padded else []
        calls.append(copy)
        if plan.multiplier == 1:
            return [*calls, compute(0, count)]
        many = nest.loop(count, "lane", lambda lane: [compute(lane, plan.multiplier)])
        return [*calls, many]

    def strip(image: nest.Argument, down: nest.Argument, right: nest.Argument) -> list[tirx.Stmt]:
        statements = []
        whole = channels // plan.lanes
        for first, skipped, count in plan.groups[: 1 if channels % plan.lanes else 0]:
            statements += group(image, down, right, first, skipped, count)
        statements.append(
            nest.loop(
                whole,
                "group",
                lambda index: group(image, down, right, index * plan.lanes, 0, plan.lanes),
            )
        )
        return statements

    def line(image: nest.Argument, down: nest.Argument) -> list[tirx.Stmt]:
        return [nest.loop(plan.strips[1], "beside", lambda right: strip(image, down, right))]

    body = [] if beside or not geometry.padded else [fill]
    body.append(
        nest.loop(
            batch,
            "image",
            lambda image: [nest.loop(plan.strips[0], "strip", lambda down: line(image, down))],
        )
    )
    by = {1: "", 2: " by halfwords", 4: " by words"}[kernel.element]
    by_sign = ", rounding by sign" if scaling.signed else ""
    units, blocks = ("x".join(map(str, size)) for size in (kernel.unit, kernel.block))
    return nest.function(
        [x, stream, out],
        [planes],
        body,
        operator=node.operator,
        schedule=f"mve, windows, {units} outputs, {blocks} a patch{by}, "
        f"strips of {plan.rows} rows x {plan.lanes} channels{by_sign}",
        headers=HEADERS,
        preamble=[preamble],
        overlaps=[_overlap(node, plan)],
    )


def _overlap(node: Node, plan: _Plan) -> Overlap:
    """The overlap that the order allows: a group is copied before it is written.

    Channels are independent of each other, so only distances of whole pixels count.
    """
    batch, height, width, channels = node.input(0).shape
    geometry, multiplier = plan.geometry, plan.multiplier
    out_height, out_width = geometry.output
    last_read = np.full((batch, height, width, channels), -1)
    first_write = np.full((batch, out_height, out_width, channels * multiplier), -1)
    step = 0
    for image, down, right in np.ndindex(batch, *plan.strips):
        top = min(down * plan.rows, out_height - plan.rows)
        left = min(right * plan.columns, out_width - plan.columns)
        y = top * geometry.stride[0] - geometry.pad[0]
        x = left * geometry.stride[1] - geometry.pad[1]
        rows = slice(max(0, y), max(0, y + plan.read[0]))
        columns = slice(max(0, x), max(0, x + plan.read[1]))
        for first, skipped, count in plan.groups:
            last_read[image, rows, columns, first - skipped : first + count] = step
            written = first_write[
                image,
                top : top + plan.rows,
                left : left + plan.columns,
                first * multiplier : (first + count) * multiplier,
            ]
            written[written < 0] = step
            step += 1
    multiple = channels if multiplier == 1 else 1
    distance = smallest_distance(last_read.ravel(), first_write.ravel(), multiple)
    return Overlap("out", 0, distance, multiple)
