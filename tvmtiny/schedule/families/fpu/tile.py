"""Tile kernels of float32 matrix products: some pixels times some channels in registers.

One VLDM loads a chunk of inputs of a pixel, and another one the weights of a few inputs, so that
2 pixels by 8 channels take 72 instructions for 64 products.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from tvmtiny.schedule.assembly import Lines, add, move
from tvmtiny.schedule.families.fpu.finish import (
    FLIGHT,
    FLOAT,
    REGISTERS,
    Finish,
    make_finite,
    product_lines,
)

#: Registers that point to the pixels' inputs.
_POINTERS = ("r4", "r5", "r6", "r7")

#: Largest chunk of inputs.
_MOST_INPUTS = 8

#: Instructions of a block apart from products, bounds and those of each pixel.
_BLOCK = 6


@dataclass(frozen=True)
class Runs:
    """The inputs of a filter as `outer` times `inner` runs; distances are in floats."""

    outer: int
    outer_pitch: int
    inner: int
    inner_pitch: int
    run: int

    @property
    def depth(self) -> int:
        """Number of inputs of a filter."""
        return self.outer * self.inner * self.run


@dataclass(frozen=True)
class Tile:
    """The parameters of a layer's code; distances are in floats.

    Attributes
    ----------
    pixels, channels
        Pixels and channels of a call.
    together, width
        Pixels and channels of a tile. If they do not divide those of the call, the last tile of
        pixels overlaps the one before, and the last tile of channels is smaller.
    pitch, out_pitch
        Distances between pixels in the input and in the output.
    fused
        Whether products are added by VFMA, or by a separate VADD.
    """

    pixels: int
    channels: int
    together: int
    width: int
    pitch: int
    out_pitch: int
    runs: Runs
    finish: Finish
    fused: bool = True

    @property
    def groups(self) -> int:
        """Number of tiles of pixels."""
        return -(-self.pixels // self.together)

    @property
    def widths(self) -> list[int]:
        """Channels of each block."""
        whole, rest = divmod(self.channels, self.width)
        return [self.width] * whole + ([rest] if rest else [])

    @cached_property
    def chunk(self) -> int:
        """Inputs of a pixel that are loaded together; 0 if there are too few registers."""
        sums = self.together * self.width
        left = REGISTERS - sums - self._flight
        most = min((left - self.width) // self.together, self.runs.run, _MOST_INPUTS)
        if (
            sums + self.finish.spare(self.width) > REGISTERS
            or self.together > len(_POINTERS)
            or most < 1
        ):
            return 0
        return min(range(1, most + 1), key=lambda n: self._run_cost(self.width, n, 0))

    @property
    def instructions(self) -> int:
        """Approximate instructions of a call."""
        return int(self._cost(0))

    @property
    def cost(self) -> float:
        """Instructions plus the additional cycles of loads: a cycle per word on most cores."""
        return self._cost(0.5)

    def _cost(self, word: float) -> float:
        blocks = sum(self._block_cost(width, word) for width in self.widths)
        return self.groups * (blocks + 8) + 20

    def code(self) -> Lines:
        """Return the kernel with inputs in r0, stream in r1 and outputs in r2."""
        whole, rest = divmod(self.channels, self.width)
        slow: Lines = []
        block = ["mov r8, r1", "mov r9, r2"]
        if whole:
            lines, late = self._block(self.width, 20)
            if whole > 1:
                lines = [*move("r10", whole), "2:", *lines, "subs r10, r10, #1", "bne.w 2b"]
            block, slow = block + lines, slow + late
        if rest:
            lines, late = self._block(rest, 40)
            block, slow = block + lines, slow + late
        pitches = FLOAT * self.pitch, FLOAT * self.out_pitch
        on = [
            line
            for r, p in zip(("r0", "r2"), pitches, strict=True)
            for line in add(r, self.together * p)
        ]
        full, more = divmod(self.pixels, self.together)
        code = ["push {r4-r11, lr}", "vpush {s16-s31}", *move("r3", full), "1:", *block, *on]
        code += ["subs r3, r3, #1", "bgt.w 1b" if more else "bne.w 1b"]
        if more:
            back = [
                line
                for r, p in zip(("r0", "r2"), pitches, strict=True)
                for line in add(r, (more - self.together) * p)
            ]
            code += ["bmi.w 9f", *back, "b.w 1b"]
        return [*code, "9:", "vpop {s16-s31}", "pop {r4-r11, pc}", *slow]

    @property
    def _flight(self) -> int:
        return 0 if self.fused else FLIGHT

    def _steps(self, width: int, count: int) -> int:
        """Return the number of inputs whose weights are loaded together."""
        left = REGISTERS - self._flight - self.together * (width + count)
        return max(1, min(count, left // width))

    def _run_cost(self, width: int, chunk: int, word: float) -> float:
        runs = self.runs
        whole, rest = divmod(runs.run, chunk)

        def part(count: int) -> float:
            if not count:
                return 0
            products = self.together * width * count * (1 if self.fused else 2)
            loads = self.together - -(-count // self._steps(width, count))
            return products + loads + word * count * (self.together + width)

        return whole * (part(chunk) + 2 * (whole > 1)) + part(rest)

    def _block_cost(self, width: int, word: float) -> float:
        runs = self.runs
        inner = self._run_cost(width, self.chunk, word)
        if runs.inner > 1:
            inner = runs.inner * (inner + self.together + 2)
        if runs.outer > 1:
            inner = runs.outer * (inner + self.together + 3)
        outputs = self.together * width
        return inner + outputs * self.finish.instructions + 8 * self.together + _BLOCK

    def _block(self, width: int, labels: int) -> tuple[Lines, Lines]:
        """Return the code of a tile for a block of channels, and the code for infinite results."""
        pointers, sums = _POINTERS[: self.together], self.together * width
        runs, distance = self.runs, FLOAT * self.pitch
        lines = [f"mov {pointers[0]}, r0"]
        for before, pointer in pairwise(pointers):
            lines += _moved(pointer, before, distance)
        for pixel in range(self.together):
            last = "!" if pixel == self.together - 1 else ""
            lines.append(f"vldmia r8{last}, {_registers(pixel * width, width)}")
        whole, rest = divmod(runs.run, self.chunk)
        run: Lines = self._products(width, self.chunk) if whole else []
        if whole > 1:
            run = [*move("lr", whole), "5:", *run, "subs lr, lr, #1", "bne.w 5b"]
        run += self._products(width, rest) if rest else []
        for counter, label, count, gap in (
            ("r12", 4, runs.inner, runs.inner_pitch - runs.run),
            ("r11", 3, runs.outer, runs.outer_pitch - self._covered),
        ):
            if count > 1:
                on = [line for pointer in pointers for line in add(pointer, FLOAT * gap)]
                run = [f"mov {counter}, #{count}", f"{label}:", *run, *on]
                run += [f"subs {counter}, {counter}, #1", f"bne.w {label}b"]
        lines += run
        slow: Lines = []
        for pixel in range(self.together):
            to, first, label = "r4" if pixel else "r9", pixel * width, labels + 3 * pixel
            store = f"vstmia {to}, {_registers(self.finish.result(first, sums), width)}"
            lines += [*self.finish.lines(first, width, sums), store]
            if self.finish.checked:
                lines += [f"bvs.w {label}f", f"{label + 1}:"]
                slow += [f"{label}:", *self.finish.correct(first, width, sums), store]
                if self.finish.high is None:
                    slow += [f"mov r6, {to}", *make_finite("r5", "r6", width, label + 2)]
                slow.append(f"b.w {label + 1}b")
            if pixel < self.together - 1:
                lines += _moved("r4", to, FLOAT * self.out_pitch)
        return [*lines, *add("r9", FLOAT * width)], slow

    @property
    def _covered(self) -> int:
        """Distance that pointers have moved after all inner runs."""
        runs = self.runs
        return runs.inner * runs.inner_pitch if runs.inner > 1 else runs.run

    def _products(self, width: int, count: int) -> Lines:
        """Multiply `count` inputs of each pixel by their weights."""
        inputs = self.together * width
        weights = inputs + self.together * count
        steps = self._steps(width, count)
        lines = [
            f"vldmia {_POINTERS[pixel]}!, {_registers(inputs + pixel * count, count)}"
            for pixel in range(self.together)
        ]
        for first in range(0, count, steps):
            some = min(steps, count - first)
            lines.append(f"vldmia r8!, {_registers(weights, some * width)}")
            products = [
                (
                    pixel * width + c,
                    inputs + pixel * count + first + step,
                    weights + step * width + c,
                )
                for step in range(some)
                for pixel in range(self.together)
                for c in range(width)
            ]
            lines += product_lines(products, self.fused)
        return lines


def _registers(first: int, count: int) -> str:
    return f"{{s{first}-s{first + count - 1}}}" if count > 1 else f"{{s{first}}}"


def _moved(target: str, source: str, count: int) -> Lines:
    """Set a register to another one plus a constant."""
    if 0 <= count <= 4095:
        return [f"addw {target}, {source}, #{count}"]
    return [*([] if target == source else [f"mov {target}, {source}"]), *add(target, count)]
