"""Assembly of sums of int16 activations: 4 channels of 2 neighbouring pixels."""

from __future__ import annotations

from dataclasses import dataclass

from tvmtiny.schedule.families.mve.assembly import Lines, add, move, repeated

#: Registers of the sums of pixel 0 and pixel 1, of the pointers to the channels' weights (widening
#: loads need a low register), and of the pointer to inputs.
_FIRST, _SECOND = ("r0", "r2", "r4", "r6"), ("r8", "r10", "r12", "lr")
_WEIGHTS, _INPUTS = ("r1", "r3", "r5", "r7"), "r9"

#: Inputs of a vector, and the limit on unrolled groups of a window row.
_LANES, _UNROLL = 8, 12

#: The reach of VLDRH's immediate, in bytes.
_REACH = 254


@dataclass(frozen=True)
class HalfPair:
    """The parameters of a layer's code.

    Attributes
    ----------
    rows
        Rows of a window.
    run
        Inputs of a row of a window.
    pitch
        Inputs from a row of the image to the next.
    step
        Inputs from pixel to pixel.
    """

    rows: int
    run: int
    pitch: int
    step: int

    @property
    def usable(self) -> bool:
        """Whether the second pixel is within reach of the first one."""
        return 2 * self.step <= _REACH


def half_pair_code(pair: HalfPair) -> Lines:
    """The kernel: r0 inputs, r1 weights of 4 filters, r2 the sums, 4 of which are initialized."""
    whole, rest = divmod(pair.run, _LANES)
    code = ["push {r2, r4-r11, lr}", "mov r9, r0", *move("r12", pair.rows * pair.run)]
    code += ["add r3, r1, r12", "add r5, r3, r12", "add r7, r5, r12"]
    code += [f"mov r12, #{rest}", "vctp.16 r12"] if rest else []
    code += ["ldm r2, {r0, r2, r4, r6}", "mov r8, r0", "mov r10, r2", "mov r12, r4", "mov lr, r6"]
    gap = add(_INPUTS, 2 * (pair.pitch - pair.run))
    for row in range(pair.rows):
        group = _group(pair, _LANES)
        if whole > _UNROLL:
            code += [*move("r11", whole), "1:", *group, "subs r11, r11, #1", "bne 1b"]
        else:
            code += repeated([group] * whole)
        code += _group(pair, rest) if rest else []
        code += gap if row < pair.rows - 1 else []
    for vector, sums in (("q0", _FIRST), ("q1", _SECOND)):
        code.append(f"vmov {vector}[2], {vector}[0], {sums[0]}, {sums[2]}")
        code.append(f"vmov {vector}[3], {vector}[1], {sums[1]}, {sums[3]}")
    code += ["ldr r12, [sp], #4", "vstrw.32 q0, [r12]", "vstrw.32 q1, [r12, #16]"]
    return [*code, "pop {r4-r11, pc}"]


def _group(pair: HalfPair, count: int) -> Lines:
    """Code for up to 8 inputs of both pixels."""
    some = count < _LANES
    then = "t" if some else ""

    def load(vector: str, channel: int) -> Lines:
        lines = ["vpst"] if some else []
        return [*lines, f"vldrb{then}.s16 {vector}, [{_WEIGHTS[channel]}], #{count}"]

    lines = ["vpstt"] if some else []
    lines += [f"vldrh{then}.16 q1, [{_INPUTS}, #{2 * pair.step}]"]
    lines += [f"vldrh{then}.16 q0, [{_INPUTS}], #{2 * count}", *load("q2", 0)]
    for channel, (first, second) in enumerate(zip(_FIRST, _SECOND, strict=True)):
        vector, following = ("q2", "q3") if channel % 2 == 0 else ("q3", "q2")
        lines.append(f"vmladava.s16 {first}, {vector}, q0")
        lines += load(following, channel + 1) if channel + 1 < len(_WEIGHTS) else []
        lines.append(f"vmladava.s16 {second}, {vector}, q1")
    return lines
