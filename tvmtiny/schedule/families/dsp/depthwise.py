"""DEPTHWISE_CONV_2D around the kernels of ``tvmtiny_dsp_depthwise.h``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from tvm import tirx

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.shared.sliding_window import Window, whole_height, window
from tvmtiny.schedule import nest
from tvmtiny.schedule.depthwise_scaling import scale_channels
from tvmtiny.schedule.families.dsp.depthwise_packing import pack_stream
from tvmtiny.schedule.implementation import Decision, Decisions, Goal, Implementation, Sketch
from tvmtiny.schedule.overlap import Overlap, smallest_distance
from tvmtiny.schedule.requantize import Scaling

HEADERS = ("tvmtiny_dsp.h", "tvmtiny_dsp_depthwise.h", "tvmtiny_dsp_depthwise_pack.h")
#: Of what packs the rows of a single output row.
_THREE_HEADER = "tvmtiny_dsp_depthwise_three.h"

#: Channels that are packed at a time.
_LANES = 4

#: Instructions that pack one word, in groups of four channels.
_PACKING = 3

#: Outputs of a row that are unrolled at most, by goal.
_UNROLL = {Goal.SPEED: 12, Goal.BALANCED: 8, Goal.SIZE: 2}

#: What a tuner may choose.
_UNROLLS = (2, 4, 8, 12, 16, 24, 48)
_CODE = ("own", "shared")

#: Largest immediate offsets: LDRD and STRD in bytes; LDR, ADD and SUB.
_DOUBLE_OFFSET, _OFFSET = 1020, 4095

#: Layers with fewer multiply-accumulates share code with others of the same width, by goal: about
#: a tenth more instructions, but 800 bytes less code.
_SHARED_BELOW = {Goal.SPEED: 0, Goal.BALANCED: 40_000, Goal.SIZE: 1_000_000}

#: Words of a column that the general kernel unrolls at most.
_UNROLLED_WORDS = 8


@dataclass(frozen=True)
class _Plan:
    """How one layer is computed.

    Attributes
    ----------
    kernel
        ``3x3``, ``column`` or ``any``.
    rows
        Output rows of a strip.
    whole
        Whether one strip holds all rows, with the rows above the input in pairs of their own.
    pairs
        Pairs of rows of a plane.
    left, columns
        Columns of a plane left of the input, and all.
    block
        Channels that are packed before they are computed.
    shared
        Whether the code does not depend on the number of channels.
    """

    kernel: str
    rows: int
    whole: bool
    pairs: int
    left: int
    columns: int
    block: int
    shared: bool

    @property
    def plane(self) -> int:
        """Words of a plane."""
        return self.pairs * self.columns

    @property
    def words(self) -> int:
        """Words of the workspace."""
        return self.plane * self.block


def implement_depthwise(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """DEPTHWISE_CONV_2D in int8; None where the kernels cannot be used or proven exact."""
    weights = node.input(1)
    assert weights.data is not None and weights.quantization is not None
    _, height, width, channels = weights.shape
    geometry = window(node, (height, width))
    usable = (
        node.input(0).shape[3] == channels >= _LANES
        and geometry.dilation == (1, 1)
        and not np.any(weights.quantization.zero_points)
    )
    scaled = scale_channels(node) if usable else None
    if scaled is None:
        return None
    scaling, gains = scaled
    chosen = (
        dict(decisions)
        if decisions
        else _decide(geometry, channels, scaling.signed, goal, whole_height(node))
    )
    plan = _plan(geometry, channels, chosen)
    if plan is None or (plan.kernel == "3x3" and scaling.signed):
        return None
    taps = weights.data.reshape(height, width, channels).transpose(2, 0, 1) * gains[:, None, None]
    stream = pack_stream(taps, scaling, node.input(0).zero_point, geometry, plan.whole, plan.kernel)
    return Implementation(
        _function(node, geometry, plan, scaling, stream.shape[1], chosen),
        (node.input(0), stream.ravel()),
        chosen,
        _instructions(node, geometry, plan),
    )


def _instructions(node: Node, geometry: Window, plan: _Plan) -> int:
    outputs = node.output.elements
    per_output = 10 if plan.kernel == "3x3" else 4 * geometry.kernel[0] * geometry.kernel[1]
    strips = node.input(0).shape[0] * -(-geometry.output[0] // plan.rows)
    return outputs * per_output + _PACKING * strips * plan.plane * node.input(0).shape[3]


def smaller_depthwise(node: Node, decisions: Decisions) -> Iterator[Decisions]:
    """Decisions with smaller strips, the largest of them first."""
    geometry = window(node, (node.input(1).shape[1], node.input(1).shape[2]))
    channels = node.input(1).shape[3]
    current = _plan(geometry, channels, decisions)
    assert current is not None
    words = current.words
    for rows in range(int(decisions.get("rows", 1)) - 1, 0, -1):
        plan = _plan(geometry, channels, {**decisions, "rows": rows})
        if plan is not None and plan.words < words:
            words = plan.words
            yield {**decisions, "rows": rows}


def depthwise_sketches(node: Node, oracle: Oracle) -> tuple[Sketch, ...]:
    """Ways to compute a DEPTHWISE_CONV_2D, by kernel."""
    geometry = window(node, (node.input(1).shape[1], node.input(1).shape[2]))
    channels, total = node.input(1).shape[3], geometry.output[0]
    if channels < _LANES or geometry.dilation != (1, 1):
        return ()
    # As many strips as give different numbers of rows; those are even where strips have to be.
    counts = {-(-total // strips) for strips in range(1, total + 1)}
    rows = Decision("rows", tuple(sorted({n + n % 2 if n < total else n for n in counts})))
    blocks = {-(-n // _LANES) * _LANES for n in (4, 8, 16, 32, channels) if n <= channels + 3}
    block = Decision("channel_block", tuple(sorted(blocks)))
    sketches = [Sketch("any", (rows, block))]
    if _fits_column(geometry, channels):
        sketches.append(Sketch("column", (block,)))
    if _fits_3x3(geometry, channels):
        unrolls = sorted({min(limit, geometry.output[1]) for limit in _UNROLLS})
        decisions = (rows, block, Decision("unroll", tuple(unrolls)), Decision("code", _CODE))
        sketches.append(Sketch("3x3", decisions))
    return tuple(sketches)


def _decide(
    geometry: Window, channels: int, signed: bool, goal: Goal, height: int
) -> dict[str, int | str]:
    """The default rule: the fewest strips whose workspace is not larger than two windows of rows.

    Rows at the seam of two strips are packed twice, so fewer strips take fewer instructions.

    Parameters
    ----------
    height
        Rows that the layer makes, where the node makes only some of them at a time.
    """
    kernel = "any"
    if _fits_column(geometry, channels):
        kernel = "column"
    elif _fits_3x3(geometry, channels) and not signed:
        kernel = "3x3"
    limit = 2 * (geometry.kernel[0] + 1) * geometry.input[1] * channels
    total = geometry.output[0]
    best = min(total, 2)
    for count in range(1, total + 1):
        rows = -(-total // count)
        rows += rows % 2 if count > 1 else 0
        decisions: dict[str, int | str] = {
            "sketch": kernel,
            "rows": rows,
            "channel_block": _LANES,
            "code": "own",
        }
        plan = _plan(geometry, channels, decisions)
        if plan is None:
            continue
        if kernel == "column" or (4 * plan.words <= limit and _quads(geometry, channels, plan)):
            best = rows
            break
    block = _LANES
    if height > total:
        # Rows are made a few at a time: larger blocks take fewer calls, and hardly more memory.
        room = total * geometry.output[1] * channels
        block = _block_within(geometry, channels, kernel, best, room)
    decided: dict[str, int | str] = {"sketch": kernel, "channel_block": block}
    if kernel != "column":
        decided["rows"] = best
    if kernel == "3x3":
        macs = height * geometry.output[1] * 9 * channels
        # Hardly two layers of stride 2 in a model have the same width.
        small = geometry.stride[0] == 1 and macs < _SHARED_BELOW[goal]
        decided["unroll"] = min(_UNROLL[goal], geometry.output[1])
        decided["code"] = "shared" if small and geometry.output[1] <= _UNROLL[goal] else "own"
    return decided


def _block_within(geometry: Window, channels: int, kernel: str, rows: int, room: int) -> int:
    """The largest block of channels whose workspace is not larger than `room` bytes."""
    block = _LANES
    while 2 * block <= channels:
        decisions: dict[str, int | str] = {"sketch": kernel, "rows": rows, "code": "own"}
        decisions["channel_block"] = 2 * block
        plan = _plan(geometry, channels, decisions)
        if plan is None or 4 * plan.words > room:
            break
        block *= 2
    return block


def _fits_3x3(geometry: Window, channels: int) -> bool:
    (left, right), columns = (geometry.pad[1], geometry.pad_after[1]), geometry.input[1]
    width, pitch = geometry.output[1], channels
    if geometry.kernel != (3, 3) or geometry.stride not in ((1, 1), (2, 2)) or max(left, right) > 1:
        return False
    if geometry.stride == (1, 1):
        exact = columns == width + 2 - left - right
        return exact and width >= 2 + right and width * pitch <= _OFFSET
    return 2 * width + 1 - left - right <= columns and width >= 1 + right and pitch <= _OFFSET


def _fits_column(geometry: Window, channels: int) -> bool:
    """Whether input and filter are single columns that are packed as a whole."""
    height = geometry.kernel[0]
    words = height // 2 + 1
    return (
        geometry.kernel[1] == geometry.input[1] == geometry.output[1] == 1
        and geometry.stride[0] == 1
        and geometry.pad[0] == 0
        and geometry.input[0] >= 4
        and words >= 2
        and 8 * words + 8 <= _DOUBLE_OFFSET
        and 4 * channels <= _OFFSET
        and geometry.input[0] * channels < 2**16
    )


def _plan(geometry: Window, channels: int, decisions: Decisions) -> _Plan | None:
    """Sizes that follow from the decisions; None where the kernel does not allow them."""
    kernel = str(decisions["sketch"])
    rows = int(decisions.get("rows", geometry.output[0]))
    (height, width), (stride_y, stride_x) = geometry.kernel, geometry.stride
    total, top = geometry.output[0], geometry.pad[0]
    single = rows >= total
    if not single and rows * stride_y % 2:
        return None
    block = min(int(decisions["channel_block"]), -(-channels // _LANES) * _LANES)
    pairs = (min(rows, total) - 1) * stride_y // 2 + height // 2 + 1
    if kernel == "3x3":
        shared = decisions["code"] == "shared"
        # Rows outside the input make up whole pairs if the first strip starts with such a pair.
        whole = single and top == 2 - stride_y
        start = 1 if whole and stride_y == 1 else 0
        if start:
            pairs = min(rows, total) // 2 + 2
        if whole:
            pairs = max(pairs, start + -(-geometry.input[0] // 2))
        plan = _Plan(kernel, rows, whole, pairs, 0, geometry.input[1], block, shared)
        fits = 4 * pairs <= _DOUBLE_OFFSET and 4 * plan.plane <= _OFFSET
        return plan if fits and _fits_3x3(geometry, channels) else None
    if kernel == "column":
        pairs = max(pairs, -(-geometry.input[0] // 2))
        fits = _fits_column(geometry, channels) and single and 4 * pairs <= _DOUBLE_OFFSET
        return _Plan(kernel, rows, True, pairs, 0, 1, block, False) if fits else None
    left = geometry.pad[1]
    reach = (geometry.output[1] - 1) * stride_x + width
    columns = max(reach, left + geometry.input[1])
    return _Plan(kernel, rows, False, pairs, left, columns, block, False)


def _quads(geometry: Window, channels: int, plan: _Plan) -> bool:
    """Whether two pairs of rows can be packed at a time."""
    row = geometry.input[1] * channels
    return 3 * row <= _OFFSET and 4 * plan.plane <= _DOUBLE_OFFSET


def _split_columns(count: int, limit: int, step: int) -> tuple[int, int, int]:
    """Loops, unrolled outputs per loop (a multiple of `step`), and the rest."""
    if count <= limit:
        return 0, 0, count
    candidates = range(step, min(limit, count // 2) + 1, step)
    unroll = max(candidates, key=lambda u: (-(count % u), u), default=0)
    return (count // unroll, unroll, count % unroll) if unroll else (0, 0, count)


def _function(
    node: Node,
    geometry: Window,
    plan: _Plan,
    scaling: Scaling,
    channel_words: int,
    decisions: Decisions,
) -> tirx.PrimFunc:
    batch, height, width, channels = node.input(0).shape
    out_height, out_width = geometry.output
    zero_point = node.input(0).zero_point
    preamble: list[str] = []
    more: tuple[int, ...] = ()
    if plan.shared:
        pack = "tvmtiny_depthwise_pack"
        more = (plan.pairs, height, width, channels, zero_point)
    else:
        pack, line = _pack_kernel(geometry, channels, plan, zero_point)
        preamble.append(line)
    kernel, kernel_line, description = _row_kernel(geometry, channels, plan, scaling, decisions)
    x = nest.buffer("x", node.input(0).elements, "int8")
    stream = nest.buffer("stream", channels * channel_words, "int32")
    out = nest.buffer("out", node.output.elements, "int8")
    planes = nest.buffer("planes", plan.words, "uint32")
    # Pairs of rows above the input are never packed where they are whole.
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
        # The last channels are packed together with some before them that are not computed.
        pieces = [(0, count - count % _LANES, 0)]
        if count % _LANES:
            pieces.append((count - count % _LANES, count % _LANES, _LANES - count % _LANES))
        calls = []
        for first, size, skipped in pieces:
            for offset in range(first, first + size, _LANES):
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
        # The rest comes first: its last channels are packed with some that must not be overwritten.
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
    return nest.function(
        [x, stream, out],
        [planes],
        body,
        operator=node.operator,
        schedule=f"dsp, {description}, strips of {min(plan.rows, out_height)} rows x "
        f"{plan.block} channels",
        headers=(*HEADERS, _THREE_HEADER) if "_THREE(" in "".join(preamble) else HEADERS,
        preamble=[*preamble, kernel_line],
        overlaps=[_overlap(node, geometry, plan)],
    )


def _overlap(node: Node, geometry: Window, plan: _Plan) -> Overlap:
    """What the order of strips and blocks allows: a block is packed before it is written.

    Channels are independent of each other, so that only distances of whole pixels count.
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
            # A block that is not whole groups of lanes reads the channels before it too.
            lanes = slice(min(start, end - _LANES), end)
            last_read[image, rows, :, lanes] = np.maximum(last_read[image, rows, :, lanes], step)
            first_write[image, written, :, start:end] = step
            step += 1
    distance = smallest_distance(last_read.ravel(), first_write.ravel(), channels)
    return Overlap("out", 0, distance, channels)


def _pack_kernel(geometry: Window, channels: int, plan: _Plan, zero_point: int) -> tuple[str, str]:
    """Name and instantiation of the packing function."""
    height, width = geometry.input
    if plan.kernel == "column":
        name = f"depthwise_pack_column_{_identifier(plan.pairs, height, channels, zero_point)}"
        arguments = f"{name}, {plan.pairs}, {height}, {channels}, ({zero_point})"
        return name, f"TVMTINY_DEPTHWISE_PACK_COLUMN({arguments})"
    quads = _quads(geometry, channels, plan)
    if (
        quads
        and (height, geometry.kernel[0], geometry.output[0]) == (3, 3, 1)
        and not geometry.pad[0]
    ):
        three = (width, channels, plan.left, plan.columns)
        name = f"depthwise_pack_three_{_identifier(*three, zero_point)}"
        arguments = ", ".join(str(size) for size in three)
        return name, f"TVMTINY_DEPTHWISE_PACK_THREE({name}, {arguments}, ({zero_point}))"
    macro = "PACK" if quads else "PACK_PAIRS"
    sizes = (plan.pairs, height, width, channels, plan.left, plan.columns)
    name = f"depthwise_pack_{_identifier(*sizes, zero_point)}"
    arguments = ", ".join(str(size) for size in sizes)
    return name, f"TVMTINY_DEPTHWISE_{macro}({name}, {arguments}, ({zero_point}))"


def _row_kernel(
    geometry: Window, channels: int, plan: _Plan, scaling: Scaling, decisions: Decisions
) -> tuple[str, str, str]:
    """Name, instantiation and description of the kernel that computes rows."""
    (height, filter_width), (stride_y, stride_x) = geometry.kernel, geometry.stride
    width, left, right = geometry.output[1], geometry.pad[1], geometry.pad_after[1]
    words = height // 2 + 1
    rounding = "SIGNED" if scaling.signed else "PLAIN"
    by_sign = ", rounding by sign" if scaling.signed else ""
    if plan.kernel == "column":
        sizes: tuple[int, ...] = (plan.pairs, words, scaling.shift, channels)
        name = f"depthwise_column_{_identifier(*sizes)}_{rounding.lower()}"
        arguments = ", ".join(str(size) for size in sizes)
        return (
            name,
            f"TVMTINY_DEPTHWISE_COLUMN({name}, {arguments}, {rounding})",
            "column" + by_sign,
        )
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
    name = f"depthwise_3x3_s{stride_y}_{_identifier(*sizes)}"
    arguments = ", ".join(str(size) for size in sizes)
    description = f"3x3, unroll {unroll if loops else middle}{', shared' * plan.shared}"
    return name, f"TVMTINY_DEPTHWISE_3X3_S{stride_y}({name}, {arguments})", description


def _identifier(*numbers: int) -> str:
    return "_".join(str(number).replace("-", "m") for number in numbers)
