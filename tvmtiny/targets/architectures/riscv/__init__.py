"""32-bit RISC-V in machine mode."""

from __future__ import annotations

from collections.abc import Iterator

from tvmtiny.host.tools import CLibrary, Tool
from tvmtiny.targets.architectures.record import (
    Architecture,
    Counter,
    Instruction,
    Sections,
    UnicornModel,
)
from tvmtiny.targets.architectures.riscv.faults import explain_fault

_COMPILER = Tool("riscv64-unknown-elf-gcc", "gcc-riscv64-unknown-elf", "to compile for RISC-V")

# GCC for RISC-V finds no C library without this option.
_SPECS = "--specs=picolibc.specs"


def _decode(code: bytes, address: int) -> Iterator[Instruction]:
    # Import on demand: Capstone is slow to import, and most commands decode nothing.
    from tvmtiny.targets.architectures.riscv.code import decode

    return decode(code, address)


ARCHITECTURE = Architecture(
    name="riscv",
    description="RISC-V, 32 bits",
    compiler=_COMPILER,
    library=CLibrary(
        "picolibc",
        _COMPILER,
        "picolibc-riscv64-unknown-elf",
        specs=("picolibc.specs",),
        archives=("c", "m"),
    ),
    # Allow code at any address; cores may trap on unaligned accesses.
    compile_flags=(_SPECS, "-mcmodel=medany", "-mstrict-align"),
    # GCC's first scheduling pass, before register allocation, causes spills of the tiles'
    # accumulators.
    model_flags=("-fno-jump-tables", "-fno-schedule-insns"),
    device_flags=("-fno-jump-tables",),
    # Boards may have code in RAM.
    link_flags=(_SPECS, "-Wl,--no-warn-rwx-segments"),
    emulator=Tool("qemu-system-riscv32", "qemu-system-misc", "to run firmware without a board"),
    emulator_options=("-bios", "none"),
    # minstret; an empty function has two instructions: set the result, return.
    counter=Counter(None, spin_instructions=0, empty_call_instructions=2),
    sections=Sections(constants=(".srodata",), data=(".sdata",), zeros=(".sbss",)),
    explain_fault=explain_fault,
    unicorn=UnicornModel(
        "unicorn.riscv_const",
        "UC_ARCH_RISCV",
        ("UC_MODE_RISCV32",),
        program_counter="UC_RISCV_REG_PC",
        stack_pointer="UC_RISCV_REG_SP",
        return_address="UC_RISCV_REG_RA",
        arguments=("UC_RISCV_REG_A0", "UC_RISCV_REG_A1", "UC_RISCV_REG_A2"),
        code_bit=0,
        trap_exception=3,
        trap_bytes=4,
        # EBREAK
        trap_code=bytes.fromhex("73001000"),
    ),
    decode=_decode,
    # Memory map of QEMU's virt machine, and PLIC's limit of 1,023 interrupts (virt has 95).
    origins=(0x80000000, 0x90000000),
    interrupts=1024,
    optional=True,
)
