"""Activations and bounds of sums in registers of single precision."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tvmtiny.ops import Node
from tvmtiny.ops.shared.quantization import float_activation_range
from tvmtiny.schedule.assembly import Lines

#: Registers of the unit.
REGISTERS = 32

#: Products in flight where they are added apart from their multiplication.
FLIGHT = 4

#: Bytes of a float.
FLOAT = 4


@dataclass(frozen=True)
class Finish:
    """What becomes of a layer's sums.

    Attributes
    ----------
    low, high
        Bounds of the activation, None where it has none.
    """

    low: float | None
    high: float | None

    @property
    def halved(self) -> bool:
        """Whether sums are halved, so that ReLU takes two instructions: ``y + |y|``."""
        return self.low == 0

    @property
    def checked(self) -> bool:
        """Whether results are looked at, for some of them need `correct` or `make_finite`.

        ReLU by halves makes no number of minus infinity, and without a bound the largest finite
        number stands for infinity.
        """
        return self.halved or self.high is None

    @property
    def instructions(self) -> int:
        """For each output, about."""
        low = 0 if self.low is None else 2 if self.halved else 4
        return low + (0 if self.high is None else 4) + self.checked

    def spare(self, count: int) -> int:
        """How many registers behind the sums `lines` needs for `count` sums."""
        return count + 1 if self.halved else 2

    def arguments(self) -> list[str]:
        """Gain and bounds in C."""
        ends = [
            f"({sign}TVMTINY_FPU_LARGEST)" if bound is None else f"({float(bound)!r}f)"
            for bound, sign in ((self.low, "-"), (self.high, ""))
        ]
        return ["2.0f" if self.halved else "1.0f", *ends]

    def word(self) -> str:
        """Part of a kernel's name."""
        ends = [str(bound) for bound in (self.low, self.high) if bound is not None]
        return "_".join(ends).replace("-", "m").replace(".", "p")

    def scaled(self, values: np.ndarray) -> np.ndarray | None:
        """Constants as the kernels take them; None where halves of them are not exact."""
        values = np.asarray(values, np.float32)
        if not self.halved:
            return values
        half = values * np.float32(0.5)
        return half if np.array_equal(half * np.float32(2), values, equal_nan=True) else None

    def result(self, first: int, spare: int) -> int:
        """The first register of the results; see `lines`."""
        return spare if self.halved else first

    def lines(self, first: int, count: int, spare: int) -> Lines:
        """Apply the bounds to sums; where `checked`, V is set then if results are to be corrected.

        Parameters
        ----------
        first, count
            Registers of the sums. Where `halved`, they stay as they are.
        spare
            The first of the registers that may be overwritten, as r12 is.
        """
        sums, start = range(first, first + count), self.result(first, spare)
        results = range(start, start + count)
        lines: Lines = []
        if self.halved:
            lines += [f"vabs.f32 s{to}, s{y}" for to, y in zip(results, sums, strict=True)]
            lines += [f"vadd.f32 s{to}, s{y}, s{to}" for to, y in zip(results, sums, strict=True)]
        elif self.low is not None:
            lines += _bounded(results, spare, self.low, "mi")
        end = spare + count if self.halved else spare
        if self.high is not None:
            lines += _bounded(results, end, self.high, "gt")
        if not self.checked:
            return lines
        if self.halved:
            # Results are not negative: their sum is infinite or no number where one of them is.
            lines += [f"vadd.f32 s{end}, s{start}, s{results[min(1, count - 1)]}"]
            lines += [f"vadd.f32 s{end}, s{end}, s{number}" for number in results[2:]]
            lines += [f"vsub.f32 s{end}, s{end}, s{end}"] if self.high is None else []
        else:
            # Zero times a value is zero, or no number where the value is not finite.
            zero = end + 1
            lines += ["mov r12, #0", f"vmov s{zero}, r12", f"vmul.f32 s{end}, s{start}, s{zero}"]
            lines += [f"vfma.f32 s{end}, s{number}, s{zero}" for number in results[1:]]
        return [*lines, f"vcmp.f32 s{end}, #0.0", "vmrs APSR_nzcv, fpscr"]

    def correct(self, first: int, count: int, spare: int) -> Lines:
        """Make the results of `lines` once more, by comparisons; r12 is overwritten."""
        if not self.halved:
            return []
        results, end = range(spare, spare + count), spare + count
        lines = [f"vadd.f32 s{to}, s{first + i}, s{first + i}" for i, to in enumerate(results)]
        lines += ["mov r12, #0", f"vmov s{end}, r12", *_compared(results, end, "mi")]
        return lines + ([] if self.high is None else _bounded(results, end, self.high, "gt"))


def product_lines(products: Sequence[tuple[int, int, int]], fused: bool) -> Lines:
    """Add products of registers to others: numbers of the sum and of both factors.

    Parameters
    ----------
    fused
        Whether by VFMA, or by VMUL and VADD, some products in the last `FLIGHT` registers.
    """
    if fused:
        return [f"vfma.f32 s{total}, s{x}, s{w}" for total, x, w in products]
    lines: Lines = []
    first = REGISTERS - FLIGHT
    for start in range(0, len(products), FLIGHT):
        part = products[start : start + FLIGHT]
        lines += [f"vmul.f32 s{first + i}, s{x}, s{w}" for i, (_, x, w) in enumerate(part)]
        lines += [f"vadd.f32 s{t}, s{t}, s{first + i}" for i, (t, _, _) in enumerate(part)]
    return lines


def finish_of(node: Node) -> Finish:
    """The bounds of a node's fused activation."""
    return Finish(*float_activation_range(node))


def make_finite(counter: str, pointer: str, count: int, label: int) -> Lines:
    """Replace infinite floats at a pointer by the largest finite ones; r11 and r12 are overwritten.

    Parameters
    ----------
    pointer
        It ends behind the floats.
    label
        A local label of the assembler.
    """
    return [
        f"movs {counter}, #{count}",
        f"{label}:",
        f"ldr r12, [{pointer}]",
        "bic r11, r12, #0x80000000",
        "cmp r11, #0x7f800000",
        "it eq",
        "subeq r12, r12, #1",
        f"str r12, [{pointer}], #4",
        f"subs {counter}, {counter}, #1",
        f"bne {label}b",
    ]


def _bounded(results: Iterable[int], spare: int, bound: float, condition: str) -> Lines:
    """Comparisons that what is no number passes."""
    return [f"vmov.f32 s{spare}, #{bound}", *_compared(results, spare, condition)]


def _compared(results: Iterable[int], limit: int, condition: str) -> Lines:
    lines: Lines = []
    for number in results:
        lines += [f"vcmp.f32 s{number}, s{limit}", "vmrs APSR_nzcv, fpscr", f"it {condition}"]
        lines.append(f"vmov{condition}.f32 s{number}, s{limit}")
    return lines
