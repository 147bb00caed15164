"""Kernels of float32 depthwise convolutions: two channels of some outputs in registers.

The inputs of a row of taps are contiguous in a plane, so one VLDM loads them, and another one loads
the weights: 4 outputs of a 3x3 filter take 81 instructions for 72 products.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from tvmtiny.schedule.assembly import Lines, add, move
from tvmtiny.schedule.families.fpu.finish import (
    FLIGHT,
    FLOAT,
    REGISTERS,
    Finish,
    make_finite,
    product_lines,
)

#: Number of channels in a plane.
PAIR = 2

#: Largest offset of VLDR and VSTR.
_OFFSET = 1020


@dataclass(frozen=True)
class WindowCode:
    """The parameters of a layer's code.

    Attributes
    ----------
    columns
        Outputs of a row.
    channels
        Floats from one output to the next.
    plane_width
        Pixels in a row of the plane.
    together
        Outputs in registers. If they do not divide the columns, the last outputs overlap those
        before.
    fused
        Whether products are added by VFMA, or by a separate VADD.
    """

    columns: int
    channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    plane_width: int
    together: int
    finish: Finish
    fused: bool = True

    @cached_property
    def taps(self) -> int:
        """Most taps of a row that are loaded together; 0 if there are too few registers."""
        sums = PAIR * self.together
        if sums + self.finish.spare(sums) > REGISTERS:
            return 0
        fitting = (n for n in range(1, self.kernel[1] + 1) if self._registers(n) <= REGISTERS)
        return max(fitting, default=0)

    @property
    def instructions(self) -> int:
        """Approximate instructions of a row."""
        parts = self.kernel[0] * -(-self.kernel[1] // self.taps)
        products = PAIR * self.together * self.kernel[0] * self.kernel[1]
        products *= 1 if self.fused else 2
        outputs = PAIR * self.together * self.finish.instructions + 2 * self.together
        return -(-self.columns // self.together) * (products + 3 * parts + outputs + 8) + 12

    def code(self) -> Lines:
        """Return the kernel with plane in r0, stream in r1, outputs in r2 and rows in r3."""
        full, more = divmod(self.columns, self.together)
        ahead = FLOAT * PAIR * self.stride[1], FLOAT * self.channels
        group = self._group()
        on = [
            line
            for r, p in zip(("r4", "r2"), ahead, strict=True)
            for line in add(r, self.together * p)
        ]
        row = ["mov r4, r0", *move("r6", full), "2:", *group, *on, "subs r6, r6, #1"]
        row.append("bgt.w 2b" if more else "bne.w 2b")
        if more:
            back = [
                line
                for r, p in zip(("r4", "r2"), ahead, strict=True)
                for line in add(r, (more - self.together) * p)
            ]
            row += ["bmi.w 3f", *back, "b.w 2b", "3:"]
        row += add("r0", FLOAT * PAIR * self.stride[0] * self.plane_width)
        code = ["push {r4-r11, lr}", "vpush {s16-s31}", "1:", *row, "subs r3, r3, #1", "bne.w 1b"]
        return [*code, "vpop {s16-s31}", "pop {r4-r11, pc}", *self._slow()]

    def _columns_of(self, taps: int) -> int:
        """Return the columns of inputs that all outputs in registers need for `taps` taps."""
        return (self.together - 1) * self.stride[1] + (taps - 1) * self.dilation[1] + 1

    def _registers(self, taps: int) -> int:
        flight = 0 if self.fused else FLIGHT
        return PAIR * (self.together + taps + self._columns_of(taps)) + flight

    def _group(self) -> Lines:
        """Return the code for the outputs that are in registers together."""
        sums = PAIR * self.together
        lines = ["mov r8, r1", f"vldmia r8!, {{s0-s{sums - 1}}}"]
        for row in range(self.kernel[0]):
            for first in range(0, self.kernel[1], self.taps):
                taps = min(self.taps, self.kernel[1] - first)
                offset = row * self.dilation[0] * self.plane_width + first * self.dilation[1]
                columns = PAIR * self._columns_of(taps)
                weights = sums + columns
                lines += (
                    ["mov r7, r4", *add("r7", FLOAT * PAIR * offset)]
                    if offset > 511
                    else ([f"addw r7, r4, #{FLOAT * PAIR * offset}"])
                )
                lines.append(f"vldmia r7, {{s{sums}-s{sums + columns - 1}}}")
                lines.append(f"vldmia r8!, {{s{weights}-s{weights + PAIR * taps - 1}}}")
                products = [
                    (
                        PAIR * output + c,
                        sums + PAIR * (output * self.stride[1] + tap * self.dilation[1]) + c,
                        weights + PAIR * tap + c,
                    )
                    for tap in range(taps)
                    for output in range(self.together)
                    for c in range(PAIR)
                ]
                lines += product_lines(products, self.fused)
        lines += self.finish.lines(0, sums, sums)
        lines += self._stores()
        return lines + (["bvs.w 20f", "21:"] if self.finish.checked else [])

    def _stores(self) -> Lines:
        """Store the results; r5 is overwritten."""
        first, step = self.finish.result(0, PAIR * self.together) // 2, FLOAT * self.channels
        if step * (self.together - 1) <= _OFFSET:
            return [f"vstr.64 d{first + n}, [r2, #{step * n}]" for n in range(self.together)]
        lines = ["mov r5, r2"]
        for output in range(self.together):
            lines.append(f"vstr.64 d{first + output}, [r5]")
            lines += add("r5", step) if output < self.together - 1 else []
        return lines

    def _slow(self) -> Lines:
        """Return the code for results that need a correction."""
        if not self.finish.checked:
            return []
        sums = PAIR * self.together
        lines = ["20:", *self.finish.correct(0, sums, sums), *self._stores()]
        if self.finish.high is None:
            lines.append("mov r5, r2")
            for output in range(self.together):
                lines += make_finite("r7", "r5", PAIR, 22 + output)
                if output < self.together - 1:
                    lines += add("r5", FLOAT * (self.channels - PAIR))
        return [*lines, "b.w 21b"]
