"""DEPTHWISE_CONV_2D with dilation or several filters per channel, by the general kernel.

Output rows whose distance is the dilation form a separate layer without dilation of rows. The
filters of a channel read the same planes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from tvm import tirx

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.shared.sliding_window import Window, window
from tvmtiny.schedule import nest
from tvmtiny.schedule.depthwise_scaling import scale_channels
from tvmtiny.schedule.families.dsp.depthwise import (
    HEADERS,
    LINES_HEADER,
    lines_kernel,
    pack_kernel,
)
from tvmtiny.schedule.families.dsp.depthwise_packing import pack_stream
from tvmtiny.schedule.families.dsp.depthwise_plan import LANES, Plan, make_plan
from tvmtiny.schedule.implementation import Decisions, Goal, Implementation
from tvmtiny.schedule.overlap import Overlap, smallest_distance
from tvmtiny.schedule.requantize import SHIFTS
from tvmtiny.schedule.scaling import Scaling

#: Largest immediate offset of ADD.
_OFFSET = 4095

#: Instructions of an output without its products, and of a product.
_OUTPUT, _PRODUCT = 12, 1.4


@dataclass(frozen=True)
class _Phase:
    """Every n-th row of the output, as a separate layer.

    Attributes
    ----------
    first
        The first row of the output.
    start
        The row of the input from which the phase's rows are counted.
    """

    first: int
    start: int
    geometry: Window
    plan: Plan


def is_spread(node: Node) -> bool:
    """Whether a DEPTHWISE_CONV_2D has dilation or several filters per channel."""
    shape = node.input(1).shape
    dilated = window(node, (shape[1], shape[2])).dilation != (1, 1)
    return dilated or shape[3] != node.input(0).shape[3]


def implement_spread(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement the layer in int8; None if its kernel cannot be used or proven exact."""
    weights, channels = node.input(1), node.input(0).shape[3]
    assert weights.data is not None and weights.quantization is not None
    _, height, width, outputs = weights.shape
    geometry = window(node, (height, width))
    down = geometry.dilation[0]
    if (
        decisions
        or channels < LANES
        or outputs > _OFFSET
        or (down > 1 and geometry.stride[0] > 1)
        or np.any(weights.quantization.zero_points)
    ):
        return None
    phases = _phases(geometry, channels)
    scaled = None if phases is None else scale_channels(node, SHIFTS, True)
    if phases is None or scaled is None:
        return None
    scaling, gains = scaled
    taps = weights.data.reshape(height, width, outputs).transpose(2, 0, 1) * gains[:, None, None]
    even, zero_point = geometry.stride[0] == 2, node.input(0).zero_point
    stream = pack_stream(taps, scaling, zero_point, geometry, False, "any", even)
    # The filters of all channels, one after the other.
    order = np.arange(outputs).reshape(channels, -1).T.ravel()
    function = _Function(node, geometry, phases, scaling, stream.shape[1]).build()
    total = node.output.elements * (_OUTPUT + _PRODUCT * height * width)
    return Implementation(
        function, (node.input(0), stream[order].ravel()), {"sketch": "spread"}, int(total)
    )


def _phases(geometry: Window, channels: int) -> list[_Phase] | None:
    """All phases, with planes of equal size; None if some output row has no input."""
    down, total = geometry.dilation[0], geometry.output[0]
    found: list[tuple[int, int, Window]] = []
    for first in range(min(down, total)):
        above, start = divmod(first - geometry.pad[0], down)
        height = -(-(geometry.input[0] - start) // down)
        if height <= 0:
            return None
        made = replace(
            geometry,
            input=(height, geometry.input[1]),
            output=(-(-(total - first) // down), geometry.output[1]),
            dilation=(1, geometry.dilation[1]),
            pad=(-above, geometry.pad[1]),
        )
        found.append((first, start, made))
    rows = _rows(found[0][2], channels)
    phases = []
    for first, start, made in found:
        decisions: Decisions = {"sketch": "any", "rows": rows, "channel_block": LANES}
        plan = make_plan(made, channels, decisions)
        if plan is None or not plan.lines:
            return None
        phases.append(_Phase(first, start, made, plan))
    return phases


def _rows(geometry: Window, channels: int) -> int:
    """Rows of a strip whose planes are not larger than two windows of rows."""
    limit = 2 * (geometry.kernel[0] + 1) * geometry.input[1] * channels
    total = geometry.output[0]
    for count in range(1, total + 1):
        rows = -(-total // count)
        rows += rows % 2 if count > 1 else 0
        decisions: Decisions = {"sketch": "any", "rows": rows, "channel_block": LANES}
        plan = make_plan(geometry, channels, decisions)
        if plan is not None and 4 * plan.words <= limit:
            return rows
    return min(total, 2)


class _Function:
    """The loops over images, phases, strips and channels."""

    def __init__(
        self,
        node: Node,
        geometry: Window,
        phases: Sequence[_Phase],
        scaling: Scaling,
        words: int,
    ) -> None:
        self._node, self._geometry, self._phases = node, geometry, phases
        self._scaling, self._words = scaling, words
        self._channels = node.input(0).shape[3]
        self._outputs = node.output.shape[3]
        self._multiplier = self._outputs // self._channels
        self._x = nest.buffer("x", node.input(0).elements, "int8")
        self._stream = nest.buffer("stream", self._outputs * words, "int32")
        self._out = nest.buffer("out", node.output.elements, "int8")
        most = max(phase.plan.words for phase in phases)
        self._planes = nest.buffer("planes", most, "uint32")
        self._headers = [*HEADERS, LINES_HEADER]
        #: The first of four channels that are packed together, how many of them are computed, and
        #: how many before them are not. The remainder comes first, as it reads other channels
        #: again.
        rest = self._channels % LANES
        blocks = [(start, LANES, 0) for start in range(0, self._channels - rest, LANES)]
        if rest:
            blocks.insert(0, (self._channels - LANES, rest, LANES - rest))
        self._blocks = blocks

    def build(self) -> tirx.PrimFunc:
        node, geometry = self._node, self._geometry
        preamble: list[str] = []
        body = nest.loop(
            node.input(0).shape[0],
            "image",
            lambda image: [self._phase(image, phase, preamble) for phase in self._phases],
        )
        spread = "x".join(map(str, geometry.dilation))
        signed = ", rounding by sign" if self._scaling.signed else ""
        return nest.function(
            [self._x, self._stream, self._out],
            [self._planes],
            [body],
            operator=node.operator,
            schedule=f"dsp, general, dilation {spread}, {self._multiplier} filters each{signed}, "
            f"strips of {self._phases[0].plan.rows} rows x {LANES} channels",
            headers=self._headers,
            preamble=list(dict.fromkeys(preamble)),
            overlaps=[self._overlap()] if self._multiplier == 1 else [],
        )

    def _phase(self, image: nest.Argument, phase: _Phase, preamble: list[str]) -> tirx.Stmt:
        down, plan = self._geometry.dilation[0], phase.plan
        zero_point = self._node.input(0).zero_point
        pack, line, headers = pack_kernel(phase.geometry, self._channels, plan, zero_point, down)
        kernel, kernel_line = lines_kernel(
            phase.geometry, self._channels, plan, self._scaling, down, self._multiplier
        )
        self._headers += [header for header in headers if header not in self._headers]
        preamble += [line, kernel_line]
        total = phase.geometry.output[0]

        def strip(index: nest.Argument) -> list[tirx.Stmt]:
            rows: nest.Argument = min(plan.rows, total)
            if total % plan.rows and total > plan.rows:
                rows = tirx.min(plan.rows, total - index * plan.rows)
            calls = []
            start, count, skipped = self._blocks[0]
            if skipped:
                calls += self._block(image, phase, index, rows, pack, kernel, start, count)
            whole = [block for block in self._blocks if not block[2]]

            def block(number: nest.Argument) -> list[tirx.Stmt]:
                return self._block(image, phase, index, rows, pack, kernel, number * LANES, LANES)

            return [*calls, nest.loop(len(whole), "block", block)]

        return nest.loop(-(-total // plan.rows), "strip", strip)

    def _block(
        self,
        image: nest.Argument,
        phase: _Phase,
        strip: nest.Argument,
        rows: nest.Argument,
        pack: str,
        kernel: str,
        start: nest.Argument,
        count: int,
    ) -> list[tirx.Stmt]:
        """Pack four channels, beginning with `start`, and compute the last `count` of them."""
        _, height, width, channels = self._node.input(0).shape
        plan, down, skipped = phase.plan, self._geometry.dilation[0], LANES - count
        source = (image * height + phase.start) * (width * channels) + start
        above = strip * (plan.rows * phase.geometry.stride[0]) - phase.geometry.pad[0]
        calls = [
            nest.call(
                pack, nest.address(self._x, source), above, nest.address(self._planes), plan.pairs
            )
        ]
        row = image * self._node.output.shape[1] + phase.first + strip * (plan.rows * down)
        target = row * (self._node.output.shape[2] * self._outputs)
        for number in range(self._multiplier):
            first = start + skipped
            calls.append(
                nest.call(
                    kernel,
                    nest.address(self._planes, skipped * plan.plane),
                    nest.address(self._stream, (number * channels + first) * self._words),
                    nest.address(self._out, target + first * self._multiplier + number),
                    count,
                    rows,
                    self._outputs,
                )
            )
        return calls

    def _overlap(self) -> Overlap:
        """The overlap that the order allows: a block is packed before it is written.

        Channels are independent of each other, so only distances of whole pixels count.
        """
        shape, down = self._node.input(0).shape, self._geometry.dilation[0]
        last_read = np.full(shape, -1)
        first_write = np.zeros(self._node.output.shape, np.int64)
        step = 0
        for image in range(shape[0]):
            for phase in self._phases:
                plan, total = phase.plan, phase.geometry.output[0]
                for top in range(0, total, plan.rows):
                    first = top * phase.geometry.stride[0] - phase.geometry.pad[0]
                    rows = np.arange(max(0, first), max(0, first + 2 * plan.pairs))
                    read = phase.start + down * rows
                    read = read[read < shape[1]]
                    written = phase.first + down * np.arange(top, min(top + plan.rows, total))
                    for start, count, skipped in self._blocks:
                        last_read[image, read, :, start : start + LANES] = step
                        lanes = slice(start + skipped, start + skipped + count)
                        first_write[image, written, :, lanes] = step
                        step += 1
        distance = smallest_distance(last_read.ravel(), first_write.ravel(), shape[3])
        return Overlap("out", 0, distance, shape[3])
