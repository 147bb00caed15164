"""The firmware of a QEMU board that runs the candidates of a tuner; see ``runtime/runner``."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2

from tvmtiny.codegen.placement import Placement
from tvmtiny.host.files import make_directory, write_text
from tvmtiny.host.toolchain import CompileJob, compile_all, find_tool, run_tool
from tvmtiny.project.qemu.platform import COMMON_FLAGS, COMPILER, LINK_FLAGS
from tvmtiny.project.qemu.sources import DEVICE_FLAGS, HEAP_BYTES, QemuOptions, server_files
from tvmtiny.project.qemu.transport import QemuTransport, start_qemu
from tvmtiny.project.runner_firmware import (
    BLOCK_BYTES,
    MOST_BYTES,
    RUNNER,
    RunnerFirmware,
    firmware_of,
    runner_source,
)

if TYPE_CHECKING:
    from tvmtiny.targets import Board

__all__ = ["build_qemu_runner", "start_runner"]

#: For the function ``tvmtiny.runner.load``.
_SEMIHOSTING = ("-semihosting-config", "enable=on,target=native")

#: Emulators translate code by pages, so that candidates get some of their own where a board has
#: that much RAM to spare.
_PAGE, _ROOMY = 4096, 1 << 18

#: For a measurement of a thousand repeats.
_HEAP_BYTES = 64 * 1024
_SMALL_HEAP_BYTES = 2 * HEAP_BYTES


def build_qemu_runner(board: Board, directory: Path, workers: int = 2) -> RunnerFirmware:
    """Build the runner of a board.

    Parameters
    ----------
    directory
        For sources, logs and the program; created when it does not exist.
    workers
        Compilations at the same time.

    Raises
    ------
    InputError
        The board names no serial port.
    ToolMissingError, BuildError, OutputPathError
        See `tvmtiny.project.api.Platform`.
    """
    options = QemuOptions.of(board)
    files = server_files(board)
    roomy = board.data.length >= _ROOMY
    files["runner.c"] = runner_source(board.name, board.cpu.name, semihosting=True)
    files["link.ld"] = _link_script(
        board=board,
        placement=Placement(),
        stack_bytes=options.stack_bytes,
        heap_bytes=_HEAP_BYTES if roomy else _SMALL_HEAP_BYTES,
        candidates={"alignment": _PAGE if roomy else BLOCK_BYTES, "most_bytes": MOST_BYTES},
    )
    for folder in ("qemu", "rpc", "build/qemu", "build/rpc"):
        make_directory(directory / folder)
    for name, text in files.items():
        write_text(directory / name, text)
    compiler = find_tool(COMPILER)
    flags = (compiler, *board.cpu.flags, *COMMON_FLAGS, *DEVICE_FLAGS, *options.flags, "-Iqemu")
    sources = [name.removesuffix(".c") for name in files if name.endswith(".c")]
    compile_all(
        [
            CompileJob(
                (*flags, "-c", f"{source}.c", "-o", f"build/{source}.o"),
                directory / "build" / f"{source}.log",
            )
            for source in sources
        ],
        directory,
        workers,
    )
    objects = [f"build/{source}.o" for source in sources]
    command = (compiler, *board.cpu.flags, *LINK_FLAGS, *objects, "-o", "build/runner.elf")
    run_tool(command, directory, directory / "build" / "link.log")
    elf = directory / "build" / "runner.elf"
    return firmware_of(elf, options.machine, semihosting=True)


def start_runner(firmware: RunnerFirmware, board: Board, kind: str = "socket") -> QemuTransport:
    """Start QEMU with a runner, of whatever platform built it.

    Parameters
    ----------
    kind
        ``socket`` or ``pty``.

    Raises
    ------
    InputError, ToolMissingError, DeviceError
        See `start_qemu`.
    """
    more = _SEMIHOSTING if firmware.semihosting else ()
    return start_qemu(firmware.elf, firmware.machine, RUNNER, board.name, kind, more)


def _link_script(**values: object) -> str:
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False
    )
    file = resources.files("tvmtiny").joinpath("runtime").joinpath("qemu").joinpath("link.ld.j2")
    return environment.from_string(file.read_text(encoding="utf-8")).render(**values)
