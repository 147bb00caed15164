"""A CPU in Unicorn, independent of the architecture."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import unicorn

from tvmtiny.targets import Cpu
from tvmtiny.targets.architectures import find_architecture

__all__ = ["UnicornCpu", "can_emulate"]


def can_emulate(cpu: Cpu) -> bool:
    """Whether Unicorn has a model of the CPU and its instructions can be decoded."""
    architecture = find_architecture(cpu.architecture)
    return None not in (cpu.unicorn, architecture.unicorn, architecture.decode)


class UnicornCpu:
    """A CPU without memory.

    Parameters
    ----------
    cpu
        A CPU for which `can_emulate` is true.

    Attributes
    ----------
    uc
        Unicorn's engine.
    model
        Unicorn's parameters from the record of the architecture.
    program_counter, stack_pointer, return_address, arguments
        Registers, as numbered by Unicorn.
    """

    def __init__(self, cpu: Cpu) -> None:
        model = find_architecture(cpu.architecture).unicorn
        assert model is not None and cpu.unicorn is not None
        constants = import_module(model.constants)
        modes = 0
        for mode in model.modes:
            modes |= getattr(unicorn, mode)
        self.model = model
        self.uc: Any = unicorn.Uc(getattr(unicorn, model.architecture), modes)
        self.uc.ctl_set_cpu_model(getattr(constants, cpu.unicorn))
        self.program_counter: int = getattr(constants, model.program_counter)
        self.stack_pointer: int = getattr(constants, model.stack_pointer)
        self.return_address: int = getattr(constants, model.return_address)
        self.arguments: tuple[int, ...] = tuple(getattr(constants, r) for r in model.arguments)

    def address(self, register: int) -> int:
        """Return the code address that a register holds."""
        return int(self.uc.reg_read(register)) & ~self.model.code_bit

    def entry(self, address: int) -> int:
        """Convert a code address to the form expected in a register or as a start address."""
        return address | self.model.code_bit
