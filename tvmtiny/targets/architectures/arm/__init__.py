"""Arm Cortex-M: Armv6-M, Armv7-M and Armv8-M."""

from __future__ import annotations

from collections.abc import Iterator

from tvmtiny.host.tools import CLibrary, Tool
from tvmtiny.targets.architectures.arm.faults import explain_fault
from tvmtiny.targets.architectures.record import (
    Architecture,
    Counter,
    Instruction,
    Sections,
    UnicornModel,
)

_COMPILER = Tool("arm-none-eabi-gcc", "gcc-arm-none-eabi", "to compile for Arm Cortex-M")

# On Armv6-M, the tables of `switch` are read by a library function.
_NO_TABLES = "-fno-jump-tables"


def _decode(code: bytes, address: int) -> Iterator[Instruction]:
    # Import on demand: Capstone is slow to import, and most commands decode nothing.
    from tvmtiny.targets.architectures.arm.thumb import decode

    return decode(code, address)


ARCHITECTURE = Architecture(
    name="arm",
    description="Arm Cortex-M",
    compiler=_COMPILER,
    library=CLibrary(
        "newlib",
        _COMPILER,
        "libnewlib-arm-none-eabi",
        specs=("nano.specs", "nosys.specs"),
        archives=("c", "m", "c_nano", "nosys"),
    ),
    model_flags=(_NO_TABLES,),
    device_flags=(_NO_TABLES, "-masm-syntax-unified"),
    # Address constants relative to the program counter, and use no tables of addresses.
    image_flags=("-fpie", "-fvisibility=hidden"),
    link_flags=("-specs=nano.specs", "-specs=nosys.specs"),
    emulator=Tool("qemu-system-arm", "qemu-system-arm", "to run firmware without a board"),
    # SysTick; an empty function has two instructions: set the result, return.
    counter=Counter("systick_hz", spin_instructions=4, empty_call_instructions=2),
    sections=Sections(code=(".ARM.extab", ".ARM.exidx")),
    explain_fault=explain_fault,
    unicorn=UnicornModel(
        "unicorn.arm_const",
        "UC_ARCH_ARM",
        ("UC_MODE_THUMB", "UC_MODE_MCLASS"),
        program_counter="UC_ARM_REG_PC",
        stack_pointer="UC_ARM_REG_SP",
        return_address="UC_ARM_REG_LR",
        arguments=("UC_ARM_REG_R0", "UC_ARM_REG_R1", "UC_ARM_REG_R2"),
        code_bit=1,
        trap_exception=7,
        trap_bytes=2,
        system=(0xE0000000, 1 << 20),
        # SYST_CVR
        falling_counter=0xE000E018,
    ),
    decode=_decode,
    # Memory map of all Cortex-M, and limit of the NVIC.
    origins=(0, 0x20000000),
    interrupts=480,
)
