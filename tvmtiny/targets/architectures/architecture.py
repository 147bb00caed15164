"""What the rest of tvmtiny needs to know of a processor architecture."""

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

#: Operation of an instruction that no timing table has a row for.
UNLISTED = "unlisted"


@dataclass(frozen=True)
class Counter:
    """How bare-metal firmware counts instructions; ``device_measure`` of ``runtime/arch``.

    Attributes
    ----------
    hz_option
        The board's option that states the frequency of the counter, in Hz; None where the counter
        counts instructions themselves.
    spin_instructions
        Instructions of one pass of the loop that waits until the counter changes.
    empty_call_instructions
        Instructions of a function that returns 0, which is what an empty call is measured with.
    """

    hz_option: str | None
    spin_instructions: int
    empty_call_instructions: int


@dataclass(frozen=True)
class Sections:
    """Sections of programs, beyond those that every architecture has.

    Linker scripts are made from them, and sizes of programs are read with them.

    Attributes
    ----------
    code
        Sections with tables that belong to the code, such as ``.ARM.exidx``.
    constants, data, zeros
        Beginnings of the names of input sections, such as ``.srodata``, that hold constants,
        variables with initial values, and variables without.
    """

    code: tuple[str, ...] = ()
    constants: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    zeros: tuple[str, ...] = ()

    def kind(self, name: str) -> str | None:
        """What an input section holds.

        Returns
        -------
        str or None
            ``"code"``, ``"constants"``, ``"data"`` or ``"zeros"``; None for anything else.
        """
        for kind, beginnings in self._inputs.items():
            if any(name == stem or name.startswith(f"{stem}.") for stem in beginnings):
                return kind
        return None

    def patterns(self, kind: str) -> str:
        """Input sections of one of the kinds of `kind`, as a linker script has them."""
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
    """What the registers of a fault say.

    Attributes
    ----------
    text
        The exception and its causes, such as ``BusFault, precise data bus error at 0x40000000``.
    stack_overflow
        Whether it was caused by too small a stack.
    pc, lr
        Addresses of the instruction, and of where its function returns to; None where not known.
    registers
        Names of the registers to show beside the text.
    """

    text: str
    stack_overflow: bool
    pc: int | None
    lr: int | None
    registers: tuple[str, ...]


@dataclass(frozen=True)
class Instruction:
    """What the cycle model needs of an instruction.

    Attributes
    ----------
    name
        Without condition and width, for messages.
    operation
        The row of the timing tables that it has, or `UNLISTED`.
    size
        Bytes.
    registers
        Length of the register list; 0 where there is none.
    reads, writes
        Registers, as Capstone numbers them; of a load without its base register.
    address
        Registers that the address of a load or store is made of.
    branches
        Whether it may end a block by going elsewhere.
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
    """How Unicorn runs programs of the architecture; its constants are given by name.

    Attributes
    ----------
    constants
        Module of the architecture's constants, such as ``unicorn.arm_const``.
    architecture, modes
        Such as ``UC_ARCH_ARM`` and ``UC_MODE_THUMB``.
    program_counter, stack_pointer, return_address
        Registers.
    arguments
        Registers of the first two arguments; the first holds results, too.
    code_bit
        What is set in addresses of functions beside the address itself; 0 where nothing is.
    trap_exception, trap_bytes
        Number of the exception that a call of the host (semihosting) raises, and size of the
        instruction that raises it.
    trap_code
        That instruction, where Unicorn stops at it with an error and calls no hook; else None.
    system
        First address and size of registers that read as 0 and that ignore what is written; None
        where firmware needs none.
    falling_counter
        Address within `system` of a register of 24 bits whose value falls each time it is read.
    """

    constants: str
    architecture: str
    modes: tuple[str, ...]
    program_counter: str
    stack_pointer: str
    return_address: str
    arguments: tuple[str, str]
    code_bit: int
    trap_exception: int
    trap_bytes: int
    trap_code: bytes | None = None
    system: tuple[int, int] | None = None
    falling_counter: int | None = None


@dataclass(frozen=True)
class Architecture:
    """A processor architecture.

    The rest of it is the folder ``runtime/arch/<name>``: start-up code, fault report, stack guard,
    counting, calls of the host, and sections of the linker script; docs/new-board.md has the list.

    Attributes
    ----------
    name
        Name, and that of the folder.
    description
        For people, such as ``Arm Cortex-M``.
    compiler
        GCC, as a cross compiler.
    library
        Its C library.
    compile_flags
        For all sources, beside those of the CPU.
    model_flags
        For generated code.
    device_flags
        For start-up code, harness and RPC server.
    image_flags
        For generated code that runs at any address, beside `model_flags`.
    link_flags
        For programs.
    emulator, emulator_options
        QEMU for the architecture, and options for all of its boards.
    counter
        How instructions are counted.
    sections
        What programs have beyond the usual sections.
    explain_fault
        Reads a fault report: registers by name, as ``device_describe_fault`` wrote them.
    unicorn
        How Unicorn runs programs; None where it cannot.
    decode
        Decodes straight-line code at an address; what cannot be decoded is `UNLISTED` but counted.
        None where nothing decodes it.
    origins
        Addresses where chips usually have flash and, behind it, RAM; for CPUs without a board.
    interrupts
        How many the interrupt controller can have at the most.
    optional
        Whether `tvmtiny.report.doctor` takes missing tools for granted.
    folder
        Where the C files and the template of the linker script are, if not in ``runtime/arch``.
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
