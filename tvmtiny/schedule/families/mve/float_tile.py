"""Tile kernels of float32 matrix products: 4 pixels x 4 channels, and 1 pixel x 16 channels.

VFMA multiplies the lanes of a vector (channels) by a core register (an input). The tile takes 9
instructions and the end of the loop for 16 products.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import pairwise

from tvmtiny.schedule.families.mve.assembly import Lines, add, move

#: Bytes of a float.
_FLOAT = 4


@dataclass(frozen=True)
class FloatTile:
    """The parameters of a layer's code; distances are in floats.

    Attributes
    ----------
    channels
        Number of channels, at least 4.
    rows, run, row_pitch
        Runs of inputs of a filter, the inputs of each run, and the distance from run to run.
    pitch
        The distance from pixel to pixel.
    limits
        Limits of the activation; None for no limit.
    """

    channels: int
    rows: int
    run: int
    row_pitch: int
    pitch: int
    limits: tuple[float | None, float | None]


def block_widths(channels: int, most: int) -> list[tuple[int, int]]:
    """First channel and width of each block: `most`, and for the rest a multiple of 4."""
    found, done = [], 0
    while done < channels:
        width = min(most, -(-(channels - done) // 4) * 4, channels // 4 * 4)
        first = min(done, channels - width)
        found.append((first, width))
        done = first + width
    return found


def _clamp(vectors: tuple[str, ...], limits: tuple[float | None, float | None]) -> Lines:
    """Bounds, applied by comparisons so that NaN stays NaN."""
    lines: Lines = []
    for limit, relation in zip(limits, ("lt", "gt"), strict=True):
        if limit is not None:
            (bits,) = struct.unpack("<i", struct.pack("<f", limit))
            lines += move("r5", bits)
            for vector in vectors:
                lines += [f"vpt.f32 {relation}, {vector}, r5", f"vdupt.32 {vector}, r5"]
    return lines


def quad_code(tile: FloatTile) -> Lines:
    """The quad kernel: r0 inputs, r1 stream, r2 outputs, r3 quads; all on the stack, too."""
    sums, pixels = ("q0", "q1", "q2", "q3"), ("r0", "r1", "r2", "r3")
    inputs = ("r5", "r6", "r7", "r8")
    gap = _FLOAT * (tile.row_pitch - tile.run)
    products = ["vldrw.32 q4, [r4], #16"]
    for total, pixel, value in zip(sums, pixels, inputs, strict=True):
        products += [f"ldr {value}, [{pixel}], #4", f"vfma.f32 {total}, q4, {value}"]
    run = [*move("lr", tile.run), "4:", *products, "le lr, 4b"]
    if tile.rows > 1:
        on = [line for pixel in pixels for line in add(pixel, gap)]
        run = [f"mov r10, #{tile.rows}", "3:", *run, *on, "subs r10, r10, #1", "bne 3b"]
    block = ["ldr r0, [sp]"]
    for before, pixel in pairwise(pixels):
        block += [f"mov {pixel}, {before}", *add(pixel, _FLOAT * tile.pitch)]
    block += ["vldrw.32 q0, [r4], #16", "vmov q1, q0", "vmov q2, q0", "vmov q3, q0", *run]
    block += [*_clamp(sums, tile.limits), "mov r11, r9"]
    for total in sums:
        block += [f"vstrw.32 {total}, [r11]", *add("r11", _FLOAT * tile.channels)]
    block += ["adds r9, r9, #16"]
    whole, rest = divmod(tile.channels, 4)
    blocks = [*move("r12", whole), "2:", *block, "subs r12, r12, #1", "bne.w 2b"]
    if rest:
        blocks += [*add("r9", _FLOAT * (rest - 4)), *block]
    return [
        "push {r4-r11, lr}",
        "vpush {d8-d9}",
        "push {r0-r3}",
        "1:",
        "ldr r4, [sp, #4]",
        "ldr r9, [sp, #8]",
        *blocks,
        "ldr r0, [sp]",
        *add("r0", 4 * _FLOAT * tile.pitch),
        "ldrd r2, r3, [sp, #8]",
        *add("r2", 4 * _FLOAT * tile.channels),
        "subs r3, r3, #1",
        "str r0, [sp]",
        "strd r2, r3, [sp, #8]",
        "bne.w 1b",
        "add sp, sp, #16",
        "vpop {d8-d9}",
        "pop {r4-r11, pc}",
    ]


def single_float_code(tile: FloatTile) -> Lines:
    """The single kernel: r0 inputs, r1 stream, r2 outputs."""
    every = ("q0", "q1", "q2", "q3")

    def block(width: int) -> Lines:
        sums = every[: width // 4]
        lines = [f"vldrw.32 {total}, [r1], #16" for total in sums]
        lines += ["mov r4, r0", *move("lr", tile.run), "4:", "ldr r5, [r4], #4"]
        for i, total in enumerate(sums):
            weights = f"q{4 + i % 2}"
            lines += [f"vldrw.32 {weights}, [r1], #16", f"vfma.f32 {total}, {weights}, r5"]
        lines += ["le lr, 4b", *_clamp(sums, tile.limits)]
        return lines + [f"vstrw.32 {total}, [r2], #16" for total in sums]

    code = ["push {r4-r11, lr}", "vpush {d8-d11}"]
    whole = tile.channels // 16
    if whole:
        code += [*move("r12", whole), "2:", *block(16), "subs r12, r12, #1", "bne.w 2b"]
    done = 16 * whole
    for first, width in block_widths(tile.channels, 16)[whole:]:
        code += [*add("r2", _FLOAT * (first - done)), *block(width)]
        done = first + width
    return [*code, "vpop {d8-d11}", "pop {r4-r11, pc}"]
