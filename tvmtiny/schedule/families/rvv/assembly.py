"""Assembly for RISC-V vectors (RVV 1.0) as text: registers, and the end of every tile.

Lanes are output channels. ``vsetvli`` determines their number, so the same code runs on vectors of
any length of at least 128 bits; kernels are chosen for vectors of 128 bits.

All kernels with sums use these registers: t0 holds the lanes, t4 the channels, a5 points to the
constants of the first lane, a7 to its output, and t1 to t3 are scratch.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvmtiny.schedule.assembly import Lines

#: Number of vector registers.
REGISTERS = 32

#: Lanes of 32 bits in a register of 128 bits.
_REGISTER_LANES = 4

#: Largest immediate offset of loads and of additions.
OFFSET = 2047


def most_lanes(registers: int) -> int:
    """Return the least number of 32-bit lanes in a group of `registers`."""
    return registers * _REGISTER_LANES


@dataclass(frozen=True)
class Group:
    """The layout of lanes in registers.

    Attributes
    ----------
    registers
        Registers of a group of 32-bit lanes: 8, 4 or 2. Lanes of 16 bits take half as many
        registers, and lanes of 8 bits a quarter.
    """

    registers: int

    @property
    def lanes(self) -> int:
        """Least number of lanes."""
        return most_lanes(self.registers)

    def set(self, bits: int, target: str = "zero", count: str = "t0") -> str:
        """Return VSETVLI for lanes of `bits`."""
        registers = self.registers * bits // 32
        size = f"m{registers}" if registers else "mf2"
        return f"vsetvli {target}, {count}, e{bits}, {size}, ta, ma"

    def sum(self, index: int) -> str:
        """Return the register of a group of 32-bit sums; see `most_sums`."""
        return f"v{index * self.registers}"

    @property
    def constant(self) -> str:
        """The last group of 32-bit lanes, for constants after the sums."""
        return f"v{REGISTERS - self.registers}"

    @property
    def scratch(self) -> str:
        """The group before that of the constants."""
        return f"v{REGISTERS - 2 * self.registers}"

    def widened(self, index: int = 0) -> tuple[str, str]:
        """Return registers for bytes, and for their values widened to 16 bits.

        Parameters
        ----------
        index
            0, or 1 for a second pair, which takes the place of sums.
        """
        if self.registers == 2:
            # Halves of registers must not overlap their widened values.
            return (
                f"v{REGISTERS - (2 if not index else 3)}",
                f"v{REGISTERS - (1 if not index else 4)}",
            )
        half = self.registers // 2
        wide = REGISTERS - half * (index + 1)
        return f"v{wide + half // 2}", f"v{wide}"

    def most_sums(self, widened: int, signed: bool) -> int:
        """Return the number of sums that fit beside the widened values and the constants."""
        last = max(2 if signed else 1, 2 if widened > 1 and self.registers == 2 else 1)
        return REGISTERS // self.registers - last


def group_for(lanes: int) -> Group:
    """Return the smallest group with `lanes` lanes, or the largest group."""
    return Group(next((n for n in (2, 4) if lanes <= most_lanes(n)), 8))


def move(register: str, value: int) -> Lines:
    """Set a register to a 32-bit constant."""
    return [f"li {register}, {value}"]


def add(register: str, value: int, scratch: str) -> Lines:
    """Add a constant to a register."""
    if value == 0:
        return []
    if -OFFSET <= value <= OFFSET:
        return [f"addi {register}, {register}, {value}"]
    return [f"li {scratch}, {value}", f"add {register}, {register}, {scratch}"]


def finish(group: Group, sums: int, shift: int, *, signed: bool, gained: bool) -> Lines:
    """Convert sums of products to bytes and store them.

    A byte is ``((initial + gain * sum) * multiplier >> 32) >> shift``, saturated; below zero an
    offset is added between the shifts. The vectors of gains (if `gained`, else 256), initial values
    and multipliers, and if `signed` of steps and offsets, are consecutive at a5. The outputs of a
    pixel are at a7, and pixels are consecutive.
    """
    every = [group.sum(index) for index in range(sums)]
    constant, scratch = group.constant, group.scratch

    def load() -> Lines:
        return ["add t1, t1, t3", f"vle32.v {constant}, (t1)"]

    code = [group.set(32), "slli t3, t4, 2", f"vle32.v {constant}, (a5)", "mv t1, a5"]
    if gained:
        code += [f"vmul.vv {v}, {v}, {constant}" for v in every]
        code += [*load(), *(f"vadd.vv {v}, {v}, {constant}" for v in every)]
    else:
        code += ["li t2, 256", *(f"vmadd.vx {v}, t2, {constant}" for v in every)]
    code += [*load(), *(f"vmulh.vv {v}, {v}, {constant}" for v in every)]
    if signed:
        code += load()
        for v in every:
            code += [f"vsra.vi {scratch}, {v}, 31", f"vand.vv {scratch}, {scratch}, {constant}"]
            code += [f"vadd.vv {v}, {v}, {scratch}"]
        code += [*load(), *(f"vadd.vv {v}, {v}, {constant}" for v in every)]
    code += [group.set(16), *(f"vnclip.wi {v}, {v}, {shift}" for v in every)]
    code += [group.set(8), *(f"vnclip.wi {v}, {v}, 0" for v in every)]
    for index, v in enumerate(every):
        where = "t1" if index else "a7"
        code += [f"add t1, {'t1' if index > 1 else 'a7'}, t4"] if index else []
        code += [f"vse8.v {v}, ({where})"]
    return code
