"""The kernel of depthwise windows over planes that hold pairs of rows."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from tvmtiny.schedule.families.mve.assembly import VECTOR, Lines, add, move
from tvmtiny.schedule.families.mve.window import (
    LANES,
    SUMS,
    Size,
    WindowKernel,
    lane_offsets,
    requantized,
)

#: Predicates of a lane of 32 bits.
_LANE_BITS = 4


def paired_code(kernel: WindowKernel) -> Lines:
    """The kernel: r0 planes, r1 stream, r2 outputs, r3 channels.

    The addresses of a patch are in q4. Each gather advances them to its own patch, so between two
    gathers they are those of the first gather.
    """
    return _Code(kernel).lines()


@dataclass(frozen=True)
class _Line:
    """Code of adjacent units.

    Attributes
    ----------
    code
        The code of all units.
    start
        The distance from the line's first input to the addresses at the start of the code.
    end
        The distance from the line's first input and output to their positions after the code.
    """

    code: Lines
    start: int
    end: Size


class _Code:
    def __init__(self, kernel: WindowKernel) -> None:
        self._kernel = kernel
        self._inner = kernel.inner

    def lines(self) -> Lines:
        kernel, outer = self._kernel, 1 - self._inner
        unit = kernel.unit[outer]
        whole, rest = divmod(kernel.outputs[outer], unit)
        line = _LineCode(kernel, self._inner)
        first = line.make(unit)
        body, at = list(first.code), first.end
        if whole > 1:
            step = line.steps(outer, unit)
            body += _moved((step[0] + first.start, step[1]), at)
            body = [*move("r0", whole), "2:", *body, "subs r0, r0, #1", "bne.w 2b"]
            step = line.steps(outer, whole * unit)
            at = step[0] + first.start, step[1]
        lanes: Lines = []
        if rest:
            slim = kernel.slim
            if slim is None:
                top, valid = line.rest(outer)
                last = line.make(valid)
            else:
                top = kernel.outputs[outer] - 1
                last = _LineCode(slim, self._inner).make(1)
                lanes = _lanes(1)
                body += _lanes(2)
            step = line.steps(outer, top)
            body += _moved((step[0] + last.start, step[1]), at) + last.code
            at = step[0] + last.end[0], step[1] + last.end[1]
        code = ["push {r4-r11, lr}", "vpush {d8-d15}", "mov r5, r1", "mov r11, r3", "adr.w r12, 9f"]
        code += ["vldrw.32 q4, [r12]", f"vldrw.32 q6, [r12, #{VECTOR}]", "vadd.i32 q4, q4, r0"]
        code += ["1:", *lanes, "ldmia r5!, {r1, r3, r12}", "vdup.32 q5, r12"]
        code += ["ldrd r7, r9, [r5], #8"] if kernel.signed else []
        code += [f"vldrw.32 q{i}, [r5], #{VECTOR}" for i in range(kernel.weight_vectors)]
        code += [*body, *_moved((kernel.plane + first.start, 1), at)]
        code += ["subs r11, r11, #1", "bne.w 1b", "vpop {d8-d15}", "pop {r4-r11, pc}"]
        offsets = kernel.offsets + [0] * (LANES - len(kernel.offsets))
        code += [".p2align 2", "9:"]
        vectors = [[offset + first.start for offset in offsets], lane_offsets(kernel)]
        vectors += [lane_offsets(kernel.slim)] if kernel.slim is not None else []
        return code + [f".word {', '.join(map(str, vector))}" for vector in vectors]


@dataclass(frozen=True)
class _LineCode:
    """Code of adjacent units along the axis `inner`."""

    kernel: WindowKernel
    inner: int

    def steps(self, axis: int, outputs: int) -> Size:
        """Bytes of inputs and outputs."""
        kernel = self.kernel
        distance = outputs * kernel.stride[axis]
        place = kernel.place(distance, 0) if axis == 0 else kernel.place(0, distance)
        return place, outputs * (kernel.down, kernel.right)[axis]

    def rest(self, axis: int) -> Size:
        """The start of the last unit of an axis, and the number of its outputs.

        The last unit overlaps the previous one, or extends too far if it would begin within a word.
        """
        kernel = self.kernel
        outputs, unit = kernel.outputs[axis], kernel.unit[axis]
        if kernel.stride[axis] % 2 == 0 and outputs >= unit:
            return outputs - unit, unit
        return outputs - outputs % unit, outputs % unit

    def make(self, outer: int) -> _Line:
        """Code of adjacent units, with a given number of outputs in the other axis."""
        axis, unit = self.inner, self.kernel.unit[self.inner]
        whole, rest = divmod(self.kernel.outputs[axis], unit)
        if whole == 0:
            at = self._patches((rest, outer))[-1]
            return _Line(self._unit((rest, outer), 0), 0, (at, 0))
        step, out_step = self.steps(axis, unit)
        # Before each unit of a loop, addresses are those of the last patch of the previous unit.
        # The step of an axis with a single unit need not be a whole word.
        last = self._patches((unit, outer))[-1]
        before = last - step if whole > 1 else 0
        code = self._unit((unit, outer), before) + add("r2", out_step)
        if whole > 1:
            code = [*move("lr", whole), "3:", *code, "le lr, 3b"]
        end = last + (whole - 1) * step, whole * out_step
        if rest:
            start, valid = self.rest(axis)
            at, out_at = self.steps(axis, start)
            code = code + add("r2", out_at - end[1]) + self._unit((valid, outer), end[0] - at)
            end = at + self._patches((valid, outer))[-1], out_at
        return _Line(code, before, end)

    def _outputs(self, valid: Size) -> Size:
        """Rows and columns of outputs, given with the inner axis first."""
        return valid if self.inner == 0 else (valid[1], valid[0])

    def _blocks(self, valid: Size) -> list[Size]:
        """First outputs of the blocks of a unit with the given number of outputs."""
        high, wide = self._outputs(valid)
        rows, columns = self.kernel.block
        return list(product(range(0, high, rows), range(0, wide, columns)))

    def _patches(self, valid: Size) -> list[int]:
        """Start of the patches of the blocks of a unit."""
        stride = self.kernel.stride
        return [self.kernel.place(y * stride[0], x * stride[1]) for y, x in self._blocks(valid)]

    def _unit(self, valid: Size, at: int) -> Lines:
        """Code of one unit, with addresses from its first input and a given number of outputs."""
        kernel, (high, wide) = self.kernel, self._outputs(valid)
        lines: Lines = []
        mask = 0
        sums = [SUMS[0]] * LANES
        for (top, left), place in zip(self._blocks(valid), self._patches(valid), strict=True):
            lines.append(f"vldrw.u32 q7, [q4, #{place - at}]!")
            at = place
            for number, (y, x) in enumerate(
                product(range(kernel.block[0]), range(kernel.block[1]))
            ):
                lane = (top + y) * kernel.unit[1] + left + x
                if top + y < high and left + x < wide:
                    sums[lane] = SUMS[lane]
                    mask |= (1 << _LANE_BITS) - 1 << _LANE_BITS * lane
                    lines.append(f"vmladav.s8 {SUMS[lane]}, q7, q{number}")
        lines += requantized(kernel, sums)
        if (high, wide) == kernel.unit:
            return [*lines, "vstrb.32 q7, [r2, q6]"]
        return [*lines, *move("r12", mask), "vmsr p0, r12", "vpst", "vstrbt.32 q7, [r2, q6]"]


def _lanes(number: int) -> Lines:
    """Load the offsets of the lanes from a vector of the table at the end of the code."""
    return ["adr.w r12, 9f", f"vldrw.32 q6, [r12, #{VECTOR * number}]"]


def _moved(to: Size, at: Size) -> Lines:
    """Move addresses and outputs."""
    distance = to[0] - at[0]
    lines: Lines = []
    if distance:
        name = "vadd" if distance > 0 else "vsub"
        lines = [*move("r12", abs(distance)), f"{name}.i32 q4, q4, r12"]
    return lines + add("r2", to[1] - at[1])
