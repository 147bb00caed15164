"""Assembly of the kernel of ``tvmtiny_rvv_sparse.h`` whose lanes are pairs of channels.

All pairs have as many blocks, in rows of one block of each pair. One load reads the four inputs of
the blocks of a row, each lane at an offset of its own, and one their weights for both channels.
Products of bytes are added up in 16 bits first, as far as weights prove that the sums fit. With
four products, a row of 16 pairs takes 17 instructions for 128 products.
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

#: Lanes are pairs; the sums of a channel take four registers.
_GROUP = Group(4)

#: Registers of sums, of inputs and of weights (one for each input and channel), and of offsets.
_SUMS, _INPUTS, _WEIGHTS, _OFFSETS = ("v0", "v4"), 8, 16, "v24"

#: Registers of sums of 16 bits: both channels of two rows, or both halves of both channels.
_PARTS = ("v12", "v14", "v26", "v28")

#: Registers of constants and scratch, once the rows are done.
_CONSTANT, _SCRATCH = "v8", "v12"

#: Bytes of a block in the stream: an offset, and the weights of both channels.
_STORED = 2 + PAIR * BLOCK

#: Instructions of two rows by the products that 16 bits hold, around the rows of a group of pairs,
#: more of these for rounding by sign, and around a pixel.
_TWO_ROWS, _AROUND, _BY_SIGN, _PIXEL = {4: 34, 2: 42}, 44, 16, 12

#: Largest sum of 16 bits.
_MOST = 2**15 - 1


@dataclass(frozen=True, eq=False)
class PairLanes:
    """The kernel of a layer; see `tvmtiny.schedule.families.rvv.sparse_pixels.PixelLanes`."""

    weights: np.ndarray
    patch: Patch
    shift: int
    signed: bool

    @property
    def step(self) -> int:
        """Pixels of a step."""
        return 1

    @property
    def channels(self) -> int:
        """Output channels."""
        return len(self.weights)

    @property
    def pairs(self) -> int:
        """Pairs of channels."""
        return pairs_of(self.channels)

    @property
    def groups(self) -> int:
        """Groups of pairs, on vectors of 128 bits."""
        return -(-self.pairs // _GROUP.lanes)

    @cached_property
    def _rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Return offsets, ``(rows, pairs)``, and weights, ``(rows, pairs, channels * inputs)``."""
        blocks = blocks_of(self.weights, self.patch)
        kept = kept_of(blocks)
        most = int(kept.sum(axis=1).max())
        rows = most + most % 2
        offsets = np.zeros((rows, self.pairs), np.int64)
        weights = np.zeros((rows, self.pairs, PAIR * BLOCK), np.int8)
        for pair, own in enumerate(kept):
            numbers = np.flatnonzero(own)
            offsets[: len(numbers), pair] = offsets_of(self.patch)[numbers]
            chosen = blocks[pair][:, numbers].transpose(1, 0, 2)
            weights[: len(numbers), pair] = chosen.reshape(len(numbers), -1)
        return offsets, weights

    @cached_property
    def products(self) -> int:
        """Products of a channel that are proven to fit 16 bits: 4, 2 or 0."""
        weights = self._rows[1].astype(np.int32)
        for count in (4, 2):
            parts = weights.reshape(-1, count)
            positive = np.maximum(parts, 0).sum(axis=1)
            negative = positive - parts.sum(axis=1)
            highest = np.maximum(127 * positive + 128 * negative, 128 * positive + 127 * negative)
            if (highest <= _MOST).all():
                return count
        return 0

    @property
    def _constants(self) -> int:
        """Bytes of the constants of all channels."""
        return 4 * PAIR * self.pairs * (4 if self.signed else 2)

    @property
    def stream_bytes(self) -> int:
        """Bytes of the stream."""
        blocks = _STORED * self.pairs * len(self._rows[0])
        return self._constants + blocks + -blocks % 4

    def stream(self, scaling: Scaling) -> np.ndarray:
        """Return constants of `scaling` and rows of blocks: int32, flat."""
        offsets, weights = self._rows
        constants = [padded(v).reshape(-1, PAIR).T for v in vectors(scaling)]
        own = np.stack(constants, axis=1).astype("<i4").ravel()
        at = offsets.astype("<u2").view(np.int8).reshape(len(offsets), -1)
        stored = np.concatenate([at, weights.reshape(len(weights), -1)], axis=1).ravel()
        return np.concatenate([own, np.pad(stored, (0, -stored.size % 4)).view("<i4")])

    def instructions(self, pixels: int) -> int:
        """Estimate the instructions of a run of pixels."""
        around = _AROUND + _BY_SIGN * self.signed
        rows = len(self._rows[0]) // 2 * _TWO_ROWS[self.products]
        return pixels * (self.groups * (rows + around) + _PIXEL)

    @property
    def sizes(self) -> list[int]:
        """Arguments of the macro before the rounding."""
        rows = len(self._rows[0])
        return [self.channels, self.patch.pitch, rows, self.products, self.shift]

    @property
    def macro(self) -> str:
        """Kind of the macro."""
        return "PAIRS"

    @property
    def description(self) -> str:
        """Description for reports."""
        return f"sparse, tile 1x{min(self.channels, PAIR * _GROUP.lanes)}"

    def code(self) -> Lines:
        """Return the kernel with inputs in a0, stream in a1, outputs in a2 and pixels in a3."""
        rows, whole = len(self._rows[0]), self.products == BLOCK
        code = ["csrwi vxrm, 2", *move("t4", self.pairs), *move("t3", _STORED * self.pairs), "1:"]
        code += ["mv a5, a1", "mv a6, a1", *add("a6", self._constants, "t1")]
        code += ["slli t6, t4, 1", "add t6, t6, a6", "mv a7, a2", "mv a4, t4", "2:"]
        code += [_GROUP.set(16, "t0", "a4"), *(f"vwsub.vv {v}, v8, v8" for v in _SUMS)]
        code += [_GROUP.set(8), "mv t1, a6", "mv t2, t6"]
        code += [*move("t5", rows // 2 if whole else rows), "3:"]
        code += self._row(_PARTS[:2]) + self._row(_PARTS[2:]) if whole else self._halves()
        code += [_GROUP.set(16)]
        code += [f"vwadd.wv {_SUMS[i % 2]}, {_SUMS[i % 2]}, {v}" for i, v in enumerate(_PARTS)]
        code += [_GROUP.set(8), "addi t5, t5, -1", "bnez t5, 3b", *self._finish()]
        code += ["slli t1, t0, 1", "add a6, a6, t1", "add a7, a7, t1", "slli t1, t0, 2"]
        code += ["add a5, a5, t1", "slli t1, t0, 3", "add t6, t6, t1", "sub a4, a4, t0"]
        code += ["bnez a4, 2b", *add("a0", self.patch.pitch, "t1"), *add("a2", self.channels, "t1")]
        return [*code, "addi a3, a3, -1", "bnez a3, 1b", "ret"]

    def _load(self) -> Lines:
        """Load inputs and weights of a row."""
        load = [f"vle16.v {_OFFSETS}, (t1)", "add t1, t1, t3"]
        load += [f"vluxseg4ei16.v v{_INPUTS}, (a0), {_OFFSETS}"]
        return [*load, f"vlseg8e8.v v{_WEIGHTS}, (t2)", "add t2, t2, t3"]

    @staticmethod
    def _products(target: str, channel: int, inputs: range) -> Lines:
        """Add the products of some inputs of a channel in 16 bits."""
        lines: Lines = []
        for number in inputs:
            operation = "vwmacc" if lines else "vwmul"
            weights = _WEIGHTS + BLOCK * channel + number
            lines.append(f"{operation}.vv {target}, v{_INPUTS + number}, v{weights}")
        return lines

    def _row(self, targets: tuple[str, ...]) -> Lines:
        lines = self._load()
        for channel, target in enumerate(targets):
            lines += self._products(target, channel, range(BLOCK))
        return lines

    def _halves(self) -> Lines:
        lines, half = self._load(), BLOCK // 2
        for number, target in enumerate(_PARTS):
            first = number // PAIR * half
            lines += self._products(target, number % PAIR, range(first, first + half))
        return lines

    def _finish(self) -> Lines:
        """Convert the sums of a group to bytes and store them."""

        def load() -> Lines:
            return [f"vle32.v {_CONSTANT}, (t1)", "add t1, t1, t5"]

        code = [_GROUP.set(32), "slli t5, t4, 2", "mv t1, a5", "li t2, 256"]
        for v in _SUMS:
            code += [*load(), f"vmadd.vx {v}, t2, {_CONSTANT}"]
            code += [*load(), f"vmulh.vv {v}, {v}, {_CONSTANT}"]
            if self.signed:
                code += [*load(), f"vsra.vi {_SCRATCH}, {v}, 31"]
                code += [f"vand.vv {_SCRATCH}, {_SCRATCH}, {_CONSTANT}"]
                code += [f"vadd.vv {v}, {v}, {_SCRATCH}"]
                code += [*load(), f"vadd.vv {v}, {v}, {_CONSTANT}"]
        first, second = _SUMS
        code += [_GROUP.set(16), *(f"vnclip.wi {v}, {v}, {self.shift}" for v in _SUMS)]
        code += [_GROUP.set(8), f"vnclip.wi {first}, {first}, 0", f"vnclip.wi v1, {second}, 0"]
        if self.channels % PAIR == 0:
            return [*code, f"vsseg2e8.v {first}, (a7)"]
        # The last lane of the last group has no second channel.
        code += [f"li t2, {PAIR}", f"vsse8.v {first}, (a7), t2", "addi t1, a4, -1"]
        code += ["bltu t1, t0, 5f", "mv t1, t0", "5:", _GROUP.set(8, "zero", "t1")]
        return [*code, "addi t1, a7, 1", "vsse8.v v1, (t1), t2"]
