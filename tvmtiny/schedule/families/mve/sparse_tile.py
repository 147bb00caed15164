"""Kernels that skip blocks of zeros: 4 pixels x 2 channels, and 1 pixel x 8 channels.

A block has two channels and four adjacent inputs, which are a word. One gather reads the words of
four blocks with weights, and two multiplications add their products for both channels. Four pixels
share the weights. For 128 products of a group of four blocks, the kernel of four pixels takes 16
instructions and about 30 cycles, 16 of which are gathers. The kernels of `tile` take 14
instructions and 16 cycles for as many products, but of all blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tvmtiny.schedule.families.mve.assembly import (
    MOST_SHIFT,
    VECTOR,
    Lines,
    add,
    move,
    vqshrn,
)
from tvmtiny.schedule.families.mve.packing import constant_vectors
from tvmtiny.schedule.families.mve.tile import Tile
from tvmtiny.schedule.product_blocks import BLOCK
from tvmtiny.schedule.scaling import Scaling

#: Channels and words of a group of blocks.
PAIR, GROUP = 2, 4

#: Channels of a block of the single kernel.
_EIGHT = 8

#: Pixels of the kernel for several ones.
QUAD = 4

#: Registers of the sums of the first and of the second channel: of four pixels, or of four pairs.
_FIRST, _SECOND = ("r0", "r2", "r4", "r6"), ("r8", "r10", "r12", "lr")

#: Pointers to the inputs of four pixels, and vectors for words of inputs.
_PIXELS, _WORDS = ("r1", "r3", "r9", "r11"), ("q2", "q3", "q5", "q2")

#: Most groups that are unrolled for each pair of channels, and the most by which all groups may
#: grow if each pair has as many.
_UNROLLED, _FILLED = 4, 1.1

#: Largest index of a word that a byte holds, and that a halfword holds.
_BYTE, _HALF = 2**8 - 1, 2**16 - 1


@dataclass(frozen=True)
class SparseTile:
    """The parameters of a layer's code, and its blocks.

    Attributes
    ----------
    tile
        Geometry and scaling; the words of a patch are at multiples of four bytes.
    pixels
        Pixels of a step: 4 or 1.
    indices
        Indices of the words of the blocks of each pair of channels; whole groups.
    unrolled
        Groups of every pair of channels, if all have the same small number; otherwise 0, and a
        loop counts the groups of each pair.
    """

    tile: Tile
    pixels: int
    indices: tuple[tuple[int, ...], ...]
    unrolled: int

    @property
    def index_bytes(self) -> int:
        """Bytes of an index."""
        return 1 if max(map(max, self.indices)) <= _BYTE else 2

    @property
    def groups(self) -> int:
        """Groups of all pairs of channels."""
        return sum(map(len, self.indices)) // GROUP

    @property
    def constants(self) -> int:
        """Words of constants of a pair of channels."""
        return 8 if self.tile.signed else 4

    @property
    def words(self) -> int:
        """Words of the stream, with those behind it that the kernel may read."""
        pairs = self.tile.channels // PAIR
        each = PAIR * VECTOR // 4 + self.index_bytes
        blocks = -(-pairs // GROUP)
        counts = 0 if self.unrolled else pairs
        constants = self.constants * (pairs if self.pixels > 1 else 4 * blocks)
        return self.groups * each + counts + constants + self._slack

    @property
    def _slack(self) -> int:
        """Words behind the stream: the kernel loads the begin of a group in advance."""
        return 2 if self.pixels > 1 and not self.tile.signed else 0


def word_indices(tile: Tile) -> np.ndarray:
    """Return the index of the word of each block of a filter, from the first word of the patch."""
    rows = np.arange(tile.rows)[:, None] * tile.row_pitch
    return (rows + np.arange(0, tile.row_bytes, BLOCK)).ravel() // BLOCK


def blocks_of(weights: np.ndarray, tile: Tile) -> np.ndarray:
    """Return the weights of each block: int8, ``(pairs, channels, blocks, inputs)``."""
    runs = weights.reshape(len(weights) // PAIR, PAIR, tile.rows, tile.row_bytes)
    padded = np.pad(runs, ((0, 0), (0, 0), (0, 0), (0, -tile.row_bytes % BLOCK)))
    return padded.reshape(len(runs), PAIR, -1, BLOCK)


def group_counts(blocks: np.ndarray) -> np.ndarray:
    """Return the number of groups of each pair of channels: at least one."""
    kept = (blocks != 0).any(axis=(1, 3)).sum(axis=1)
    return np.maximum(-(-kept // GROUP), 1)


def sparse_tile(weights: np.ndarray, tile: Tile, pixels: int) -> SparseTile:
    """Return the kernel of a layer with weights int8, ``(channels, depth)``."""
    words, blocks = word_indices(tile), blocks_of(weights, tile)
    counts = group_counts(blocks)
    most = int(counts.max())
    unrolled = most if most <= _UNROLLED and most * len(counts) <= _FILLED * counts.sum() else 0
    stored = _stored_blocks(blocks, unrolled)
    indices = tuple(tuple(words[np.maximum(b, 0)].tolist()) for b in stored)
    return SparseTile(tile, pixels, indices, unrolled)


def _stored_blocks(blocks: np.ndarray, unrolled: int) -> list[np.ndarray]:
    """Return the numbers of the blocks that are stored for each pair of channels.

    The rest of the last group is -1.
    """
    found = []
    kept = (blocks != 0).any(axis=(1, 3))
    for row, count in zip(kept, group_counts(blocks), strict=True):
        numbers = np.flatnonzero(row)
        missing = GROUP * max(int(count), unrolled) - len(numbers)
        found.append(np.pad(numbers, (0, missing), constant_values=-1))
    return found


def pack_sparse(weights: np.ndarray, scaling: Scaling, kernel: SparseTile) -> np.ndarray:
    """Arrange weights, indices and constants as ``tvmtiny_mve_sparse.h`` describes: int32, flat."""
    blocks = blocks_of(weights, kernel.tile)
    index = "<u1" if kernel.index_bytes == 1 else "<u2"
    bodies = []
    for own, numbers, words in zip(
        blocks, _stored_blocks(blocks, kernel.unrolled), kernel.indices, strict=True
    ):
        stored = np.where(numbers[:, None] < 0, 0, own[:, numbers])
        by_group = stored.reshape(PAIR, -1, VECTOR).transpose(1, 0, 2)
        at = np.array(words).reshape(-1, GROUP).astype(index).view(np.uint8)
        groups = np.concatenate(
            [at.reshape(len(by_group), -1), by_group.reshape(len(by_group), -1).view(np.uint8)],
            axis=1,
        )
        count = np.array([] if kernel.unrolled else [len(by_group)], "<i4").view(np.uint8)
        bodies.append(np.concatenate([count, groups.ravel()]))
    vectors = constant_vectors(scaling)
    parts: list[np.ndarray] = []
    if kernel.pixels > 1:
        by_sign = [2 * vector for vector in vectors[2:]]
        for pair, body in enumerate(bodies):
            own = range(PAIR * pair, PAIR * (pair + 1))
            last = [vector[c] for c in own for vector in vectors[:2]]
            last += [vector[c] for c in own for vector in by_sign]
            parts += [body, np.array(last, "<i4").view(np.uint8)]
    else:
        for first in range(0, len(bodies), GROUP):
            parts += bodies[first : first + GROUP]
            for channel in range(PAIR):
                channels = list(range(PAIR * first + channel, len(weights), PAIR)[:GROUP])
                rows = [vector[channels] for vector in vectors]
                lanes = [np.pad(row, (0, GROUP - len(row))) for row in rows]
                parts.append(np.concatenate(lanes).astype("<i4").view(np.uint8))
    stream = np.concatenate(parts).view("<i4").astype(np.int32)
    return np.pad(stream, (0, kernel.words - len(stream)))


# ---- Code -------------------------------------------------------------------------------------


def _index(kernel: SparseTile) -> str:
    size = kernel.index_bytes
    return f"vldr{'b' if size == 1 else 'h'}.u32 q0, [r5], #{GROUP * size}"


def _weights(vector: str) -> str:
    return f"vldrb.8 {vector}, [r5], #{VECTOR}"


def _gather(vector: str, pointer: str) -> str:
    return f"vldrw.u32 {vector}, [{pointer}, q0, uxtw #2]"


def _quad_group(kernel: SparseTile, first: bool) -> Lines:
    """Add the products of four blocks for four pixels; begins to load the next four blocks."""
    mac = "vmladav.s8" if first else "vmladava.s8"
    pixels = zip(_PIXELS, _WORDS, _FIRST, _SECOND, strict=True)
    gathers, one, two = [], [], []
    for pointer, words, a, b in pixels:
        gathers.append(_gather(words, pointer))
        one.append(f"{mac} {a}, q1, {words}")
        two.append(f"{mac} {b}, q4, {words}")
    return [
        gathers[0],
        *([] if kernel.unrolled else ["subs r7, r7, #1"]),
        _weights("q4"),
        one[0],
        gathers[1],
        two[0],
        gathers[2],
        one[1],
        gathers[3],
        two[1],
        one[2],
        _index(kernel),
        one[3],
        _weights("q1"),
        two[2],
        two[3],
    ]


def _joined(vector: str, sums: tuple[str, ...]) -> Lines:
    return [
        f"vmov {vector}[2], {vector}[0], {sums[0]}, {sums[2]}",
        f"vmov {vector}[3], {vector}[1], {sums[1]}, {sums[3]}",
    ]


def _rounded(vector: str, step: str, offset: str) -> Lines:
    """Round by sign: the product has the sign of the sum."""
    lines = [f"vpt.s32 lt, {vector}, zr", f"vaddt.i32 {vector}, {vector}, {step}"]
    return [*lines, f"vadd.i32 {vector}, {vector}, {offset}"]


def quad_code(kernel: SparseTile) -> Lines:
    """Return the kernel of 4 pixels: r0 inputs, r1 stream, r2 outputs, r3 steps.

    On the stack: outputs, steps left, the stream and its end.
    """
    tile = kernel.tile
    # The stream was read as far as the first weights of a group that does not exist.
    ahead = GROUP * kernel.index_bytes + VECTOR
    size = 4 * kernel.constants
    finish = [
        *_joined("q2", _FIRST),
        *_joined("q3", _SECOND),
        f"ldrd r0, r2, [r5, #{-ahead}]",
        f"ldrd r4, r6, [r5, #{8 - ahead}]",
        "vmlas.s32 q2, q7, r0",
        "vmlas.s32 q3, q7, r4",
        "vqdmulh.s32 q2, q2, r2",
        "vqdmulh.s32 q3, q3, r6",
    ]
    if tile.signed:
        finish += [f"ldrd r0, r2, [r5, #{16 - ahead}]", *_rounded("q2", "r2", "r0")]
        finish += [f"ldrd r4, r6, [r5, #{24 - ahead}]", *_rounded("q3", "r6", "r4")]
    # VQDMULH doubles the product, which takes another bit of the shift.
    shift = min(tile.shift + 1, MOST_SHIFT)
    if tile.shift + 1 > shift:
        finish += [f"vshr.s32 {vector}, {vector}, #1" for vector in ("q2", "q3")]
    finish += [
        "ldr r7, [sp]",
        "ldr r0, [sp, #12]",
        vqshrn(2, 2, shift),
        *add("r5", size - ahead),
        vqshrn(2, 3, shift, True),
        "vqmovnb.s16 q2, q2",
        "vstrb.16 q2, [r7, q6]",
        f"adds r7, r7, #{PAIR}",
        "str r7, [sp]",
        "cmp r5, r0",
    ]
    code = [
        "push {r4-r11, lr}",
        "vpush {d8-d15}",
        *move("r6", 4 * (kernel.words - kernel._slack)),
        "mov r5, r1",
        "adds r6, r6, r1",
        "push {r2, r3, r5, r6}",
        "mov r1, r0",
        "mov r0, #256",
        "vdup.32 q7, r0",
        "adr.w r0, 9f",
        "vldrh.u16 q6, [r0]",
        "1:",
    ]
    for before, pointer in pairwise(_PIXELS):
        code += [f"mov {pointer}, {before}", *add(pointer, tile.pitch)]
    if kernel.unrolled:
        code += ["2:", _index(kernel), _weights("q1")]
        code += [line for g in range(kernel.unrolled) for line in _quad_group(kernel, g == 0)]
    else:
        code += ["2:", "ldr r7, [r5], #4", _index(kernel), _weights("q1")]
        code += [*_quad_group(kernel, True), "beq 4f", "3:", *_quad_group(kernel, False)]
        code += ["bne 3b", "4:"]
    code += [*finish, "bne.w 2b", "ldrd r0, r5, [sp, #4]", *add("r1", QUAD * tile.pitch)]
    code += [*add("r7", (QUAD - 1) * tile.channels), "subs r0, r0, #1", "strd r7, r0, [sp]"]
    code += ["bne.w 1b", "add sp, sp, #16", "vpop {d8-d15}", "pop {r4-r11, pc}"]
    lanes = [pixel * tile.channels + channel for pixel in range(QUAD) for channel in range(PAIR)]
    return [*code, ".p2align 2", "9:", f".short {', '.join(map(str, lanes))}"]


def _single_sums(kernel: SparseTile, pair: int) -> Lines:
    """Compute the sums of a pair of channels."""

    def group(first: bool) -> Lines:
        mac = "vmladav.s8" if first else "vmladava.s8"
        return [
            _index(kernel),
            _weights("q1"),
            _gather("q2", "r1"),
            f"{mac} {_FIRST[pair]}, q1, q2",
            _weights("q4"),
            f"{mac} {_SECOND[pair]}, q4, q2",
        ]

    if kernel.unrolled:
        return [line for g in range(kernel.unrolled) for line in group(g == 0)]
    # Two groups are an iteration. The carry is set if an even number follows the first group.
    code = ["ldr r7, [r5], #4", *group(True), "lsrs r7, r7, #1", "bcc 5f", "beq 6f", "4:"]
    return [*code, *group(False), "5:", *group(False), "subs r7, r7, #1", "bne 4b", "6:"]


def single_sparse_code(kernel: SparseTile) -> Lines:
    """Return the kernel of 1 pixel: r0 inputs, r1 stream, r2 outputs."""
    tile = kernel.tile

    def finish(channels: int) -> Lines:
        lines: Lines = []
        for number, sums in enumerate((_FIRST, _SECOND)):
            lines += ["vldrw.32 q0, [r5], #16", "vldrw.32 q1, [r5], #16", *_joined("q2", sums)]
            lines += ["vmla.s32 q0, q2, r11", "vmulh.s32 q0, q0, q1"]
            if tile.signed:
                lines += ["vldrw.32 q2, [r5], #16", "vldrw.32 q1, [r5], #16"]
                lines += ["vpt.s32 lt, q0, zr", "vaddt.i32 q0, q0, q1", "vadd.i32 q0, q0, q2"]
            lines.append(vqshrn(3, 0, tile.shift, bool(number)))
        lines.append("vqmovnb.s16 q3, q3")
        if channels < _EIGHT:
            lines += [f"mov r0, #{channels}", "vctp.16 r0", "vpst", "vstrbt.16 q3, [r2]"]
            return lines
        return [*lines, f"vstrb.16 q3, [r3], #{_EIGHT}"]

    blocks, rest = divmod(tile.channels, _EIGHT)
    code = ["push {r4-r11, lr}", "vpush {d8-d15}", "mov r5, r1", "mov r1, r0", "mov r3, r2"]
    code += ["mov r11, #256"]
    if blocks:
        code += [*move("r9", blocks), "2:"] if blocks > 1 else []
        for pair in range(GROUP):
            code += _single_sums(kernel, pair)
        code += finish(_EIGHT)
        code += ["subs r9, r9, #1", "bne.w 2b"] if blocks > 1 else []
    if rest:
        for pair in range(rest // PAIR):
            code += _single_sums(kernel, pair)
        code += [line.replace("[r2]", "[r3]") for line in finish(rest)]
    return [*code, "vpop {d8-d15}", "pop {r4-r11, pc}"]
