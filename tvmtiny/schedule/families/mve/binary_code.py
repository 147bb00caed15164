"""Assembly of ADD, SUB, MUL, SQUARED_DIFFERENCE and PRELU, with four int32 elements per vector."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tvmtiny.schedule.families.mve.assembly import MOST_SHIFT, Lines, vqshrn

#: Code that changes a vector of the first operand, given its register and the second operand's.
Element = Callable[[str, str], Lines]


@dataclass(frozen=True)
class BinaryCode:
    """The parameters of a kernel's code.

    Attributes
    ----------
    dtype
        The dtype of the result and of the first operand: int8 or int16.
    second
        The dtype of the second operand.
    once
        Whether all elements use the same element of the second operand.
    limits
        Limits of the results.
    vectors
        Number of vectors per loop iteration.
    """

    dtype: str
    second: str
    once: bool
    limits: tuple[int, int]
    vectors: int

    @property
    def _wide(self) -> int:
        return 1 if self.dtype == "int8" else 2

    @property
    def _second_wide(self) -> int:
        return 1 if self.second == "int8" else 2

    def plane(self, shift: int) -> Lines:
        """``(a * c[0] + b * c[1] + c[2]) >> shift``."""
        beyond = max(shift - MOST_SHIFT, 0)

        def element(a: str, b: str) -> Lines:
            lines = [f"vmlas.s32 {a}, q6, r7"]
            lines += [] if self.once else [f"vmla.s32 {a}, {b}, r6"]
            return lines + ([f"vshr.s32 {a}, {a}, #{beyond}"] if beyond else [])

        start = ["ldm r2, {r5, r6, r7}", "vdup.32 q6, r5"]
        start += [self._first("r12"), "mla r7, r12, r6, r7"] if self.once else []
        return self._code(start, element, shift - beyond)

    def product(self, gain: int, shift: int, signed: bool) -> Lines:
        """``((gain * a + c[0]) * (b + c[1]) + c[2]) * c[3] * 2 >> 32 >> shift``."""

        def element(a: str, b: str) -> Lines:
            lines = [f"vmlas.s32 {a}, q6, r5"]
            if self.once:
                lines += [f"vmul.i32 {a}, {a}, r6", f"vadd.i32 {a}, {a}, r7"]
            else:
                lines += [f"vadd.i32 {b}, {b}, r6", f"vmlas.s32 {a}, {b}, r7"]
            lines += [f"vqdmulh.s32 {a}, {a}, r8"]
            if signed:
                lines += [f"vpt.s32 lt, {a}, zr", f"vaddt.i32 {a}, {a}, r10"]
                lines += [f"vadd.i32 {a}, {a}, r9"]
            return lines

        start = [f"mov r9, #{gain}", "vdup.32 q6, r9"]
        start += [f"ldm r2, {{r5, r6, r7, r8{', r9, r10' * signed}}}"]
        start += [self._first("r12"), "add r6, r6, r12"] if self.once else []
        return self._code(start, element, shift)

    def precise(self, kind: str, left: int, shifts: tuple[int, int, int]) -> Lines:
        """Emit the same steps as the reference.

        Parameters
        ----------
        kind
            ``ADD``, ``SUB``, ``RSB``, which is the second operand less the first, ``SQUARE`` of
            their difference, or ``MUL``.
        left
            The left shift of operands of sums, in bits.
        shifts
            Shifts of the operands of sums and of the result; positive shifts go to the left.
        """
        sums = kind != "MUL"
        combine = {"ADD": "vadd.i32 {0}, {0}, {1}", "SUB": "vsub.i32 {0}, {0}, {1}"}
        combine |= {"RSB": "vsub.i32 {0}, {1}, {0}", "MUL": "vmul.i32 {0}, {0}, {1}"}
        combine["SQUARE"] = "vsub.i32 {0}, {0}, {1}\nvmul.i32 {0}, {0}, {0}"

        def operand(vector: str, zero: str, multiplier: str, shift: int) -> Lines:
            lines = [f"vshl.i32 {vector}, {vector}, #{left}"] if sums else []
            lines.append(f"vadd.i32 {vector}, {vector}, {zero}")
            return lines + (scaled(vector, multiplier, shift) if sums else [])

        def element(a: str, b: str) -> Lines:
            lines = operand(a, "r5", "r6", shifts[0])
            lines += [] if self.once else operand(b, "r7", "r8", shifts[1])
            lines += combine[kind].format(a, "q6" if self.once else b).split("\n")
            return [*lines, *scaled(a, "r9", shifts[2]), f"vadd.i32 {a}, {a}, r10"]

        start = ["ldm r2, {r5, r6, r7, r8, r9, r10}", "mov r11, #1"]
        if self.once:
            start += [self._first("r12"), "vdup.32 q6, r12", *operand("q6", "r7", "r8", shifts[1])]
        return self._code(start, element, 0)

    def leaky(self, shifts: tuple[int, int]) -> Lines:
        """PRELU: the first operand if it is not negative, or its product with the second operand.

        Parameters
        ----------
        shifts
            Shifts of both cases; positive shifts go to the left.
        """

        def element(a: str, b: str) -> Lines:
            lines = [f"vadd.i32 {a}, {a}, r5"]
            lines += [] if self.once else [f"vadd.i32 {b}, {b}, r7"]
            lines += [f"vmul.i32 {b}, {a}, {'r7' if self.once else b}", f"vmov q5, {a}"]
            lines += [*scaled(a, "r6", shifts[0]), *scaled(b, "r8", shifts[1])]
            return [*lines, "vpt.s32 lt, q5, zr", f"vmovt {a}, {b}", f"vadd.i32 {a}, {a}, r10"]

        start = ["ldm r2, {r5, r6, r7, r8, r10}", "mov r11, #1"]
        start += [self._first("r12"), "add r7, r7, r12"] if self.once else []
        return self._code(start, element, 0)

    def _first(self, register: str) -> str:
        return f"ldrs{'b' if self._second_wide == 1 else 'h'} {register}, [r1]"

    def _code(self, start: Lines, element: Element, shift: int) -> Lines:
        """Inputs r0 and r1, constants r2, outputs r3, count on the stack."""
        width = 8 * self._wide
        low, high = self.limits
        letter, step = "bh"[self._wide - 1], 4 * self._wide
        other, other_step = "bh"[self._second_wide - 1], 4 * self._second_wide
        start, clamps = list(start), []
        if low > -(1 << (width - 1)):
            start += [*_constant("r12", low), "vdup.16 q7, r12"]
            clamps.append("vmax.s16 {0}, {0}, q7")
        if high < (1 << (width - 1)) - 1:
            start += [*_constant("r12", high), "vdup.16 q5, r12"]
            clamps.append("vmin.s16 {0}, {0}, q5")

        def vector(number: int) -> Lines:
            a, b = f"q{number}", "q4"
            lines = [f"vldr{letter}.s32 {a}, [r0], #{step}"]
            lines += [] if self.once else [f"vldr{other}.s32 {b}, [r1], #{other_step}"]
            lines += element(a, b)
            lines.append(vqshrn(number, number, shift) if shift else f"vqmovnb.s32 {a}, {a}")
            lines += [clamp.format(a) for clamp in clamps]
            lines += [f"vqmovnb.s16 {a}, {a}"] if self._wide == 1 else []
            return [*lines, f"vstr{letter}.32 {a}, [r3], #{step}"]

        size = 4 * self.vectors
        code = ["push {r4-r11, lr}", "vpush {d8-d15}", "ldr r4, [sp, #100]", *start]
        if self.vectors > 1:
            code += [f"lsr r12, r4, #{size.bit_length() - 1}", "wls lr, r12, 2f", "1:"]
            code += [line for number in range(self.vectors) for line in vector(number)]
            code += ["le lr, 1b", "2:", f"and r4, r4, #{size - 1}"]
        code += ["wlstp.32 lr, r4, 4f", "3:", *vector(0), "letp lr, 3b", "4:"]
        return [*code, "vpop {d8-d15}", "pop {r4-r11, pc}"]


def scaled(vector: str, multiplier: str, shift: int) -> Lines:
    """Scale with two roundings, of which the second rounds halves away from zero; r11 is 1."""
    lines = [f"vshl.i32 {vector}, {vector}, #{shift}"] if shift > 0 else []
    lines.append(f"vqrdmulh.s32 {vector}, {vector}, {multiplier}")
    if shift < 0:
        lines += [f"vpt.s32 lt, {vector}, zr", f"vsubt.i32 {vector}, {vector}, r11"]
        lines.append(f"vrshr.s32 {vector}, {vector}, #{-shift}")
    return lines


def _constant(register: str, value: int) -> Lines:
    """Set the lower half of a register."""
    return [f"movw {register}, #{value & 0xFFFF}"]
