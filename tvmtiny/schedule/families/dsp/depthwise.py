"""DEPTHWISE_CONV_2D around the kernels of ``tvmtiny_dsp_depthwise.h``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from tvm import tirx

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.shared.sliding_window import Window, whole_height, window
from tvmtiny.schedule import nest
from tvmtiny.schedule.depthwise_scaling import GAIN, NIBBLE_GAIN, scale_channels, scale_nibbles
from tvmtiny.schedule.families.dsp.depthwise_packing import pack_stream
from tvmtiny.schedule.families.dsp.depthwise_plan import (
    LANES,
    Plan,
    decide,
    fits_3x3,
    fits_column,
    fits_quads,
    make_plan,
)
from tvmtiny.schedule.families.dsp.depthwise_single import implement_single
from tvmtiny.schedule.few_taps import is_faster_by_taps
from tvmtiny.schedule.implementation import Decision, Decisions, Goal, Implementation, Sketch
from tvmtiny.schedule.overlap import Overlap, smallest_distance
from tvmtiny.schedule.requantize import SHIFTS
from tvmtiny.schedule.scaling import Scaling

HEADERS = ("tvmtiny_dsp.h", "tvmtiny_dsp_depthwise.h", "tvmtiny_dsp_depthwise_pack.h")
#: The header of the function that packs the rows of a single output row.
_ANY_HEADER = "tvmtiny_dsp_depthwise_any.h"
_THREE_HEADER = "tvmtiny_dsp_depthwise_three.h"
LINES_HEADER = "tvmtiny_dsp_depthwise_lines.h"

#: Instructions that pack one word, in groups of four channels.
_PACKING = 3

#: The limit on unrolled groups of four rows that are packed at a time, 112 bytes of code each.
_MOST_QUADS = 6

#: Bits of weights, in the order of the kernels' argument.
_BITS = (16, 8, 4)

#: The choices of a tuner.
_UNROLLS = (2, 4, 8, 12, 16, 24, 48)
_CODE = ("own", "shared")

#: The limit on words of a column that the general kernel unrolls.
_UNROLLED_WORDS = 8


def implement_depthwise(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement DEPTHWISE_CONV_2D in int8; None if the kernels cannot be used or proven exact."""
    weights = node.input(1)
    assert weights.data is not None and weights.quantization is not None
    _, height, width, channels = weights.shape
    geometry = window(node, (height, width))
    usable = (
        node.input(0).shape[3] == channels >= LANES
        and geometry.dilation == (1, 1)
        and not np.any(weights.quantization.zero_points)
    )
    scaled = scale_channels(node, SHIFTS, True) if usable else None
    if scaled is None:
        return None
    if decisions is None and not fits_column(geometry, channels) and is_faster_by_taps(node):
        # The kernels for cores without the DSP extension follow.
        return None
    scaling, gains = scaled
    chosen = (
        dict(decisions)
        if decisions
        else decide(geometry, channels, scaling.signed, goal, whole_height(node))
    )
    plan = make_plan(geometry, channels, chosen)
    if plan is None or (plan.kernel == "3x3" and scaling.signed):
        return None
    taps = weights.data.reshape(height, width, channels).transpose(2, 0, 1) * gains[:, None, None]
    single = None if decisions else implement_single(node, geometry, taps, scaling, chosen)
    if single is not None:
        return single
    if plan.kernel == "3x3" and goal is not Goal.SPEED:
        narrow = scale_nibbles(node, plan.single_row(geometry), SHIFTS)
        if narrow is not None:
            plan, scaling = replace(plan, bits=4), narrow
            taps = taps // gains[:, None, None] * NIBBLE_GAIN
        elif not np.any(taps % GAIN):
            plan = replace(plan, bits=8)
    plan = replace(plan, fast=goal is Goal.SPEED)
    even = plan.lines and geometry.stride[0] == 2
    zero_point = node.input(0).zero_point
    stream = pack_stream(
        taps, scaling, zero_point, geometry, plan.whole, plan.kernel, even, plan.bits
    )
    return Implementation(
        _function(node, geometry, plan, scaling, stream.shape[1], chosen),
        (node.input(0), stream.ravel()),
        chosen,
        _instructions(node, geometry, plan),
    )


def _instructions(node: Node, geometry: Window, plan: Plan) -> int:
    outputs, taps = node.output.elements, geometry.kernel[0] * geometry.kernel[1]
    packing = _PACKING
    per_output = 10 if plan.kernel == "3x3" else 4 * taps
    if plan.kernel == "any":
        per_output, packing = 10 + 5 * taps // 4, _PACKING + 1
    strips = node.input(0).shape[0] * -(-geometry.output[0] // plan.rows)
    return outputs * per_output + packing * strips * plan.plane * node.input(0).shape[3]


def smaller_depthwise(node: Node, decisions: Decisions) -> Iterator[Decisions]:
    """Decisions with smaller strips, the largest strip first."""
    geometry = window(node, (node.input(1).shape[1], node.input(1).shape[2]))
    channels = node.input(1).shape[3]
    current = make_plan(geometry, channels, decisions)
    assert current is not None
    words = current.words
    for rows in range(int(decisions.get("rows", 1)) - 1, 0, -1):
        plan = make_plan(geometry, channels, {**decisions, "rows": rows})
        if plan is not None and plan.words < words:
            words = plan.words
            yield {**decisions, "rows": rows}


def depthwise_sketches(node: Node, oracle: Oracle) -> tuple[Sketch, ...]:
    """Sketches of a DEPTHWISE_CONV_2D, by kernel."""
    geometry = window(node, (node.input(1).shape[1], node.input(1).shape[2]))
    channels, total = node.input(1).shape[3], geometry.output[0]
    if channels < LANES or geometry.dilation != (1, 1):
        return ()
    # Only numbers of strips that give different numbers of rows; these are even if strips must be.
    counts = {-(-total // strips) for strips in range(1, total + 1)}
    rows = Decision("rows", tuple(sorted({n + n % 2 if n < total else n for n in counts})))
    blocks = {-(-n // LANES) * LANES for n in (4, 8, 16, 32, channels) if n <= channels + 3}
    block = Decision("channel_block", tuple(sorted(blocks)))
    sketches = [Sketch("any", (rows, block))]
    if fits_column(geometry, channels):
        sketches.append(Sketch("column", (block,)))
    if fits_3x3(geometry, channels):
        unrolls = sorted({min(limit, geometry.output[1]) for limit in _UNROLLS})
        decisions = (rows, block, Decision("unroll", tuple(unrolls)), Decision("code", _CODE))
        sketches.append(Sketch("3x3", decisions))
    return tuple(sketches)


def _split_columns(count: int, limit: int, step: int) -> tuple[int, int, int]:
    """Number of loops, unrolled outputs per loop (a multiple of `step`), and the remainder."""
    if count <= limit:
        return 0, 0, count
    candidates = range(step, min(limit, count // 2) + 1, step)
    unroll = max(candidates, key=lambda u: (-(count % u), u), default=0)
    return (count // unroll, unroll, count % unroll) if unroll else (0, 0, count)


def _function(
    node: Node,
    geometry: Window,
    plan: Plan,
    scaling: Scaling,
    channel_words: int,
    decisions: Decisions,
) -> tirx.PrimFunc:
    batch, height, width, channels = node.input(0).shape
    out_height, out_width = geometry.output
    zero_point = node.input(0).zero_point
    preamble: list[str] = []
    pack_headers: tuple[str, ...] = ()
    more: tuple[int, ...] = ()
    if plan.shared:
        pack = "tvmtiny_depthwise_pack"
        more = (plan.pairs, height, width, channels, zero_point)
    else:
        pack, line, pack_headers = pack_kernel(geometry, channels, plan, zero_point)
        preamble.append(line)
    kernel, kernel_line, description = _row_kernel(
        geometry, channels, plan, scaling, decisions, zero_point
    )
    x = nest.buffer("x", node.input(0).elements, "int8")
    stream = nest.buffer("stream", channels * channel_words, "int32")
    out = nest.buffer("out", node.output.elements, "int8")
    planes = nest.buffer("planes", plan.words, "uint32")
    # Whole pairs of rows above the input are never packed.
    start = 1 if plan.whole and plan.kernel == "3x3" and geometry.stride[0] == 1 else 0
    strips = -(-out_height // plan.rows)

    def compute(
        image: nest.Argument, strip: nest.Argument, channel: nest.Argument, count: int
    ) -> list[tirx.Stmt]:
        """Pack and compute `count` channels of a strip."""
        rows: nest.Argument = min(plan.rows, out_height)
        if out_height % plan.rows and strips > 1:
            rows = tirx.min(plan.rows, out_height - strip * plan.rows)
        first_row = strip * (plan.rows * geometry.stride[0]) - geometry.pad[0]
        pairs = plan.pairs
        if plan.whole:
            first_row = 0
            pairs = plan.pairs if plan.kernel == "column" else -(-height // 2)
        target = (image * out_height + strip * plan.rows) * (out_width * channels)
        # The last channels are packed together with some previous channels that are not computed.
        pieces = [(0, count - count % LANES, 0)]
        if count % LANES:
            pieces.append((count - count % LANES, count % LANES, LANES - count % LANES))
        calls = []
        for first, size, skipped in pieces:
            for offset in range(first, first + size, LANES):
                calls.append(
                    nest.call(
                        pack,
                        nest.address(
                            x, image * (height * width * channels) + channel + offset - skipped
                        ),
                        first_row,
                        nest.address(planes, offset * plan.plane + start),
                        pairs,
                        *more,
                    )
                )
            if size:
                calls.append(
                    nest.call(
                        kernel,
                        nest.address(planes, (first + skipped) * plan.plane),
                        nest.address(stream, (channel + first) * channel_words),
                        nest.address(out, target + channel + first),
                        size,
                        rows,
                        channels,
                    )
                )
        return calls

    blocks, rest = divmod(channels, plan.block)

    def channels_of(image: nest.Argument, strip: nest.Argument) -> list[tirx.Stmt]:
        # The remainder comes first: its channels are packed with some that must not be overwritten.
        statements = compute(image, strip, blocks * plan.block, rest) if rest else []
        if blocks:
            statements.append(
                nest.loop(
                    blocks,
                    "block",
                    lambda block: compute(image, strip, block * plan.block, plan.block),
                )
            )
        return statements

    body = []
    if plan.whole and plan.kernel == "3x3":
        fill = "tvmtiny_depthwise_fill"
        body.append(nest.call(fill, nest.address(planes), plan.words, zero_point))
    body.append(
        nest.loop(
            batch,
            "image",
            lambda image: [nest.loop(strips, "strip", lambda strip: channels_of(image, strip))],
        )
    )
    headers = list(HEADERS)
    if plan.lines:
        headers.append(LINES_HEADER)
    elif plan.kernel != "3x3":
        headers.append(_ANY_HEADER)
    headers += [header for header in pack_headers if header not in headers]
    return nest.function(
        [x, stream, out],
        [planes],
        body,
        operator=node.operator,
        schedule=f"dsp, {description}, strips of {min(plan.rows, out_height)} rows x "
        f"{plan.block} channels",
        headers=headers,
        preamble=[*preamble, kernel_line],
        overlaps=[_overlap(node, geometry, plan)],
    )


def _overlap(node: Node, geometry: Window, plan: Plan) -> Overlap:
    """The overlap that the order allows: a block is packed before it is written.

    Channels are independent of each other, so only distances of whole pixels count.
    """
    batch, height, width, channels = node.input(0).shape
    out_height, out_width = geometry.output
    last_read = np.full((batch, height, width, channels), -1)
    first_write = np.zeros((batch, out_height, out_width, channels), np.int64)
    rest = channels - channels % plan.block
    starts = [*([rest] if rest < channels else []), *range(0, rest, plan.block)]
    step = 0
    for image, top in np.ndindex(batch, -(-out_height // plan.rows)):
        first = top * plan.rows * geometry.stride[0] - geometry.pad[0]
        rows = slice(0, height) if plan.whole else slice(max(0, first), first + 2 * plan.pairs)
        written = slice(top * plan.rows, (top + 1) * plan.rows)
        for start in starts:
            end = min(start + plan.block, channels)
            # A block that does not consist of whole groups of lanes also reads the previous
            # channels.
            lanes = slice(min(start, end - LANES), end)
            last_read[image, rows, :, lanes] = np.maximum(last_read[image, rows, :, lanes], step)
            first_write[image, written, :, start:end] = step
            step += 1
    distance = smallest_distance(last_read.ravel(), first_write.ravel(), channels)
    return Overlap("out", 0, distance, channels)


def pack_kernel(
    geometry: Window, channels: int, plan: Plan, zero_point: int, down: int = 1
) -> tuple[str, str, tuple[str, ...]]:
    """Name and instantiation of the packing function, and the headers besides `HEADERS`.

    `down` is the distance between rows, in rows.
    """
    height, width = geometry.input
    if plan.kernel == "column":
        name = f"depthwise_pack_column_{_identifier(plan.pairs, height, channels, zero_point)}"
        arguments = f"{name}, {plan.pairs}, {height}, {channels}, ({zero_point})"
        return name, f"TVMTINY_DEPTHWISE_PACK_COLUMN({arguments})", ()
    quads = fits_quads(geometry, channels, plan, down)
    if (
        quads
        and (height, geometry.kernel[0], geometry.output[0]) == (3, 3, 1)
        and not geometry.pad[0]
        and down == 1
    ):
        three = (width, channels, plan.left, plan.columns)
        name = f"depthwise_pack_three_{_identifier(*three, zero_point)}"
        arguments = ", ".join(str(size) for size in three)
        line = f"TVMTINY_DEPTHWISE_PACK_THREE({name}, {arguments}, ({zero_point}))"
        return name, line, (_THREE_HEADER,)
    fast = quads and plan.fast
    macro = "PACK_FAST" if fast else "PACK" if quads else "PACK_PAIRS"
    sizes = (plan.pairs, height, width, channels, plan.left, plan.columns, down)
    name = f"depthwise_{macro.lower()}_{_identifier(*sizes, zero_point)}"
    arguments = ", ".join([*map(str, sizes), f"({zero_point})"])
    if fast:
        arguments += f", {max(n for n in range(1, _MOST_QUADS + 1) if width % n == 0)}"
    return name, f"TVMTINY_DEPTHWISE_{macro}({name}, {arguments})", ()


def _row_kernel(
    geometry: Window,
    channels: int,
    plan: Plan,
    scaling: Scaling,
    decisions: Decisions,
    zero_point: int,
) -> tuple[str, str, str]:
    """Name, instantiation and description of the kernel that computes rows."""
    (height, filter_width), (stride_y, stride_x) = geometry.kernel, geometry.stride
    width, left, right = geometry.output[1], geometry.pad[1], geometry.pad_after[1]
    words = height // 2 + 1
    rounding = "SIGNED" if scaling.signed else "PLAIN"
    by_sign = ", rounding by sign" if scaling.signed else ""
    if plan.kernel == "column":
        rows = geometry.output[0]
        sizes: tuple[int, ...] = (plan.pairs, words, rows, scaling.shift, channels)
        name = f"depthwise_column_{_identifier(*sizes)}_{rounding.lower()}"
        arguments = ", ".join(str(size) for size in sizes)
        return (
            name,
            f"TVMTINY_DEPTHWISE_COLUMN({name}, {arguments}, {rounding})",
            "column" + by_sign,
        )
    if plan.lines:
        return *lines_kernel(geometry, channels, plan, scaling), "general" + by_sign
    if plan.kernel == "any":
        unroll = max(u for u in range(1, _UNROLLED_WORDS + 1) if words % u == 0)
        sizes = (plan.pairs, filter_width, words // unroll, unroll, stride_y)
        sizes += (stride_x, width, plan.columns, scaling.shift)
        name = f"depthwise_any_{_identifier(*sizes)}_{rounding.lower()}"
        arguments = ", ".join(str(size) for size in sizes)
        line = f"TVMTINY_DEPTHWISE_ANY({name}, {arguments}, {rounding})"
        return name, line, "general" + by_sign
    middle = width - 2 - right if stride_y == 1 else width - 1 - right
    step = 2 if stride_y == 1 else 1
    limit = middle if plan.shared else int(decisions["unroll"])
    loops, unroll, rest = _split_columns(middle, limit, step)
    pitch = 0 if plan.shared else channels
    sizes = (plan.pairs, width, left, right, loops, unroll, rest, scaling.shift, pitch)
    sizes = (int(plan.whole), *sizes) if stride_y == 1 else (*sizes, plan.columns)
    # The zero point is only needed to derive constants, which nibbles lack.
    sizes += (zero_point if plan.bits == 4 else 0, _BITS.index(plan.bits))
    name = f"depthwise_3x3_s{stride_y}_{_identifier(*sizes)}"
    arguments = ", ".join(f"({size})" if size < 0 else str(size) for size in sizes)
    description = f"3x3, unroll {unroll if loops else middle}{', shared' * plan.shared}"
    return name, f"TVMTINY_DEPTHWISE_3X3_S{stride_y}({name}, {arguments})", description


def lines_kernel(
    geometry: Window,
    channels: int,
    plan: Plan,
    scaling: Scaling,
    down: int = 1,
    multiplier: int = 1,
) -> tuple[str, str]:
    """Name and instantiation of the general kernel.

    Parameters
    ----------
    down
        Distance of rows of outputs, in rows.
    multiplier
        Number of outputs of an input channel; they are neighbours.
    """
    (height, width), (stride_y, stride_x) = geometry.kernel, geometry.stride
    words, pitch = height // 2 + 1, channels * multiplier
    sizes: tuple[int, ...] = (stride_y, plan.pairs, width, geometry.dilation[1], words, stride_x)
    sizes += (geometry.output[1], down, plan.columns, scaling.shift, pitch, multiplier)
    rounding = "SIGNED" if scaling.signed else "PLAIN"
    name = f"depthwise_lines_{_identifier(*sizes)}_{rounding.lower()}"
    return name, f"TVMTINY_DEPTHWISE_LINES({name}, {', '.join(map(str, sizes))}, {rounding})"


def _identifier(*numbers: int) -> str:
    return "_".join(str(number).replace("-", "m") for number in numbers)
