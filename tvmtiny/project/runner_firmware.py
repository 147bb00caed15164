"""Firmware that runs the candidates of a tuner, on whatever board; see ``runtime/runner``."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import jinja2

from tvmtiny.host.elf import symbols_of

__all__ = [
    "BLOCK_BYTES",
    "MOST_BYTES",
    "RUNNER",
    "RunnerFirmware",
    "firmware_of",
    "runner_source",
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
        QEMU's name of its board.
    origin, length
        Where it has room for a candidate: first address, and size in bytes.
    semihosting
        Whether it can read files of this machine.
    """

    elf: Path
    machine: str
    origin: int
    length: int
    semihosting: bool


def runner_source(board: str, cpu: str, semihosting: bool) -> str:
    """The C file of the runner's functions.

    It includes ``board.h``, ``device.h``, ``measure.h`` and ``serial.h`` of the device.

    Parameters
    ----------
    board, cpu
        Names.
    semihosting
        Whether it may read files of the host.
    """
    identity = hashlib.sha256(b"tvmtiny runner " + board.encode()).digest()[:8]
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False
    )
    file = resources.files("tvmtiny").joinpath("runtime").joinpath("runner").joinpath("runner.c.j2")
    return environment.from_string(file.read_text(encoding="utf-8")).render(
        block_bytes=BLOCK_BYTES,
        identity=", ".join(f"0x{byte:02x}" for byte in identity),
        cpu=cpu,
        semihosting=semihosting,
    )


def firmware_of(elf: Path, machine: str, semihosting: bool) -> RunnerFirmware:
    """Read from a runner's program where it has room for candidates."""
    symbols = {name: address for name, (address, _) in symbols_of(elf).items()}
    start = symbols["device_candidates_start"]
    length = symbols["device_candidates_end"] - start
    return RunnerFirmware(elf, machine, start, length, semihosting)
