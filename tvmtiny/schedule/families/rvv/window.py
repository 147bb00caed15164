"""Assembly of the windows of ``tvmtiny_rvv_sums.h``."""

from __future__ import annotations

from dataclasses import dataclass

from tvmtiny.schedule.assembly import Lines
from tvmtiny.schedule.families.rvv.assembly import Group, add, finish, group_for, move


@dataclass(frozen=True)
class WindowKernel:
    """The parameters of a kernel for adjacent pixels of a row, with independent channels.

    Attributes
    ----------
    lanes
        Channels of a pixel, or of all pixels of a unit, which are contiguous.
    kernel
        Rows and columns of the window.
    row, column
        Bytes between rows and between columns of the window.
    step
        Bytes from the input of one unit to that of the next.
    units
        Units per iteration.
    gained
        Whether each channel has a gain of its own.
    """

    lanes: int
    kernel: tuple[int, int]
    row: int
    column: int
    step: int
    units: int
    shift: int
    signed: bool
    gained: bool

    @property
    def group(self) -> Group:
        """Registers of a unit."""
        return group_for(self.lanes)

    @property
    def most_units(self) -> int:
        """Most units that the registers allow."""
        return self.group.most_sums(2, self.signed)

    @property
    def vectors(self) -> int:
        """Number of vectors of constants."""
        return 2 + 2 * self.signed + self.gained

    @property
    def blocks(self) -> int:
        """Number of groups of channels, on vectors of 128 bits."""
        return -(-self.lanes // self.group.lanes)

    @property
    def cost(self) -> int:
        """Instructions per iteration, with vectors of 128 bits."""
        rows, columns = self.kernel
        taps = rows * (columns * (3 + 4 * self.units) + 5)
        return self.blocks * (taps + 25 + 8 * self.units) + 10

    @property
    def identifier(self) -> str:
        """Part of a name."""
        sizes = [self.lanes, *self.kernel, self.row, self.column, self.step, self.units, self.shift]
        name = f"{'_'.join(map(str, sizes))}_{'signed' if self.signed else 'plain'}"
        return f"{name}_gained" if self.gained else name


def window_code(kernel: WindowKernel) -> Lines:
    """Return the kernel with inputs in a0, stream in a1, outputs in a2 and iterations in a3."""
    group, units = kernel.group, kernel.units
    rows, columns = kernel.kernel
    (x_bytes, x), (w_bytes, w) = group.widened(0), group.widened(1)

    def tap() -> Lines:
        lines = [f"vle8.v {w_bytes}, (t1)", f"vsext.vf2 {w}, {w_bytes}", "add t1, t1, t4"]
        for unit in range(units):
            if unit == 1:
                lines += ["mv t3, t2"]
            lines += add("t3", kernel.step, "s0") if unit else []
            lines += [f"vle8.v {x_bytes}, ({'t3' if unit else 't2'})", f"vsext.vf2 {x}, {x_bytes}"]
            lines += [f"vwmacc.vv {group.sum(unit)}, {x}, {w}"]
        return lines

    def line() -> Lines:
        lines: Lines = []
        for column in range(columns):
            lines += [*tap(), *(add("t2", kernel.column, "s0") if column < columns - 1 else [])]
        return lines

    code = ["addi sp, sp, -16", "sw s0, 0(sp)", "csrwi vxrm, 2", *move("t4", kernel.lanes)]
    code += ["1:", "mv a5, a1", "mv a6, a1", *add("a6", 4 * kernel.vectors * kernel.lanes, "t1")]
    code += ["mv a7, a2", "mv a4, t4", "mv t6, a0", "2:", group.set(32, "t0", "a4")]
    code += [f"vmv.v.i {group.sum(unit)}, 0" for unit in range(units)]
    code += [group.set(16), "mv t1, a6", "mv t2, t6"]
    code += [*move("t5", rows), "3:"] if rows > 1 else []
    code += line()
    if rows > 1:
        code += add("t2", kernel.row - (columns - 1) * kernel.column, "s0")
        code += ["addi t5, t5, -1", "bnez t5, 3b"]
    code += finish(group, units, kernel.shift, signed=kernel.signed, gained=kernel.gained)
    code += ["slli t3, t0, 2", "add a5, a5, t3", "add a6, a6, t0", "add a7, a7, t0"]
    code += ["add t6, t6, t0", "sub a4, a4, t0", "bnez a4, 2b"]
    code += [*add("a0", units * kernel.step, "t1"), *add("a2", units * kernel.lanes, "t1")]
    return [*code, "addi a3, a3, -1", "bnez a3, 1b", "lw s0, 0(sp)", "addi sp, sp, 16", "ret"]
