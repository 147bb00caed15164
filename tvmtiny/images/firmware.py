"""Firmware for QEMU boards that runs a model from flash slots and lets a host update it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tvmtiny.codegen.placement import Placement
from tvmtiny.errors import InputError
from tvmtiny.host.files import make_directory, write_text
from tvmtiny.host.toolchain import CompileJob, compile_all, find_tool, run_tool
from tvmtiny.images.image_format import SignatureKind, feature_bits
from tvmtiny.project.qemu.flags import compile_flags, device_flags, link_flags
from tvmtiny.project.qemu.options import QemuOptions, machine_of_board
from tvmtiny.project.qemu.sources import FOLDERS, HEAP_BYTES, link_script, server_files
from tvmtiny.project.qemu_machine import Machine
from tvmtiny.project.runtime_files import c_files, render
from tvmtiny.targets.architectures import find_architecture

if TYPE_CHECKING:
    from tvmtiny.images.signing import PublicKey
    from tvmtiny.targets import Board

__all__ = ["IMAGES", "ImageFirmware", "build_image_firmware"]

#: Name that such a board reports in place of a model's.
IMAGES = "images"

#: Memory for models: its share of the RAM as a divisor, and its upper limit.
_SHARE, _MOST_MEMORY = 4, 1 << 18
#: Stack that Monocypher needs, and stack that is not available to the model.
_VERIFYING_BYTES, _OWN_BYTES = 6144, 1024


@dataclass(frozen=True)
class ImageFirmware:
    """Built firmware.

    Attributes
    ----------
    elf
        Path of the program.
    machine
        Machine on which QEMU runs it.
    memory_bytes, stack_bytes
        Limits on the memory and the stack of a model.
    """

    elf: Path
    machine: Machine
    memory_bytes: int
    stack_bytes: int


def build_image_firmware(
    board: Board,
    directory: Path,
    key: PublicKey | None = None,
    monocypher: Path | None = None,
    firmware_version: int = 1,
) -> ImageFirmware:
    """Build the firmware.

    Parameters
    ----------
    directory
        Directory for sources, logs and the program; created if it does not exist.
    key
        Ed25519 key with which images must be signed; with None, only the hash is checked.
    monocypher
        Folder with ``monocypher.c`` and ``monocypher.h``, which verify signatures.
    firmware_version
        Version of the firmware; an image may require a later one.

    Raises
    ------
    InputError
        The board's file names no flash for images or no serial port, or signatures cannot be
        verified.
    ToolMissingError, BuildError, OutputPathError
        Raised as by `tvmtiny.project.api.Platform`.
    """
    options = QemuOptions.of(board)
    if options.flash is None:
        raise InputError(
            f"the file of board {board.name} has no flash for images; add options.flash to the "
            "file (docs/new-board.md), or use a board that has it, such as microbit"
        )
    if key is not None and (monocypher is None or key.kind is not SignatureKind.ED25519):
        raise InputError(
            "this firmware verifies signatures with Ed25519 and Monocypher: give an Ed25519 key, "
            "and the folder of monocypher.c"
        )
    memory = min(board.data.length // _SHARE, _MOST_MEMORY)
    stack = max(options.stack_bytes, 0 if key is None else _VERIFYING_BYTES)
    files = server_files(board)
    folders = ["image", "image/slots", "image/rpc", "image/flash"]
    own = c_files(*folders)
    if key is not None and monocypher is not None:
        own |= c_files("image/verify")
        own |= {
            name: (monocypher / name).read_text(encoding="utf-8")
            for name in ("monocypher.c", "monocypher.h")
        }
    files |= {
        name: text
        for name, text in own.items()
        if not name.startswith(("tvmtiny_flash_", "tvmtiny_image_psa"))
        or name.startswith(f"tvmtiny_flash_{options.flash.driver}")
    }
    identity = hashlib.sha256(b"tvmtiny images " + board.name.encode()).digest()[:8]
    files["images.c"] = render(
        "device/server/rpc_images.c.j2",
        identity=", ".join(f"0x{byte:02x}" for byte in identity),
        flash=options.flash,
        key=key,
        verify="tvmtiny_image_monocypher",
        cpu=board.cpu.name,
        features=feature_bits(board.cpu.features),
        firmware_version=firmware_version,
        memory_bytes=memory,
        stack_bytes=stack - _OWN_BYTES,
    )
    files["link.ld"] = link_script(board, Placement(), stack, HEAP_BYTES)
    elf = _build(board, directory, files)
    return ImageFirmware(elf, machine_of_board(board), memory, stack - _OWN_BYTES)


def _build(board: Board, directory: Path, files: dict[str, str]) -> Path:
    architecture = find_architecture(board.cpu.architecture)
    for folder in FOLDERS:
        make_directory(directory / folder)
        make_directory(directory / "build" / folder)
    for name, text in files.items():
        write_text(directory / name, text)
    compiler = find_tool(architecture.compiler)
    options = QemuOptions.of(board)
    flags = (*compile_flags(board.cpu), *device_flags(board.cpu), *options.flags, "-Idevice")
    sources = [name.removesuffix(".c") for name in files if name.endswith(".c")]
    jobs = []
    for source in sources:
        # Third-party code may cause warnings.
        own = ("-w", "-Wno-error") if source == "monocypher" else ()
        command = (compiler, *flags, *own, "-c", f"{source}.c", "-o", f"build/{source}.o")
        jobs.append(CompileJob(command, directory / "build" / f"{source}.log"))
    compile_all(jobs, directory, 2, architecture.library)
    objects = [f"build/{source}.o" for source in sources]
    link = (compiler, *link_flags(board.cpu, "link.ld"), *objects, "-o", "build/images.elf")
    run_tool(link, directory, directory / "build" / "link.log", architecture.library)
    return directory / "build" / "images.elf"
