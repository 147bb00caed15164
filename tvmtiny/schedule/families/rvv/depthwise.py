"""DEPTHWISE_CONV_2D with the kernels of ``tvmtiny_rvv_sums.h``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from tvm import tirx

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.shared.sliding_window import Window, window
from tvmtiny.schedule import nest
from tvmtiny.schedule.assembly import text
from tvmtiny.schedule.depthwise_scaling import scale_channels
from tvmtiny.schedule.families.rvv import packing
from tvmtiny.schedule.families.rvv.assembly import most_lanes
from tvmtiny.schedule.families.rvv.strips import Strips, lying, rows_of_strips
from tvmtiny.schedule.families.rvv.window import WindowKernel, window_code
from tvmtiny.schedule.implementation import Decision, Decisions, Goal, Implementation, Sketch
from tvmtiny.schedule.scaling import Scaling
from tvmtiny.targets import Cpu

HEADERS = ("tvmtiny_rvv.h", "tvmtiny_rvv_sums.h")

DIRECT, STRIP = "rvv_row_windows", "rvv_strip_windows"

#: Windows with more columns would take too much code.
_MOST_COLUMNS = 32

#: Size of a strip in bytes that is aimed at.
_STRIP_BYTES = 1024

#: Most rows of strips that a tuner may choose.
_ROWS = 8

#: Gain of all channels, if they have no gains of their own.
_GAIN = 256


def implement_depthwise(
    node: Node, cpu: Cpu, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement an int8 layer; return None if the kernel does not apply or is not proven exact."""
    geometry, weights = _geometry(node), node.input(1)
    assert weights.data is not None and weights.quantization is not None
    if geometry is None or np.any(weights.quantization.zero_points):
        return None
    found = scale_channels(node, packing.USABLE_SHIFTS)
    if found is None or packing.usable(found[0]) is None:
        return None
    scaling, gains = found
    chosen = dict(decisions) if decisions else _decide(node, geometry)
    strips = Strips(node, geometry, int(chosen.get("rows", 0)))
    kernel = _kernel(strips, scaling, bool(np.any(gains != _GAIN)))
    copies = kernel.lanes // strips.pixel
    vectors = packing.vectors(scaling, gains if kernel.gained else None)
    taps = weights.data.reshape(-1, strips.pixel)
    stream = packing.pack(np.tile(taps, (1, copies)), [np.tile(v, copies) for v in vectors])
    rows = node.output.shape[0] * geometry.output[0]
    turns = -(-geometry.output[1] // (copies * kernel.units))
    return Implementation(
        _function(strips, kernel, copies, stream.size),
        (node.input(0), stream),
        chosen,
        rows * (turns * kernel.cost + 60),
    )


def depthwise_sketches(node: Node, cpu: Cpu) -> tuple[Sketch, ...]:
    """Return the ways to compute a DEPTHWISE_CONV_2D."""
    geometry = _geometry(node)
    if geometry is None:
        return ()
    if not geometry.padded:
        return (Sketch(DIRECT),)
    rows = {n for n in rows_of_strips(geometry) if n <= _ROWS}
    rows.add(int(_decide(node, geometry)["rows"]))
    return (Sketch(STRIP, (Decision("rows", tuple(sorted(rows))),)),)


def smaller_depthwise(node: Node, decisions: Decisions) -> Iterator[Decisions]:
    """Yield decisions with smaller strips, the largest first."""
    geometry = _geometry(node)
    if geometry is not None and "rows" in decisions:
        for rows in reversed(rows_of_strips(geometry)):
            if rows < int(decisions["rows"]):
                yield {**decisions, "rows": rows}


def _geometry(node: Node) -> Window | None:
    """Return the window; None if the kernel does not support the layer."""
    _, height, width, channels = node.input(1).shape
    geometry = lying(window(node, (height, width)))
    alike = channels == node.input(0).shape[3] and node.output.elements > 0
    return geometry if alike and geometry.kernel[1] <= _MOST_COLUMNS else None


def _decide(node: Node, geometry: Window) -> dict[str, int | str]:
    """Apply the default rule: the highest strips that the memory for them allows.

    Rows that two strips share are copied twice, and each strip has calls of its own.
    """
    if not geometry.padded:
        return {"sketch": DIRECT}
    plans = [Strips(node, geometry, rows) for rows in rows_of_strips(geometry)]
    rows = max((p.rows for p in plans if p.workspace <= _STRIP_BYTES), default=1)
    return {"sketch": STRIP, "rows": rows}


def _kernel(strips: Strips, scaling: Scaling, gained: bool) -> WindowKernel:
    """Return the kernel with the fewest instructions for a row."""
    geometry, pixel = strips.geometry, strips.pixel
    width = geometry.output[1]
    most = max(1, most_lanes(8) // pixel) if geometry.stride[1] == 1 else 1
    found = []
    for copies in range(1, min(most, width) + 1):
        base = WindowKernel(
            copies * pixel,
            geometry.kernel,
            geometry.dilation[0] * strips.row_bytes,
            geometry.dilation[1] * pixel,
            geometry.stride[1] * copies * pixel,
            1,
            scaling.shift,
            scaling.signed,
            gained,
        )
        for units in range(1, min(base.most_units, width // copies) + 1):
            kernel = replace(base, units=units)
            turns = -(-width // (copies * units))
            found.append((turns * kernel.cost, kernel.lanes, units, kernel))
    return min(found, key=lambda entry: entry[:3])[-1]


def _function(strips: Strips, kernel: WindowKernel, copies: int, words: int) -> tirx.PrimFunc:
    node, width = strips.node, strips.geometry.output[1]
    x = nest.buffer("x", node.input(0).elements, "int8")
    stream = nest.buffer("stream", words, "int32")
    out = nest.buffer("out", node.output.elements, "int8")
    strip = nest.buffer("strip", strips.workspace, "int8") if strips.rows else None
    name, pixels = f"rvv_window_{kernel.identifier}", copies * kernel.units
    turns, rest = divmod(width, pixels)

    def row(source: tirx.Buffer, start: nest.Argument, first: nest.Argument) -> list[tirx.Stmt]:
        def call(pixel: int, count: int) -> tirx.Stmt:
            return nest.call(
                name,
                nest.address(source, start + pixel * strips.geometry.stride[1] * strips.pixel),
                nest.address(stream),
                nest.address(out, (first + pixel) * strips.pixel),
                count,
            )

        # The last iteration may repeat pixels of the previous one.
        return [call(0, turns), *([call(width - pixels, 1)] if rest else [])]

    sizes = [kernel.lanes, kernel.group.lanes, *kernel.kernel, kernel.row, kernel.column]
    sizes += [kernel.step, kernel.units]
    arguments = ", ".join(map(str, [*sizes, kernel.shift, int(kernel.gained)]))
    rounding = "SIGNED" if kernel.signed else "PLAIN"
    code = text(window_code(kernel))
    lanes = min(kernel.lanes, kernel.group.lanes)
    by_sign = ", rounding by sign" * kernel.signed
    return nest.function(
        [x, stream, out],
        [] if strip is None else [strip],
        [strips.loops(x, strip, row)],
        operator=node.operator,
        schedule=f"rvv, windows {pixels}x{lanes // copies}, {strips.description}{by_sign}",
        headers=HEADERS,
        preamble=[f"TVMTINY_RVV_WINDOW({name}, {arguments}, {rounding}, {code})"],
        overlaps=[strips.overlap(pixels, strips.pixel, kernel.blocks)],
    )
