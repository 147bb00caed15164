"""Firmware that runs tuning candidates, on any board; see ``runtime/runner``."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tvmtiny.host.elf import symbols_of
from tvmtiny.project.qemu_machine import Machine
from tvmtiny.project.runtime_files import c_files, render
from tvmtiny.targets.architectures import find_architecture

if TYPE_CHECKING:
    from tvmtiny.targets import Cpu

__all__ = [
    "BLOCK_BYTES",
    "MOST_BYTES",
    "RUNNER",
    "RunnerFirmware",
    "firmware_of",
    "runner_files",
]

#: Name that a board with the runner reports in place of a model's.
RUNNER = "runner"

#: The host addresses candidate memory in blocks of this size, numbered with 16 bits.
BLOCK_BYTES = 64
MOST_BYTES = BLOCK_BYTES << 16


@dataclass(frozen=True)
class RunnerFirmware:
    """A built runner.

    Attributes
    ----------
    elf
        Path of the program.
    machine
        Machine on which QEMU runs it.
    origin, length
        Memory for a candidate: start address, and size in bytes.
    semihosting
        Whether the runner can read files of this machine.
    """

    elf: Path
    machine: Machine
    origin: int
    length: int
    semihosting: bool


def runner_files(board: str, cpu: Cpu, semihosting: bool) -> dict[str, str]:
    """Return the runner's files by name: functions, ``runner.c`` and its own headers.

    The files include ``board.h``, ``device.h``, ``measure.h`` and ``serial.h`` of the device, and
    with `semihosting` also ``arch.h``.

    Parameters
    ----------
    board
        Name of the board.
    cpu
        CPU that candidates will be compiled for.
    semihosting
        Whether the runner may read files of the host.
    """
    identity = hashlib.sha256(b"tvmtiny runner " + board.encode()).digest()[:8]
    source = render(
        "runner/runner.c.j2",
        block_bytes=BLOCK_BYTES,
        identity=", ".join(f"0x{byte:02x}" for byte in identity),
        cpu=cpu.name,
        semihosting=semihosting,
    )
    own = c_files(find_architecture(cpu.architecture).sources / "runner")
    return {"runner.c": source, **own}


def firmware_of(elf: Path, machine: Machine, semihosting: bool) -> RunnerFirmware:
    """Describe a built runner by reading the location of candidate memory from its program."""
    symbols = {name: address for name, (address, _) in symbols_of(elf).items()}
    start = symbols["device_candidates_start"]
    length = symbols["device_candidates_end"] - start
    return RunnerFirmware(elf, machine, start, length, semihosting)
