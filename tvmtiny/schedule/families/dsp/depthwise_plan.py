"""Choice of the kernel of a DEPTHWISE_CONV_2D, and the sizes of its planes."""

from __future__ import annotations

from dataclasses import dataclass

from tvmtiny.ops.shared.sliding_window import Window
from tvmtiny.schedule.implementation import Decisions, Goal

#: Number of channels that are packed at a time.
LANES = 4

#: The limit on unrolled outputs of a row, by goal.
_UNROLL = {Goal.SPEED: 24, Goal.BALANCED: 8, Goal.SIZE: 2}

#: Largest immediate offsets: LDRD and STRD in bytes; LDR, ADD and SUB.
_DOUBLE_OFFSET, _OFFSET = 1020, 4095

#: Layers with fewer multiply-accumulates than this share code with others of the same width, by
#: goal. Sharing takes about a tenth more instructions, but saves 800 bytes of code.
_SHARED_BELOW = {Goal.SPEED: 0, Goal.BALANCED: 40_000, Goal.SIZE: 1_000_000}


@dataclass(frozen=True)
class Plan:
    """The computation of one layer.

    Attributes
    ----------
    kernel
        ``3x3``, ``column`` or ``any``.
    rows
        Output rows of a strip.
    whole
        Whether one strip holds all rows, with the rows above the input in separate pairs.
    pairs
        Number of pairs of rows of a plane.
    left, columns
        Columns of a plane to the left of the input, and all columns of a plane.
    block
        Number of channels that are packed before they are computed.
    shared
        Whether the code does not depend on the number of channels.
    lines
        Whether the general kernel of ``tvmtiny_dsp_depthwise_lines.h`` is used.
    bits
        Bits of a weight that the kernel for 3x3 filters reads: 16, 8 or 4.
    fast
        Whether packing takes more code and instructions for fewer cycles.
    """

    kernel: str
    rows: int
    whole: bool
    pairs: int
    left: int
    columns: int
    block: int
    shared: bool
    lines: bool = False
    bits: int = 16
    fast: bool = False

    @property
    def plane(self) -> int:
        """Words of a plane."""
        return self.pairs * self.columns

    def single_row(self, geometry: Window) -> int:
        """The row of a 3x3 filter whose weights are the last ones in the stream."""
        return 0 if self.whole and geometry.stride == (1, 1) else 2

    @property
    def words(self) -> int:
        """Words of the workspace."""
        return self.plane * self.block


def decide(
    geometry: Window, channels: int, signed: bool, goal: Goal, height: int
) -> dict[str, int | str]:
    """The default rule: the fewest strips whose workspace is not larger than two windows of rows.

    Rows at the boundary of two strips are packed twice, so fewer strips take fewer instructions.

    Parameters
    ----------
    height
        Number of rows of the whole layer, if the node computes only some of them at a time.
    """
    kernel = "any"
    if fits_column(geometry, channels):
        kernel = "column"
    elif fits_3x3(geometry, channels) and not signed:
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
            "channel_block": LANES,
            "code": "own",
        }
        plan = make_plan(geometry, channels, decisions)
        if plan is None:
            continue
        if kernel == "column" or (4 * plan.words <= limit and fits_quads(geometry, channels, plan)):
            best = rows
            break
    block = LANES
    if height > total:
        # If rows are computed a few at a time, larger blocks take fewer calls and hardly more
        # memory.
        room = total * geometry.output[1] * channels
        block = _block_within(geometry, channels, kernel, best, room)
    decided: dict[str, int | str] = {"sketch": kernel, "channel_block": block}
    if kernel != "column":
        decided["rows"] = best
    if kernel == "3x3":
        macs = height * geometry.output[1] * 9 * channels
        # Two layers of stride 2 in a model rarely have the same width.
        small = geometry.stride[0] == 1 and macs < _SHARED_BELOW[goal]
        decided["unroll"] = min(_UNROLL[goal], geometry.output[1])
        decided["code"] = "shared" if small and geometry.output[1] <= _UNROLL[goal] else "own"
    return decided


def _block_within(geometry: Window, channels: int, kernel: str, rows: int, room: int) -> int:
    """The largest block of channels whose workspace is not larger than `room` bytes."""
    block = LANES
    while 2 * block <= channels:
        decisions: dict[str, int | str] = {"sketch": kernel, "rows": rows, "code": "own"}
        decisions["channel_block"] = 2 * block
        plan = make_plan(geometry, channels, decisions)
        if plan is None or 4 * plan.words > room:
            break
        block *= 2
    return block


def fits_3x3(geometry: Window, channels: int) -> bool:
    """Whether the kernels for 3x3 filters can be used."""
    (left, right), columns = (geometry.pad[1], geometry.pad_after[1]), geometry.input[1]
    width, pitch = geometry.output[1], channels
    if geometry.kernel != (3, 3) or geometry.stride not in ((1, 1), (2, 2)) or max(left, right) > 1:
        return False
    if geometry.stride == (1, 1):
        exact = columns == width + 2 - left - right
        return exact and width >= 2 + right and width * pitch <= _OFFSET
    return 2 * width + 1 - left - right <= columns and width >= 1 + right and pitch <= _OFFSET


def fits_column(geometry: Window, channels: int) -> bool:
    """Whether input and filter are single columns that can be packed as a whole."""
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


def make_plan(geometry: Window, channels: int, decisions: Decisions) -> Plan | None:
    """The sizes that follow from the decisions; None if the kernel does not support them."""
    kernel = str(decisions["sketch"])
    rows = int(decisions.get("rows", geometry.output[0]))
    (height, width), (stride_y, stride_x) = geometry.kernel, geometry.stride
    total, top = geometry.output[0], geometry.pad[0]
    single = rows >= total
    if not single and rows * stride_y % 2:
        return None
    block = min(int(decisions["channel_block"]), -(-channels // LANES) * LANES)
    pairs = (min(rows, total) - 1) * stride_y // 2 + height // 2 + 1
    if kernel == "3x3":
        shared = decisions["code"] == "shared"
        # Rows outside of the input form whole pairs if the first strip starts with such a pair.
        whole = single and top == 2 - stride_y
        start = 1 if whole and stride_y == 1 else 0
        if start:
            pairs = min(rows, total) // 2 + 2
        if whole:
            pairs = max(pairs, start + -(-geometry.input[0] // 2))
        plan = Plan(kernel, rows, whole, pairs, 0, geometry.input[1], block, shared)
        fits = 4 * pairs <= _DOUBLE_OFFSET and 4 * plan.plane <= _OFFSET
        return plan if fits and fits_3x3(geometry, channels) else None
    if kernel == "column":
        pairs = max(pairs, -(-geometry.input[0] // 2))
        fits = fits_column(geometry, channels) and single and 4 * pairs <= _DOUBLE_OFFSET
        return Plan(kernel, rows, True, pairs, 0, 1, block, False) if fits else None
    left = geometry.pad[1]
    reach = (geometry.output[1] - 1) * stride_x + (width - 1) * geometry.dilation[1] + 1
    columns = max(reach, left + geometry.input[1])
    lines = _fits_lines(geometry, channels, pairs)
    return Plan(kernel, rows, False, pairs, left, columns, block, False, lines)


def _fits_lines(geometry: Window, pitch: int, pairs: int) -> bool:
    """Whether all distances are within reach of immediate offsets."""
    (height, width), (stride_y, stride_x) = geometry.kernel, geometry.stride
    column = 4 * pairs * geometry.dilation[1]
    each = 2 if stride_y == 1 else 1
    return (
        stride_y <= 2
        and column <= _DOUBLE_OFFSET
        and 4 * pairs * abs(stride_x - width * geometry.dilation[1]) <= _OFFSET
        and 4 * (4 + each * width * (height // 2 + 1)) <= _OFFSET
        and pitch <= _OFFSET
    )


def fits_quads(geometry: Window, channels: int, plan: Plan, down: int = 1) -> bool:
    """Whether two pairs of rows, each `down` rows below the other, can be packed at a time."""
    row = down * geometry.input[1] * channels
    return 3 * row <= _OFFSET and 4 * plan.plane <= _DOUBLE_OFFSET
