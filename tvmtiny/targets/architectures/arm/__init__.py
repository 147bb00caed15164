"""Arm Cortex-M: Armv6-M, Armv7-M and Armv8-M."""

from __future__ import annotations

from collections.abc import Iterator

from tvmtiny.host.tools import CLibrary, Tool
from tvmtiny.targets.architectures.architecture import (
    Architecture,
    Counter,
    Instruction,
    Sections,
    UnicornModel,
)
from tvmtiny.targets.architectures.arm.faults import explain_fault

_COMPILER = Tool("arm-none-eabi-gcc", "gcc-arm-none-eabi", "to compile for Arm Cortex-M")

# On Armv6-M, a library function reads the tables of `switch`.
_NO_TABLES = "-fno-jump-tables"


def _decode(code: bytes, address: int) -> Iterator[Instruction]:
    # Here, since Capstone takes long to import, and most commands decode nothing.
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
    # Constants are found from the program counter, and nothing is found in tables of addresses.
    image_flags=("-fpie", "-fvisibility=hidden"),
    link_flags=("-specs=nano.specs", "-specs=nosys.specs"),
    emulator=Tool("qemu-system-arm", "qemu-system-arm", "to run firmware without a board"),
    # SysTick, and a function of two instructions: set the result, return.
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
        arguments=("UC_ARM_REG_R0", "UC_ARM_REG_R1"),
        code_bit=1,
        trap_exception=7,
        trap_bytes=2,
        system=(0xE0000000, 1 << 20),
        # SYST_CVR
        falling_counter=0xE000E018,
    ),
    decode=_decode,
    # Of the memory map of all Cortex-M, and of the NVIC.
    origins=(0, 0x20000000),
    interrupts=480,
)
