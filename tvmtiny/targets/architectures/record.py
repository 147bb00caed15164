"""The properties of a processor architecture that the rest of tvmtiny needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tvmtiny.host.tools import CLibrary, Tool
from tvmtiny.resources import shipped

__all__ = [
    "UNLISTED",
    "Architecture",
    "Counter",
    "FaultCause",
    "Instruction",
    "Sections",
    "UnicornModel",
]

#: Operation of an instruction that has no row in any timing table.
UNLISTED = "unlisted"


@dataclass(frozen=True)
class Counter:
    """Parameters of counting instructions in bare metal, as ``device_measure`` does.

    Attributes
    ----------
    hz_option
        Name of the board option with the frequency of the counter in Hz; None if the counter counts
        instructions directly.
    spin_instructions
        Instructions in one iteration of the loop that waits for the counter to change.
    empty_call_instructions
        Instructions of a function that returns 0, which is measured as an empty call.
    """

    hz_option: str | None
    spin_instructions: int
    empty_call_instructions: int


@dataclass(frozen=True)
class Sections:
    """Sections of a program besides those that every architecture has.

    Linker scripts are generated from them, and program sizes are measured with them.

    Attributes
    ----------
    code
        Sections with tables that belong to the code, such as ``.ARM.exidx``.
    constants, data, zeros
        Prefixes of input sections, such as ``.srodata``, that hold constants, initialized variables
        and zero-initialized variables.
    """

    code: tuple[str, ...] = ()
    constants: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    zeros: tuple[str, ...] = ()

    def kind(self, name: str) -> str | None:
        """Classify an input section.

        Returns
        -------
        str or None
            ``"code"``, ``"constants"``, ``"data"`` or ``"zeros"``; None for any other section.
        """
        for kind, beginnings in self._inputs.items():
            if any(name == stem or name.startswith(f"{stem}.") for stem in beginnings):
                return kind
        return None

    def patterns(self, kind: str) -> str:
        """Return the input sections of a kind (see `kind`) in the syntax of a linker script."""
        return " ".join(f"{stem} {stem}.*" for stem in self._inputs[kind])

    @property
    def _inputs(self) -> Mapping[str, tuple[str, ...]]:
        return {
            "code": (".text",),
            "constants": (".rodata", *self.constants),
            "data": (".data", *self.data),
            "zeros": (".bss", ".noinit", *self.zeros),
        }


@dataclass(frozen=True)
class FaultCause:
    """The interpretation of the registers after a fault.

    Attributes
    ----------
    text
        Exception and causes, such as ``BusFault, precise data bus error at 0x40000000``.
    stack_overflow
        Whether a stack overflow caused the fault.
    pc, lr
        Address of the instruction, and return address of its function; None if unknown.
    registers
        Names of the registers to show in addition to the text.
    """

    text: str
    stack_overflow: bool
    pc: int | None
    lr: int | None
    registers: tuple[str, ...]


@dataclass(frozen=True)
class Instruction:
    """The properties of an instruction that the cycle model needs.

    Attributes
    ----------
    name
        Name without condition and width, for messages.
    operation
        Row of the timing tables, or `UNLISTED`.
    size
        Size in bytes.
    registers
        Length of the register list; 0 without one.
    reads, writes
        Registers as numbered by Capstone; for a load, without the base register.
    address
        Registers from which the address of a load or store is computed.
    branches
        Whether the instruction may end a block by branching.
    """

    name: str
    operation: str
    size: int
    registers: int = 0
    reads: frozenset[int] = frozenset()
    writes: frozenset[int] = frozenset()
    address: frozenset[int] = frozenset()
    branches: bool = False


@dataclass(frozen=True)
class UnicornModel:
    """Unicorn's parameters for the architecture; its constants are given by name.

    Attributes
    ----------
    constants
        Module with the architecture's constants, such as ``unicorn.arm_const``.
    architecture, modes
        Constants such as ``UC_ARCH_ARM`` and ``UC_MODE_THUMB``.
    program_counter, stack_pointer, return_address
        Constants of these registers.
    arguments
        Registers of the first three arguments; the first also holds the result.
    code_bit
        Bit that is set in function addresses in addition to the address; 0 if there is none.
    trap_exception, trap_bytes
        Number of the exception that a host call (semihosting) raises, and size in bytes of the
        instruction that raises it.
    trap_code
        Encoding of that instruction if Unicorn stops at it with an error instead of calling a hook;
        else None.
    system
        Start address and size of a range of registers that read as 0 and ignore writes; None if
        firmware accesses none.
    falling_counter
        Address within `system` of a 24-bit register whose value decreases with each read.
    """

    constants: str
    architecture: str
    modes: tuple[str, ...]
    program_counter: str
    stack_pointer: str
    return_address: str
    arguments: tuple[str, str, str]
    code_bit: int
    trap_exception: int
    trap_bytes: int
    trap_code: bytes | None = None
    system: tuple[int, int] | None = None
    falling_counter: int | None = None


@dataclass(frozen=True)
class Architecture:
    """A processor architecture.

    The rest of an architecture is in the folder ``runtime/arch/<name>``: start-up code, fault
    report, stack guard, counting, host calls, and sections of the linker script. docs/new-board.md
    lists all parts.

    Attributes
    ----------
    name
        Name of the architecture and of the folder.
    description
        Name for users, such as ``Arm Cortex-M``.
    compiler
        GCC as a cross compiler.
    library
        C library of the compiler.
    compile_flags
        Compiler options for all sources, in addition to those of the CPU.
    model_flags
        Compiler options for generated code.
    device_flags
        Compiler options for start-up code, harness and RPC server.
    image_flags
        Compiler options for position-independent generated code, in addition to `model_flags`.
    link_flags
        Options for linking programs.
    emulator, emulator_options
        QEMU program for the architecture, and options for all of its boards.
    counter
        Parameters of counting instructions.
    sections
        Sections of programs besides the usual ones.
    explain_fault
        Interprets a fault report: registers by name, as written by ``device_describe_fault``.
    unicorn
        Parameters for Unicorn; None if Unicorn does not support the architecture.
    decode
        Decodes straight-line code at an address; undecodable instructions are `UNLISTED` but
        counted. None if there is no decoder.
    origins
        Usual start addresses of flash and, above it, RAM; used for CPUs without a board.
    interrupts
        Limit on the interrupts that the interrupt controller supports.
    optional
        Whether `tvmtiny.report.doctor` accepts that tools are missing.
    folder
        Folder of the C files and of the linker script's template, if not in ``runtime/arch``.
    """

    name: str
    description: str
    compiler: Tool
    library: CLibrary
    emulator: Tool
    counter: Counter
    explain_fault: Callable[[Mapping[str, int]], FaultCause]
    compile_flags: tuple[str, ...] = ()
    model_flags: tuple[str, ...] = ()
    device_flags: tuple[str, ...] = ()
    image_flags: tuple[str, ...] = ()
    link_flags: tuple[str, ...] = ()
    emulator_options: tuple[str, ...] = ()
    sections: Sections = field(default_factory=Sections)
    unicorn: UnicornModel | None = None
    decode: Callable[[bytes, int], Iterator[Instruction]] | None = None
    origins: tuple[int, int] = (0, 1 << 29)
    interrupts: int = 1
    optional: bool = False
    folder: Path | None = None

    @property
    def sources(self) -> Path:
        """Folder of the C files and of the linker script's template."""
        return self.folder or shipped("runtime") / "arch" / self.name
