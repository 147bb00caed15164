"""Activations and bounds of sums in single-precision registers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tvmtiny.ops import Node
from tvmtiny.ops.shared.quantization import float_activation_range
from tvmtiny.schedule.assembly import Lines

#: Number of registers of the unit.
REGISTERS = 32

#: Products in flight if they are added by separate instructions.
FLIGHT = 4

#: Bytes of a float.
FLOAT = 4


@dataclass(frozen=True)
class Finish:
    """The final steps from a layer's sums to its outputs.

    Attributes
    ----------
    low, high
        Bounds of the activation; None for no bound.
    """

    low: float | None
    high: float | None

    @property
    def halved(self) -> bool:
        """Whether sums are halved, so that ReLU takes two instructions: ``y + |y|``."""
        return self.low == 0

    @property
    def checked(self) -> bool:
        """Whether results are tested, because some need `correct` or `make_finite`.

        ReLU by halves turns minus infinity into NaN, and without a bound infinity is replaced by
        the largest finite number.
        """
        return self.halved or self.high is None

    @property
    def instructions(self) -> int:
        """Approximate instructions for each output."""
        low = 0 if self.low is None else 2 if self.halved else 4
        return low + (0 if self.high is None else 4) + self.checked

    def spare(self, count: int) -> int:
        """Return the number of registers after the sums that `lines` needs for `count` sums."""
        return count + 1 if self.halved else 2

    def arguments(self) -> list[str]:
        """Return gain and bounds in C."""
        ends = [
            f"({sign}TVMTINY_FPU_LARGEST)" if bound is None else f"({float(bound)!r}f)"
            for bound, sign in ((self.low, "-"), (self.high, ""))
        ]
        return ["2.0f" if self.halved else "1.0f", *ends]

    def word(self) -> str:
        """Return a part of a kernel's name."""
        ends = [str(bound) for bound in (self.low, self.high) if bound is not None]
        return "_".join(ends).replace("-", "m").replace(".", "p")

    def scaled(self, values: np.ndarray) -> np.ndarray | None:
        """Scale constants for the kernels; return None if halving them is not exact."""
        values = np.asarray(values, np.float32)
        if not self.halved:
            return values
        half = values * np.float32(0.5)
        return half if np.array_equal(half * np.float32(2), values, equal_nan=True) else None

    def result(self, first: int, spare: int) -> int:
        """Return the first register of the results; see `lines`."""
        return spare if self.halved else first

    def lines(self, first: int, count: int, spare: int) -> Lines:
        """Apply the bounds to sums; if `checked`, V is then set if results need a correction.

        Parameters
        ----------
        first, count
            First register and number of the sums; if `halved`, they are not changed.
        spare
            First register that may be overwritten; r12 is overwritten as well.
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
            # Results are not negative, so their sum is infinite or NaN if one of them is.
            lines += [f"vadd.f32 s{end}, s{start}, s{results[min(1, count - 1)]}"]
            lines += [f"vadd.f32 s{end}, s{end}, s{number}" for number in results[2:]]
            lines += [f"vsub.f32 s{end}, s{end}, s{end}"] if self.high is None else []
        else:
            # Zero times a value is zero, or NaN if the value is not finite.
            zero = end + 1
            lines += ["mov r12, #0", f"vmov s{zero}, r12", f"vmul.f32 s{end}, s{start}, s{zero}"]
            lines += [f"vfma.f32 s{end}, s{number}, s{zero}" for number in results[1:]]
        return [*lines, f"vcmp.f32 s{end}, #0.0", "vmrs APSR_nzcv, fpscr"]

    def correct(self, first: int, count: int, spare: int) -> Lines:
        """Recompute the results of `lines` by comparisons; r12 is overwritten."""
        if not self.halved:
            return []
        results, end = range(spare, spare + count), spare + count
        lines = [f"vadd.f32 s{to}, s{first + i}, s{first + i}" for i, to in enumerate(results)]
        lines += ["mov r12, #0", f"vmov s{end}, r12", *_compared(results, end, "mi")]
        return lines + ([] if self.high is None else _bounded(results, end, self.high, "gt"))


def product_lines(products: Sequence[tuple[int, int, int]], fused: bool) -> Lines:
    """Add products of registers to sums.

    Parameters
    ----------
    products
        Numbers of the registers of the sum and of both factors.
    fused
        Whether to use VFMA. Otherwise VMUL and VADD are used, with products in the last `FLIGHT`
        registers.
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
    """Return the bounds of a node's fused activation."""
    return Finish(*float_activation_range(node))


def make_finite(counter: str, pointer: str, count: int, label: int) -> Lines:
    """Replace infinite floats by the largest finite ones; r11 and r12 are overwritten.

    Parameters
    ----------
    counter
        Register that counts the floats.
    pointer
        Register with the address of the floats; afterwards it points past them.
    count
        Number of floats.
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
    """Apply a bound by comparisons that leave NaN unchanged."""
    return [f"vmov.f32 s{spare}, #{bound}", *_compared(results, spare, condition)]


def _compared(results: Iterable[int], limit: int, condition: str) -> Lines:
    lines: Lines = []
    for number in results:
        lines += [f"vcmp.f32 s{number}, s{limit}", "vmrs APSR_nzcv, fpscr", f"it {condition}"]
        lines.append(f"vmov{condition}.f32 s{number}, s{limit}")
    return lines
