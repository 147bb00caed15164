"""A board as QEMU has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tvmtiny.host.toolchain import find_tool
from tvmtiny.host.tools import Tool
from tvmtiny.targets.architectures import find_architecture

if TYPE_CHECKING:
    from tvmtiny.targets import Cpu

__all__ = ["Machine", "machine_of"]


@dataclass(frozen=True)
class Machine:
    """An emulated board.

    Attributes
    ----------
    emulator
        QEMU for its architecture.
    name
        QEMU's name of the board.
    options
        Further options.
    """

    emulator: Tool
    name: str
    options: tuple[str, ...]

    def command(self) -> list[str]:
        """The beginning of QEMU's command line: the program, and what it emulates.

        Under ``-icount shift=0``, an instruction takes a nanosecond of virtual time.

        Raises
        ------
        ToolMissingError
            QEMU is not installed.
        """
        emulator = find_tool(self.emulator)
        return [emulator, "-M", self.name, *self.options, "-icount", "shift=0"]


def machine_of(cpu: Cpu, name: str, emulated_cpu: str | None = None) -> Machine:
    """Give the machine of that name.

    Parameters
    ----------
    cpu
        The board's processor.
    name
        QEMU's name of the board.
    emulated_cpu
        QEMU's name of the processor; by default the machine's usual one.
    """
    architecture = find_architecture(cpu.architecture)
    own = () if emulated_cpu is None else ("-cpu", emulated_cpu)
    return Machine(architecture.emulator, name, (*architecture.emulator_options, *own))
