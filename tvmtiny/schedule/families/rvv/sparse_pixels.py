"""Assembly of the kernel of ``tvmtiny_rvv_sparse.h`` whose lanes are pixels.

One load reads the four inputs of a block for 32 pixels: a segment of 4 bytes of each pixel. Pixels
are at equal distances, or at offsets that a table states. The inputs are widened once and
multiplied by the weights of both channels, which are scalars. A block takes 25 instructions for
256 products, and two more with a table.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tvmtiny.schedule.assembly import Lines
from tvmtiny.schedule.families.rvv.assembly import Group, add, move
from tvmtiny.schedule.families.rvv.packing import vectors
from tvmtiny.schedule.families.rvv.sparse_blocks import (
    PAIR,
    blocks_of,
    kept_of,
    offsets_of,
    padded,
    pairs_of,
)
from tvmtiny.schedule.families.rvv.strips import Patch
from tvmtiny.schedule.product_blocks import BLOCK
from tvmtiny.schedule.scaling import Scaling

#: Registers of the sums of both channels, of widened inputs and of offsets. The bytes of inputs
#: take the last eight registers, which also are scratch once the blocks are done.
_SUMS, _WIDE, _OFFSETS, _SCRATCH = ("v0", "v8"), "v16", "v20", "v24"
_BYTES = ("v24", "v26", "v28", "v30")

#: Bytes of a block in the stream: an offset, and the weights of both channels.
_STORED = 2 + PAIR * BLOCK

#: Instructions of a block, more of these with a table, instructions around the blocks of a pair of
#: channels, more of these for rounding by sign, and instructions around a step of pixels.
_BLOCK, _BY_TABLE, _AROUND, _BY_SIGN, _STEP = 25, 2, 26, 12, 16

_GROUP = Group(8)


@dataclass(frozen=True, eq=False)
class PixelLanes:
    """The kernel of a layer.

    Attributes
    ----------
    weights
        int8, ``(channels, depth)``.
    patch
        The inputs of a pixel.
    shift, signed
        Shift, and whether sums are rounded by sign.
    lanes
        Most pixels of a step; 0 for as many as vectors hold.
    places
        Distances of the patches of a run of pixels from its first input, or None if they are
        `patch.pitch` bytes apart.
    """

    weights: np.ndarray
    patch: Patch
    shift: int
    signed: bool
    lanes: int
    places: np.ndarray | None

    @property
    def step(self) -> int:
        """Pixels of a step on vectors of 128 bits."""
        return min(self.lanes or _GROUP.lanes, _GROUP.lanes)

    @property
    def channels(self) -> int:
        """Output channels."""
        return len(self.weights)

    @cached_property
    def _blocks(self) -> np.ndarray:
        return blocks_of(self.weights, self.patch)

    @cached_property
    def _kept(self) -> np.ndarray:
        return kept_of(self._blocks)

    @property
    def _table(self) -> int:
        """Bytes of the table of places."""
        return 0 if self.places is None else 4 * -(-len(self.places) // 2)

    @property
    def _words(self) -> int:
        """Constants of a pair of channels; the last one is the number of bytes of its blocks."""
        return PAIR * (4 if self.signed else 2) + 1

    @property
    def _constants(self) -> int:
        """Bytes of the constants of all channels."""
        return 4 * self._words * pairs_of(self.channels)

    @property
    def stream_bytes(self) -> int:
        """Bytes of the stream."""
        blocks = _STORED * int(self._kept.sum())
        return self._table + self._constants + blocks + -blocks % 4

    def stream(self, scaling: Scaling) -> np.ndarray:
        """Return places, constants of `scaling`, and blocks: int32, flat."""
        places = np.zeros(0) if self.places is None else self.places
        table = np.pad(places, (0, len(places) % 2)).astype("<u2").view("<i4")
        own = padded(np.stack(vectors(scaling), axis=1)).reshape(pairs_of(self.channels), -1)
        sizes = _STORED * self._kept.sum(axis=1, keepdims=True)
        constants = np.concatenate([own, sizes], axis=1).astype("<i4").ravel()
        pairs, numbers = np.nonzero(self._kept)
        offsets = offsets_of(self.patch)[numbers, None].astype("<u2").view(np.int8)
        by_input = self._blocks.transpose(0, 2, 3, 1)[pairs, numbers]
        stored = np.concatenate([offsets, by_input.reshape(len(pairs), -1)], axis=1).ravel()
        blocks = np.pad(stored, (0, -stored.size % 4)).view("<i4")
        return np.concatenate([table, constants, blocks]).astype(np.int32)

    def instructions(self, pixels: int) -> int:
        """Estimate the instructions of a run of pixels."""
        around = _AROUND + _BY_SIGN * self.signed
        block = _BLOCK + (_BY_TABLE if self.places is not None else 0)
        pairs = pairs_of(self.channels) * around + int(self._kept.sum()) * block
        return -(-pixels // self.step) * (pairs + _STEP) + 20

    @property
    def sizes(self) -> list[int]:
        """Arguments of the macro before the rounding."""
        pitch = 0 if self.places is not None else self.patch.pitch
        return [self.channels, pitch, self._table // 4, self.lanes, self.shift]

    @property
    def macro(self) -> str:
        """Kind of the macro."""
        return "PIXELS"

    @property
    def description(self) -> str:
        """Description for reports."""
        return f"sparse, tile {self.step}x{PAIR}"

    def code(self) -> Lines:
        """Return the kernel with inputs in a0, stream in a1, outputs in a2 and pixels in a3."""
        by_table = self.places is not None
        code = ["csrwi vxrm, 2", *move("t5", self.channels)]
        code += ["mv a6, a1", *add("a1", self._table, "t1")] if by_table else []
        code += [] if by_table else move("t4", self.patch.pitch)
        code += ["mv t6, a1", *add("t6", self._constants, "t1"), "1:"]
        if self.lanes:
            code += ["mv t1, a3", f"li t2, {self.lanes}", "bleu a3, t2, 4f", "mv t1, t2", "4:"]
        code += [_GROUP.set(16, "t0", "t1" if self.lanes else "a3")]
        if by_table:
            code += [f"vle16.v {_OFFSETS}, (a6)", "slli t1, t0, 1", "add a6, a6, t1"]
        code += ["mv a4, a1", "mv a5, t6", "mv a7, a2", "2:"]
        # The difference of equal numbers is a wide zero.
        code += [f"lw t3, {4 * self._words - 4}(a4)", "add t3, t3, a5"]
        code += [f"vwsub.vv {v}, {_WIDE}, {_WIDE}" for v in _SUMS]
        code += ["3:", *self._block(by_table), f"addi a5, a5, {_STORED}", "bne a5, t3, 3b"]
        code += [*self._finish(), f"addi a4, a4, {4 * self._words}"]
        both = [f"vssseg2e8.v {_SUMS[0]}, (a7), t5", _GROUP.set(16), f"addi a7, a7, {PAIR}"]
        if self.channels % PAIR:
            code += ["beq a4, t6, 5f", *both, "j 2b", "5:", f"vsse8.v {_SUMS[0]}, (a7), t5"]
        else:
            code += [*both, "bne a4, t6, 2b"]
        code += [] if by_table else ["mul t1, t0, t4", "add a0, a0, t1"]
        return [*code, "mul t1, t0, t5", "add a2, a2, t1", "sub a3, a3, t0", "bnez a3, 1b", "ret"]

    def _block(self, by_table: bool) -> Lines:
        lines = ["lhu t1, 0(a5)", "add t1, t1, a0"]
        if by_table:
            # Unlike other loads, those by an index read elements of the current size.
            lines += [_GROUP.set(8), f"vluxseg4ei16.v {_BYTES[0]}, (t1), {_OFFSETS}"]
            lines.append(_GROUP.set(16))
        else:
            lines.append(f"vlsseg4e8.v {_BYTES[0]}, (t1), t4")
        for number, narrow in enumerate(_BYTES):
            lines.append(f"vsext.vf2 {_WIDE}, {narrow}")
            for channel, v in enumerate(_SUMS):
                lines.append(f"lb t{1 + channel}, {2 + PAIR * number + channel}(a5)")
                lines.append(f"vwmacc.vx {v}, t{1 + channel}, {_WIDE}")
        return lines

    def _finish(self) -> Lines:
        """Convert the sums of both channels to bytes in consecutive registers."""
        each, code = self._words // PAIR, [_GROUP.set(32)]
        for channel, v in enumerate(_SUMS):
            at = 4 * each * channel
            code += [f"lw t1, {at}(a4)", f"lw t2, {at + 4}(a4)", f"vsll.vi {v}, {v}, 8"]
            code += [f"vadd.vx {v}, {v}, t1", f"vmulh.vx {v}, {v}, t2"]
            if self.signed:
                code += [f"lw t1, {at + 8}(a4)", f"lw t2, {at + 12}(a4)"]
                code += [f"vsra.vi {_SCRATCH}, {v}, 31", f"vand.vx {_SCRATCH}, {_SCRATCH}, t1"]
                code += [f"vadd.vv {v}, {v}, {_SCRATCH}", f"vadd.vx {v}, {v}, t2"]
        first, second = _SUMS
        code += [_GROUP.set(16), *(f"vnclip.wi {v}, {v}, {self.shift}" for v in _SUMS)]
        return [
            *code,
            _GROUP.set(8),
            f"vnclip.wi {first}, {first}, 0",
            f"vnclip.wi v2, {second}, 0",
        ]
