"""Firmware that runs the candidates of a tuner, on whatever board; see ``runtime/runner``."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from tvmtiny.errors import InputError
from tvmtiny.project.qemu.transport import QemuTransport, start_qemu

if TYPE_CHECKING:
    from tvmtiny.targets import Board

__all__ = [
    "BLOCK_BYTES",
    "MOST_BYTES",
    "RUNNER",
    "RunnerFirmware",
    "build_runner",
    "firmware_of",
    "runner_source",
    "start_runner",
]

#: What a board with the runner says instead of the name of a model.
RUNNER = "runner"

#: The host reaches the memory for candidates in blocks of this size, of which 65,536 have a number.
BLOCK_BYTES = 64
MOST_BYTES = BLOCK_BYTES << 16

#: For the function ``tvmtiny.runner.load``.
_SEMIHOSTING = ("-semihosting-config", "enable=on,target=native")


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


def build_runner(board: Board, directory: Path) -> RunnerFirmware:
    """Build the runner of an emulated board.

    Parameters
    ----------
    directory
        For sources, logs and the program; created when it does not exist.

    Raises
    ------
    InputError
        The board is not emulated, or names no serial port.
    ToolMissingError, BuildError, OutputPathError
        See `tvmtiny.project.Platform`.
    """
    # Both make what is defined here.
    from tvmtiny.project.qemu.runner import build_qemu_runner
    from tvmtiny.project.zephyr.runner import build_zephyr_runner

    builders = {"qemu": build_qemu_runner, "zephyr": build_zephyr_runner}
    if board.platform not in builders:
        raise InputError(f"there is no runner for boards of the platform {board.platform!r}")
    return builders[board.platform](board, directory)


def start_runner(firmware: RunnerFirmware, board: Board, kind: str = "socket") -> QemuTransport:
    """Start QEMU with a runner.

    Parameters
    ----------
    kind
        ``socket`` or ``pty``.

    Raises
    ------
    InputError, ToolMissingError, DeviceError
        See `tvmtiny.project.qemu.transport.start_qemu`.
    """
    more = _SEMIHOSTING if firmware.semihosting else ()
    return start_qemu(firmware.elf, firmware.machine, RUNNER, board.name, kind, more)


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
    with elf.open("rb") as file:
        symbols = {
            symbol.name: int(symbol["st_value"])
            for section in ELFFile(file).iter_sections()
            if isinstance(section, SymbolTableSection)
            for symbol in section.iter_symbols()
        }
    start = symbols["device_candidates_start"]
    length = symbols["device_candidates_end"] - start
    return RunnerFirmware(elf, machine, start, length, semihosting)
