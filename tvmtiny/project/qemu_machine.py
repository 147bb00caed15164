"""Boards as QEMU machines."""

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
    """A machine that QEMU emulates.

    Attributes
    ----------
    emulator
        QEMU program for the architecture.
    name
        QEMU's name for the machine.
    options
        Additional options of QEMU.
    """

    emulator: Tool
    name: str
    options: tuple[str, ...]

    def command(self) -> list[str]:
        """Return the start of QEMU's command line: the program and the emulated machine.

        With ``-icount shift=0``, an instruction takes one nanosecond of virtual time.

        Raises
        ------
        ToolMissingError
            QEMU is not installed.
        """
        emulator = find_tool(self.emulator)
        return [emulator, "-M", self.name, *self.options, "-icount", "shift=0"]


def machine_of(cpu: Cpu, name: str, emulated_cpu: str | None = None) -> Machine:
    """Return the machine with the given name.

    Parameters
    ----------
    cpu
        Processor of the board.
    name
        QEMU's name for the machine.
    emulated_cpu
        QEMU's name for the processor; by default the machine's usual one.
    """
    architecture = find_architecture(cpu.architecture)
    own = () if emulated_cpu is None else ("-cpu", emulated_cpu)
    return Machine(architecture.emulator, name, (*architecture.emulator_options, *own))
