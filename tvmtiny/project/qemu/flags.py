"""Compiler and linker options for programs of QEMU boards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvmtiny.targets.architectures import find_architecture

if TYPE_CHECKING:
    from tvmtiny.targets import Cpu

__all__ = ["DEFAULT_OPTIMIZATION", "compile_flags", "device_flags", "link_flags", "model_flags"]

DEFAULT_OPTIMIZATION = "-O2"

_COMMON_FLAGS = (
    "-std=c99",
    "-pedantic-errors",
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-Wcast-qual",
    "-Werror",
    "-ffunction-sections",
    "-fdata-sections",
)

# The firmware must not call library functions, which would be counted as the model's.
_DEVICE_FLAGS = (
    "-Os",
    "-ffreestanding",
    "-fno-builtin",
    "-fno-tree-loop-distribute-patterns",
    "-I.",
    "-Irpc",
    "-DTVMTINY_LAYERS",
)


def compile_flags(cpu: Cpu) -> tuple[str, ...]:
    """Return the compiler options for every source file."""
    return (*cpu.flags, *_COMMON_FLAGS, *find_architecture(cpu.architecture).compile_flags)


def model_flags(cpu: Cpu) -> tuple[str, ...]:
    """Return the options for a model's sources, in addition to `compile_flags`."""
    return ("-DTVMTINY_LAYERS", *find_architecture(cpu.architecture).model_flags)


def device_flags(cpu: Cpu) -> tuple[str, ...]:
    """Return the options for start-up code, harness and RPC server, besides `compile_flags`."""
    return (*_DEVICE_FLAGS, *find_architecture(cpu.architecture).device_flags)


def link_flags(cpu: Cpu, script: str) -> tuple[str, ...]:
    """Return the options for linking through the compiler.

    Parameters
    ----------
    script
        File name of the linker script.
    """
    own = find_architecture(cpu.architecture).link_flags
    chosen = cpu.link_flags or cpu.flags
    return (*chosen, "-nostartfiles", *own, "-Wl,--gc-sections", "-T", script)
