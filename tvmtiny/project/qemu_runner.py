"""The firmware of a QEMU board that runs the candidates of a tuner; see ``runtime/runner``."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from tvmtiny.codegen.placement import Placement
from tvmtiny.project.files import make_directory, write_text
from tvmtiny.project.qemu import COMMON_FLAGS, COMPILER, LINK_FLAGS
from tvmtiny.project.qemu_sources import DEVICE_FLAGS, HEAP_BYTES, QemuOptions, server_files
from tvmtiny.project.qemu_transport import QemuTransport, start_qemu
from tvmtiny.project.toolchain import CompileJob, compile_all, find_tool, run_tool

if TYPE_CHECKING:
    from tvmtiny.targets import Board

__all__ = ["BLOCK_BYTES", "RUNNER", "RunnerFirmware", "build_runner", "start_runner"]

#: What a board with the runner says instead of the name of a model.
RUNNER = "runner"

#: The host reaches the memory for candidates in blocks of this size, of which 65,536 have a number.
BLOCK_BYTES = 64
_MOST_BYTES = BLOCK_BYTES << 16

#: Emulators translate code by pages, so that candidates get some of their own where a board has
#: that much RAM to spare.
_PAGE, _ROOMY = 4096, 1 << 18

#: For the function ``tvmtiny.runner.load``.
_SEMIHOSTING = ("-semihosting-config", "enable=on,target=native")

#: For a measurement of a thousand repeats.
_HEAP_BYTES = 64 * 1024
_SMALL_HEAP_BYTES = 2 * HEAP_BYTES


@dataclass(frozen=True)
class RunnerFirmware:
    """A runner that was built.

    Attributes
    ----------
    elf
        The program.
    origin, length
        Where it has room for a candidate: first address, and size in bytes.
    """

    elf: Path
    origin: int
    length: int


def build_runner(board: Board, directory: Path, workers: int = 2) -> RunnerFirmware:
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
        See `tvmtiny.project.Platform`.
    """
    options = QemuOptions.of(board)
    files = server_files(board)
    roomy = board.data.length >= _ROOMY
    identity = hashlib.sha256(b"tvmtiny runner " + board.name.encode()).digest()[:8]
    files["runner.c"] = _render(
        "runner",
        "runner.c.j2",
        block_bytes=BLOCK_BYTES,
        identity=", ".join(f"0x{byte:02x}" for byte in identity),
    )
    files["link.ld"] = _render(
        "qemu",
        "link.ld.j2",
        board=board,
        placement=Placement(),
        stack_bytes=options.stack_bytes,
        heap_bytes=_HEAP_BYTES if roomy else _SMALL_HEAP_BYTES,
        candidates={"alignment": _PAGE if roomy else BLOCK_BYTES, "most_bytes": _MOST_BYTES},
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
    symbols = _symbols(elf)
    start = symbols["device_candidates_start"]
    return RunnerFirmware(elf, start, symbols["device_candidates_end"] - start)


def start_runner(firmware: RunnerFirmware, board: Board, kind: str = "socket") -> QemuTransport:
    """Start QEMU with a runner.

    Parameters
    ----------
    kind
        ``socket`` or ``pty``.

    Raises
    ------
    InputError, ToolMissingError, DeviceError
        See `tvmtiny.project.qemu_transport.start_qemu`.
    """
    machine = QemuOptions.of(board).machine
    return start_qemu(firmware.elf, machine, RUNNER, board.name, kind, _SEMIHOSTING)


def _symbols(elf: Path) -> dict[str, int]:
    with elf.open("rb") as file:
        return {
            symbol.name: int(symbol["st_value"])
            for section in ELFFile(file).iter_sections()
            if isinstance(section, SymbolTableSection)
            for symbol in section.iter_symbols()
        }


def _render(folder: str, name: str, **values: object) -> str:
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False
    )
    root = resources.files("tvmtiny").joinpath("runtime").joinpath(folder)
    return environment.from_string(root.joinpath(name).read_text(encoding="utf-8")).render(**values)
