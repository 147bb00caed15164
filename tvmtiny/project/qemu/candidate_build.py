"""Firmware that runs tuning candidates on a QEMU board; see ``runtime/runner``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tvmtiny.codegen.placement import Placement
from tvmtiny.host.files import make_directory, write_text
from tvmtiny.host.toolchain import CompileJob, compile_all, find_tool, run_tool
from tvmtiny.project.candidate_firmware import (
    BLOCK_BYTES,
    MOST_BYTES,
    RUNNER,
    RunnerFirmware,
    firmware_of,
    runner_files,
)
from tvmtiny.project.qemu.flags import compile_flags, device_flags, link_flags
from tvmtiny.project.qemu.options import QemuOptions, machine_of_board
from tvmtiny.project.qemu.sources import FOLDERS, HEAP_BYTES, link_script, server_files
from tvmtiny.project.qemu.transport import QemuTransport, start_qemu
from tvmtiny.targets.architectures import find_architecture

if TYPE_CHECKING:
    from tvmtiny.targets import Board

__all__ = ["build_qemu_runner", "start_runner"]

#: QEMU options required by the function ``tvmtiny.runner.load``.
_SEMIHOSTING = ("-semihosting-config", "enable=on,target=native")

#: Emulators translate code in pages, so candidates get pages of their own on boards with at least
#: `_ROOMY` bytes of RAM.
_PAGE, _ROOMY = 4096, 1 << 18

#: Room for a measurement with a thousand repetitions.
_HEAP_BYTES = 64 * 1024
_SMALL_HEAP_BYTES = 2 * HEAP_BYTES


def build_qemu_runner(board: Board, directory: Path, workers: int = 2) -> RunnerFirmware:
    """Build the runner for a board.

    Parameters
    ----------
    directory
        Directory for sources, logs and the program; created if it does not exist.
    workers
        Number of compilations that run in parallel.

    Raises
    ------
    InputError
        The board has no serial port.
    ToolMissingError, BuildError, OutputPathError
        Raised as by `tvmtiny.project.api.Platform`.
    """
    options = QemuOptions.of(board)
    architecture = find_architecture(board.cpu.architecture)
    files = server_files(board)
    roomy = board.data.length >= _ROOMY
    files.update(runner_files(board.name, board.cpu, semihosting=True))
    files["link.ld"] = link_script(
        board,
        Placement(),
        options.stack_bytes,
        _HEAP_BYTES if roomy else _SMALL_HEAP_BYTES,
        {"alignment": _PAGE if roomy else BLOCK_BYTES, "most_bytes": MOST_BYTES},
    )
    for folder in FOLDERS:
        make_directory(directory / folder)
        make_directory(directory / "build" / folder)
    for name, text in files.items():
        write_text(directory / name, text)
    compiler = find_tool(architecture.compiler)
    flags = (*compile_flags(board.cpu), *device_flags(board.cpu), *options.flags, "-Idevice")
    sources = [name.removesuffix(".c") for name in files if name.endswith(".c")]
    compile_all(
        [
            CompileJob(
                (compiler, *flags, "-c", f"{source}.c", "-o", f"build/{source}.o"),
                directory / "build" / f"{source}.log",
            )
            for source in sources
        ],
        directory,
        workers,
        architecture.library,
    )
    objects = [f"build/{source}.o" for source in sources]
    command = (compiler, *link_flags(board.cpu, "link.ld"), *objects, "-o", "build/runner.elf")
    run_tool(command, directory, directory / "build" / "link.log", architecture.library)
    elf = directory / "build" / "runner.elf"
    return firmware_of(elf, machine_of_board(board), semihosting=True)


def start_runner(
    firmware: RunnerFirmware, board: Board, kind: str = "socket", *, semihosting: bool = True
) -> QemuTransport:
    """Start QEMU with a runner, whichever platform built it.

    Parameters
    ----------
    kind
        ``socket`` or ``pty``.
    semihosting
        Whether candidates may read and write files of this machine, if the firmware supports it.

    Raises
    ------
    InputError, ToolMissingError, DeviceError
        Raised as by `start_qemu`.
    """
    more = _SEMIHOSTING if firmware.semihosting and semihosting else ()
    return start_qemu(firmware.elf, firmware.machine, RUNNER, board.name, kind, more)
