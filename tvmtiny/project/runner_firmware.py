"""Firmware that runs the candidates of a tuner, on whatever board; see ``runtime/runner``."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tvmtiny.host.elf import symbols_of
from tvmtiny.project.machine import Machine
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

#: What a board with the runner says instead of the name of a model.
RUNNER = "runner"

#: The host reaches the memory for candidates in blocks of this size, of which 65,536 have a number.
BLOCK_BYTES = 64
MOST_BYTES = BLOCK_BYTES << 16


@dataclass(frozen=True)
class RunnerFirmware:
    """A runner that was built.

    Attributes
    ----------
    elf
        The program.
    machine
        Its board in QEMU.
    origin, length
        Where it has room for a candidate: first address, and size in bytes.
    semihosting
        Whether it can read files of this machine.
    """

    elf: Path
    machine: Machine
    origin: int
    length: int
    semihosting: bool


def runner_files(board: str, cpu: Cpu, semihosting: bool) -> dict[str, str]:
    """The runner's functions, ``runner.c`` and headers of its own, by file name.

    They include ``board.h``, ``device.h``, ``measure.h`` and ``serial.h`` of the device, and with
    `semihosting` also ``arch.h``.

    Parameters
    ----------
    board
        Its name.
    cpu
        What candidates will be compiled for.
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
    """Read from a runner's program where it has room for candidates."""
    symbols = {name: address for name, (address, _) in symbols_of(elf).items()}
    start = symbols["device_candidates_start"]
    length = symbols["device_candidates_end"] - start
    return RunnerFirmware(elf, machine, start, length, semihosting)
