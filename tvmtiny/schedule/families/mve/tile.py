"""Tile kernels of matrix products: 2 pixels x 4 channels, and 1 pixel x 8 channels.

VMLADAVA adds 16 products into a core register with an even number. There are 8 such registers,
which limits the tile. LR is one of them, so the kernels have no low-overhead loop. For 128
products, the pair kernel takes 14 instructions and the single kernel 17, minus those for inputs
that it keeps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tvmtiny.schedule.families.mve.assembly import (
    VECTOR,
    VECTOR_OFFSET,
    Lines,
    add,
    move,
    repeated,
    vqshrn,
)

#: Registers of the sums of pixel 0 and pixel 1, or of 8 channels.
_FIRST, _SECOND = ("r0", "r2", "r4", "r6"), ("r8", "r10", "r12", "lr")

#: Registers of vectors of inputs that the single kernel keeps.
_KEPT = ("q3", "q5", "q6", "q7")


@dataclass(frozen=True)
class Tile:
    """The parameters of a layer's code.

    Attributes
    ----------
    channels
        Channels of an output pixel. Fewer than 4 form a tile with this number of channels, whose
        results are stored under a predicate.
    rows, row_bytes, row_pitch
        Runs of inputs of a filter, bytes of each run, and bytes from run to run.
    pitch
        Bytes from pixel to pixel.
    shift
        1 to 16.
    signed
        Whether positive and negative sums are rounded differently.
    unroll
        The limit on unrolled groups of 16 inputs.
    """

    channels: int
    rows: int
    row_bytes: int
    row_pitch: int
    pitch: int
    shift: int
    signed: bool
    unroll: int

    @property
    def row_groups(self) -> int:
        """Groups of a run."""
        return -(-self.row_bytes // VECTOR)

    @property
    def groups(self) -> int:
        """Groups of a filter."""
        return self.rows * self.row_groups

    @property
    def blocks(self) -> list[tuple[int, int]]:
        """First channel and width of each block of 8 or 4 channels; the last may overlap."""
        return channel_blocks(self.channels)

    @property
    def whole(self) -> int:
        """Blocks of 8 that do not overlap."""
        return self.channels // 8

    def block_bytes(self, width: int) -> int:
        """Bytes of the stream for a block."""
        return width * (self.groups * VECTOR + 8 + 8 * self.signed)

    @property
    def turn(self) -> int:
        """Groups per iteration of the loop over groups: all groups, a run, or part of a run."""
        if self.groups <= self.unroll:
            return self.groups
        if self.rows > 1:
            return self.row_groups
        limit = min(self.row_groups, max(self.unroll, 1))
        return next(n for n in range(limit, 0, -1) if self.row_groups % n == 0)

    @property
    def fixed(self) -> bool:
        """Whether all inputs are within reach of pointers that do not move."""
        return self.rows == 1 and self.turn == self.groups and self._reach <= VECTOR_OFFSET

    @property
    def _reach(self) -> int:
        return (self.groups - 1) * VECTOR


def channel_blocks(channels: int) -> list[tuple[int, int]]:
    """First channel and width of each block of 8 or 4 channels; the last may overlap."""
    if channels < 4:
        return [(0, channels)]
    found, done = [], 0
    while done < channels:
        width = 8 if channels - done > 4 and channels >= 8 else 4
        first = min(done, channels - width)
        found.append((first, width))
        done = first + width
    return found


def block_tiles(first: int, width: int) -> list[list[int]]:
    """Channels of the tiles of a block: VQSHRNB and VQSHRNT interleave two tiles again."""
    if width < 4:
        return [[first + i for i in range(width)]]
    tiles = width // 4
    return [[first + tiles * i + t for i in range(4)] for t in range(tiles)]


def _scale(
    accumulators: tuple[str, ...], multiplier: str, tile: Tile, free: tuple[str, str]
) -> Lines:
    """(acc * multiplier >> 32), rounded by sign if necessary, with constants from the stream."""
    lines = [f"vmulh.s32 {a}, {a}, {multiplier}" for a in accumulators]
    if tile.signed:
        offset, step = free
        lines += [f"vldrw.32 {offset}, [r5], #16", f"vldrw.32 {step}, [r5], #16"]
        for a in accumulators:
            # The product has the sign of the accumulator, unless a shift of 32 leaves 0.
            lines += [f"vpt.s32 lt, {a}, zr", f"vaddt.i32 {a}, {a}, {step}"]
            lines += [f"vadd.i32 {a}, {a}, {offset}"]
    return lines


def _pair_group(tile: Tile, group: int, first: bool, last: bool) -> Lines:
    """One group of inputs: every load is between two multiplications."""
    mac = "vmladav.s8" if first else "vmladava.s8"
    load = "vldrb.8 {}, [r5], #16".format

    def inputs(vector: str, register: str, at: int) -> str:
        where = f"[{register}, #{VECTOR * at}]" if tile.fixed else f"[{register}], #{VECTOR}"
        return f"vldrb.8 {vector}, {where}"

    # The initial accumulators follow the last weights and are loaded into q0.
    following = [] if last else [inputs("q4", "r1", group + 1)]
    if tile.channels < 4:
        lines = [inputs("q5", "r9", group), f"{mac} {_FIRST[0]}, q0, q4"]
        lines.append(f"{mac} {_SECOND[0]}, q0, q5")
        for c in range(1, tile.channels):
            lines += [load(f"q{c}"), f"{mac} {_FIRST[c]}, q{c}, q4"]
            lines.append(f"{mac} {_SECOND[c]}, q{c}, q5")
        return [*lines, load("q0"), *following]
    return [
        f"{mac} {_FIRST[0]}, q0, q4",
        inputs("q5", "r9", group),
        f"{mac} {_SECOND[0]}, q0, q5",
        load("q1"),
        f"{mac} {_FIRST[1]}, q1, q4",
        f"{mac} {_SECOND[1]}, q1, q5",
        load("q2"),
        f"{mac} {_FIRST[2]}, q2, q4",
        load("q3"),
        f"{mac} {_SECOND[2]}, q2, q5",
        f"{mac} {_FIRST[3]}, q3, q4",
        load("q0"),
        f"{mac} {_SECOND[3]}, q3, q5",
        *following,
    ]


def _pair_sums(tile: Tile) -> Lines:
    """Sums of 4 channels of 2 pixels; the input pointers are restored."""
    start = ["vldrb.8 q0, [r5], #16"]
    first_input = "vldrb.8 q4, [r1, #0]" if tile.fixed else f"vldrb.8 q4, [r1], #{VECTOR}"
    gap = tile.row_pitch - tile.row_groups * VECTOR
    over = (tile.rows - 1) * tile.row_pitch + tile.row_groups * VECTOR
    back = [] if tile.fixed else add("r1", -over) + add("r9", -over)
    if tile.turn == tile.groups:
        parts = []
        for group in range(tile.groups):
            last = group == tile.groups - 1
            wrap = not last and (group + 1) % tile.row_groups == 0
            lines = _pair_group(tile, group, group == 0, last or wrap)
            if wrap:
                lines += [*add("r1", gap), first_input, *add("r9", gap)]
            parts.append(lines)
        return [*start, first_input, *repeated(parts), *back]
    body = [first_input]
    body += repeated([_pair_group(tile, 1, False, g == tile.turn - 1) for g in range(tile.turn)])
    lines = [f"mov {register}, #0" for register in (*_FIRST, *_SECOND)] + start
    turns = tile.row_groups // tile.turn
    if tile.rows > 1:
        turns = tile.rows
        body += [*add("r1", gap), *add("r9", gap)]
        back = add("r1", -tile.rows * tile.row_pitch) + add("r9", -tile.rows * tile.row_pitch)
    lines += [f"mov r11, #{turns}", "7:", *body, "subs r11, r11, #1", "bne 7b"]
    return [*lines, *back, "mov r11, #256"]


def _pair_tile(tile: Tile, top: bool) -> Lines:
    """4 channels of 2 pixels: inputs r1 r9, stream r5; results in lanes of q6 q7."""
    return [
        *_pair_sums(tile),
        f"vmov q2[2], q2[0], {_FIRST[0]}, {_FIRST[2]}",
        f"vmov q2[3], q2[1], {_FIRST[1]}, {_FIRST[3]}",
        "vldrw.32 q4, [r5, #-16]",
        "vmla.s32 q0, q2, r11",
        f"vmov q3[2], q3[0], {_SECOND[0]}, {_SECOND[2]}",
        f"vmov q3[3], q3[1], {_SECOND[1]}, {_SECOND[3]}",
        "vldrw.32 q1, [r5], #16",
        "vmla.s32 q4, q3, r11",
        *_scale(("q0", "q4"), "q1", tile, ("q2", "q3")),
        vqshrn(6, 0, tile.shift, top),
        vqshrn(7, 4, tile.shift, top),
    ]


def _store(width: int, registers: tuple[tuple[str, str], ...]) -> Lines:
    lanes, size = (16, 8) if width == 8 else (32, width)
    narrow = [f"vqmovnb.s16 {q}, {q}" for q, _ in registers]
    if width < 4:
        then = "t" * len(registers)
        some = [*move("r0", (1 << 4 * width) - 1), "vmsr p0, r0", f"vps{then}"]
        return [*narrow, *some, *(f"vstrbt.32 {q}, [{r}], #{size}" for q, r in registers)]
    return narrow + [f"vstrb.{lanes} {q}, [{r}], #{size}" for q, r in registers]


def _rest(tile: Tile, pointers: tuple[str, ...], block: Callable[[int], Lines]) -> Lines:
    """The blocks after those of 8; they may overlap the previous blocks."""
    lines: Lines = []
    done = 8 * tile.whole
    for first, width in tile.blocks[tile.whole :]:
        for pointer in pointers:
            lines += add(pointer, first - done)
        lines += block(width)
        done = first + width
    return lines


def pair_code(tile: Tile) -> Lines:
    """The pair kernel: r0 inputs, r1 stream, r2 outputs, r3 pairs.

    On the stack: pairs left, stream, end of the blocks of 8.
    """

    def block(width: int) -> Lines:
        tiles = [line for t in range(-(-width // 4)) for line in _pair_tile(tile, bool(t))]
        return tiles + _store(width, (("q6", "r7"), ("q7", "r3")))

    code = [
        "push {r4-r11, lr}",
        "vpush {d8-d15}",
        "mov r5, r1",
        "mov r1, r0",
        "mov r7, r2",
        "mov r11, #256",
        *move("r6", tile.whole * tile.block_bytes(8)),
        "add r6, r5, r6",
        "push {r3, r5, r6}",
        "1:",
        "mov r9, r1",
        *add("r9", tile.pitch),
        "mov r3, r7",
        *add("r3", tile.channels),
    ]
    if tile.whole:
        code += ["2:", *block(8)]
        if tile.whole > 1:
            code += ["ldr r0, [sp, #8]", "cmp r5, r0", "bne 2b"]
    return [
        *code,
        *_rest(tile, ("r7", "r3"), block),
        "ldrd r0, r5, [sp]",
        *add("r1", 2 * tile.pitch),
        "mov r7, r3",
        "subs r0, r0, #1",
        "str r0, [sp]",
        "bne 1b",
        "add sp, sp, #12",
        "vpop {d8-d15}",
        "pop {r4-r11, pc}",
    ]


def single_code(tile: Tile) -> Lines:
    """The single kernel: r0 inputs, r1 stream, r2 outputs."""
    sums = (*_FIRST, *_SECOND)
    kept = min(tile.groups, len(_KEPT))
    left = tile.groups - kept
    limit = max(1, tile.unroll - kept)
    turn = next((n for n in range(min(left, limit), 0, -1) if left % n == 0), 1)
    within = turn == left and kept * VECTOR + (left - 1) * VECTOR <= VECTOR_OFFSET

    def group(width: int, inputs: str, first: bool, load: Lines) -> Lines:
        mac = "vmladav.s8" if first else "vmladava.s8"
        lines = list(load)
        for c, register in enumerate(sums[:width]):
            lines += [f"vldrb.8 q{c % 2}, [r5], #16", f"{mac} {register}, q{c % 2}, {inputs}"]
        return lines

    def block(width: int) -> Lines:
        lines = [line for g in range(kept) for line in group(width, _KEPT[g], g == 0, [])]
        if within:
            for g in range(kept, tile.groups):
                lines += group(width, "q4", False, [f"vldrb.8 q4, [r1, #{VECTOR * g}]"])
        elif left:
            body = repeated([group(width, "q4", False, ["vldrb.8 q4, [r3], #16"])] * turn)
            lines += ["mov r3, r1", *add("r3", kept * VECTOR)]
            if turn < left:
                body = [f"mov r11, #{left // turn}", "7:", *body]
                body += ["subs r11, r11, #1", "bne 7b", "mov r11, #256"]
            lines += body
        for t in range(-(-width // 4)):
            a, vector = sums[4 * t :], "q4" if t else "q2"
            lines += [
                "vldrw.32 q0, [r5], #16",
                "vldrw.32 q1, [r5], #16",
                f"vmov {vector}[2], {vector}[0], {a[0]}, {a[2]}",
                f"vmov {vector}[3], {vector}[1], {a[1]}, {a[3]}",
                f"vmla.s32 q0, {vector}, r11",
                *_scale(("q0",), "q1", tile, ("q1", "q4")),
                vqshrn(2, 0, tile.shift, bool(t)),
            ]
        return lines + _store(width, (("q2", "r7"),))

    code = ["push {r4-r11, lr}", "vpush {d8-d15}", "mov r5, r1", "mov r1, r0", "mov r7, r2"]
    code += ["mov r11, #256"]
    code += [f"vldrb.8 {_KEPT[g]}, [r1, #{VECTOR * g}]" for g in range(kept)]
    if tile.whole:
        code += [*move("r9", tile.whole), "2:", *block(8)]
        if tile.whole > 1:
            code += ["subs r9, r9, #1", "bne 2b"]
    return [*code, *_rest(tile, ("r7",), block), "vpop {d8-d15}", "pop {r4-r11, pc}"]
