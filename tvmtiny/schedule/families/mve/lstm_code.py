"""Assembly of an LSTM's kernels: sums of gates, and the step that uses them."""

from __future__ import annotations

from dataclasses import dataclass

from tvmtiny.schedule.families.mve.assembly import (
    MOST_SHIFT,
    VECTOR,
    Lines,
    add,
    move,
    repeated,
)
from tvmtiny.schedule.families.mve.q15 import nonlinearity

#: Registers of the sums of 8 cells: those that VMLADAVA can use.
_SUMS = ("r0", "r2", "r4", "r6", "r8", "r10", "r12", "lr")

#: Integer bits of gates before their functions are applied.
GATE_INTEGER = 3

#: Cells of a vector, and bytes of one gate of these cells.
LANES = 8

#: Gates in the workspace.
INPUT, FORGET, OUTPUT, CELL = range(4)


@dataclass(frozen=True)
class CellStep:
    """The parameters of the code after the sums.

    Attributes
    ----------
    cells
        Number of cells of the layer.
    cell_bits
        Fractional bits of the cells.
    clip
        The limit of the cells; None if the layer's limit is 0.
    multiplier, shift
        Multiplier and shift of the outputs; the shift is not positive.
    zero_point
        Zero point of the outputs.
    """

    cells: int
    cell_bits: int
    clip: int
    multiplier: int
    shift: int
    zero_point: int

    @property
    def vectors(self) -> int:
        """Vectors of cells; gates are padded to them."""
        return -(-self.cells // LANES)


def sums_code(groups: tuple[int, ...], unroll: int) -> Lines:
    """The kernel of scaled sums: r0 inputs, r1 stream, r2 int16 sums, r3 number of vectors.

    Parameters
    ----------
    groups
        Groups of 16 inputs, and of 16 states if there are any.
    unroll
        The limit on unrolled groups.
    """
    code = ["push {r4-r11, lr}", "vpush {d8-d15}", "mov r5, r1", "mov r1, r0", "mov r7, r2"]
    code += ["mov r9, r3", "2:"]
    code += _scaled(groups[0], unroll)
    # Sums of inputs are saturated before those of the state are added.
    code += ["vqmovnb.s32 q6, q2", "vqmovnt.s32 q6, q3"]
    for more in groups[1:]:
        code += _scaled(more, unroll)
        code += ["vmovlb.s16 q0, q6", "vmovlt.s16 q1, q6", "vqadd.s32 q2, q2, q0"]
        code += ["vqadd.s32 q3, q3, q1", "vqmovnb.s32 q6, q2", "vqmovnt.s32 q6, q3"]
    code += ["vstrh.16 q6, [r7], #16", *add("r1", -VECTOR * sum(groups))]
    return [*code, "subs r9, r9, #1", "bne 2b", "vpop {d8-d15}", "pop {r4-r11, pc}"]


def _scaled(groups: int, unroll: int) -> Lines:
    """Scaled sums of 8 cells, even cells in q2 and odd ones in q3; r1 advances over the inputs."""
    turn = next(n for n in range(min(groups, unroll), 0, -1) if groups % n == 0)
    body = ["vldrb.8 q4, [r1], #16"]
    for number, register in enumerate(_SUMS):
        body += [f"vldrb.8 q{number % 2}, [r5], #16", f"vmladava.s8 {register}, q{number % 2}, q4"]
    lines = [f"ldm r5!, {{{', '.join(_SUMS)}}}"]
    if turn < groups:
        lines += [f"mov r11, #{groups // turn}", "7:", *repeated([body] * turn)]
        lines += ["subs r11, r11, #1", "bne 7b"]
    else:
        lines += repeated([body] * turn)
    for vector, a in (("q2", _SUMS[:4]), ("q3", _SUMS[4:])):
        lines += [f"vmov {vector}[2], {vector}[0], {a[0]}, {a[2]}"]
        lines += [f"vmov {vector}[3], {vector}[1], {a[1]}, {a[3]}"]
    # Multiplier, left shift, shift by a negative number, and the term that rounds away from 0.
    lines.append("ldm r5!, {r0, r2, r4, r6}")
    for vector in ("q2", "q3"):
        lines += [f"vshl.s32 {vector}, r2", f"vqrdmulh.s32 {vector}, {vector}, r0"]
        lines += [f"vpt.s32 lt, {vector}, zr", f"vsubt.i32 {vector}, {vector}, r6"]
        lines += [f"vrshl.s32 {vector}, r4"]
    return lines


def cells_code(step: CellStep) -> Lines:
    """Code of a step, given the gates: r0 gates, r1 cells, r2 outputs."""
    size = 2 * LANES * step.vectors
    code = ["push {r0-r2, r4-r11, lr}", "vpush {d8-d15}"]
    code += nonlinearity("logistic", GATE_INTEGER, 3 * step.vectors)
    code += nonlinearity("tanh", GATE_INTEGER, step.vectors)
    code += _new_cells(step, size)
    code += ["ldr r0, [sp, #64]", *add("r0", CELL * size)]
    code += nonlinearity("tanh", 15 - step.cell_bits, step.vectors)
    code += _outputs(step, size)
    return [*code, "vpop {d8-d15}", "add sp, sp, #12", "pop {r4-r11, pc}"]


def _product(a: str, b: str) -> Lines:
    """int16 products, even ones in q2, odd ones in q3; minus 1 below 0: halves away from 0."""
    lines = [f"vmullb.s16 q2, {a}, {b}", f"vmullt.s16 q3, {a}, {b}"]
    return lines + _away("q2", "r6") + _away("q3", "r6")


def _away(vector: str, one: str) -> Lines:
    return [f"vpt.s32 lt, {vector}, zr", f"vsubt.i32 {vector}, {vector}, {one}"]


def _narrow(target: int, shift: int) -> Lines:
    """q2 and q3, rounded and saturated to int16."""
    if shift <= MOST_SHIFT:
        return [f"vqrshrnb.s32 q{target}, q2, #{shift}", f"vqrshrnt.s32 q{target}, q3, #{shift}"]
    lines = [f"vrshr.s32 q2, q2, #{shift}", f"vrshr.s32 q3, q3, #{shift}"]
    return [*lines, f"vqmovnb.s32 q{target}, q2", f"vqmovnt.s32 q{target}, q3"]


def _gate_pointers(size: int) -> Lines:
    """r0 at the input gates, r3 at the output gates, r4 at the gates of cells."""
    lines = ["ldrd r0, r1, [sp, #64]", "mov r3, r0", *add("r3", OUTPUT * size)]
    return [*lines, "mov r4, r0", *add("r4", CELL * size)]


def _new_cells(step: CellStep, size: int) -> Lines:
    """Forget and add; the new cells are also stored in place of the cell gates."""
    code = [*_gate_pointers(size), "mov r5, r0", *add("r5", FORGET * size), "mov r6, #1"]
    code += move("r7", step.cells)
    if step.clip > 0:
        code += [*move("r8", step.clip), "vdup.16 q7, r8", "vneg.s16 q6, q7"]
    code += [f"mov r12, #{step.vectors}", "dls lr, r12", "1:", "vldrh.16 q0, [r5], #16"]
    code += ["vctp.16 r7", "vpst", "vldrht.16 q1, [r1]", *_product("q0", "q1"), *_narrow(4, 15)]
    code += ["vldrh.16 q0, [r0], #16", "vldrh.16 q1, [r4]", *_product("q0", "q1")]
    code += [*_narrow(5, 30 - step.cell_bits), "vqadd.s16 q4, q4, q5"]
    if step.clip > 0:
        code += ["vmin.s16 q4, q4, q7", "vmax.s16 q4, q4, q6"]
    code += ["vstrh.16 q4, [r4], #16", "vctp.16 r7", "vpst", "vstrht.16 q4, [r1], #16"]
    return [*code, f"sub r7, r7, #{LANES}", "le lr, 1b"]


def _outputs(step: CellStep, size: int) -> Lines:
    code = [*_gate_pointers(size), "ldr r2, [sp, #72]", "mov r6, #1", *move("r7", step.cells)]
    code += [*move("r8", step.multiplier), *move("r9", step.zero_point)]
    code += [f"mov r12, #{step.vectors}", "dls lr, r12", "1:"]
    code += ["vldrh.16 q0, [r3], #16", "vldrh.16 q1, [r4], #16"]
    code += ["vmullb.s16 q2, q0, q1", "vmullt.s16 q3, q0, q1"]
    code += ["vqrdmulh.s32 q2, q2, r8", "vqrdmulh.s32 q3, q3, r8"]
    if step.shift:
        code += [*_away("q2", "r6"), *_away("q3", "r6"), *_narrow(4, -step.shift)]
    else:
        code += ["vqmovnb.s32 q4, q2", "vqmovnt.s32 q4, q3"]
    code += ["vqadd.s16 q4, q4, r9", "vqmovnb.s16 q4, q4", "vctp.16 r7", "vpst"]
    return [*code, "vstrbt.16 q4, [r2], #8", f"sub r7, r7, #{LANES}", "le lr, 1b"]
