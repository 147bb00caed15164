"""Sources of the firmware for a QEMU board, besides the model.

There are two kinds of firmware: the *harness* runs one inference and reports the results in files
of the host; the *rpc* firmware serves a host over the serial line (docs/rpc.md). The server can
also be combined with applications other than a model (:func:`server_files`). ``runtime/device``
contains the part shared by all architectures, and ``runtime/arch`` the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tvmtiny.errors import InputError
from tvmtiny.errors.base import quoted
from tvmtiny.project import sizes
from tvmtiny.project.qemu.options import QemuOptions
from tvmtiny.project.rpc_firmware import rpc_library_files, rpc_model_source
from tvmtiny.project.runtime_files import c_files, render, render_file
from tvmtiny.targets.architectures import find_architecture

if TYPE_CHECKING:
    from tvmtiny.codegen.artifact import Artifact
    from tvmtiny.codegen.placement import Placement
    from tvmtiny.results import Firmware
    from tvmtiny.targets import Board

__all__ = [
    "FOLDERS",
    "HARNESS",
    "HEAP_BYTES",
    "RPC",
    "FixedDemand",
    "device_files",
    "firmware_sizes",
    "fixed_demand",
    "link_script",
    "server_files",
]

HARNESS = "harness"
RPC = "rpc"

#: Subfolders of a project, which keep the firmware's file names apart from those of the model.
FOLDERS = ("device", "rpc")

#: Lower limit on the heap of the RPC server, which gets all RAM that the linker leaves over.
HEAP_BYTES = 512


@dataclass(frozen=True)
class FixedDemand:
    """Lower bounds on the bytes that the firmware takes, besides model and stack."""

    ram: int
    flash: int


# Lower bounds; only the linker knows exact sizes. RPC's RAM excludes the two payload buffers.
_DEMANDS = {HARNESS: FixedDemand(416, 1024), RPC: FixedDemand(1024 + HEAP_BYTES, 6 * 1024)}


def fixed_demand(artifact: Artifact, options: QemuOptions, firmware: str) -> FixedDemand:
    """Return the least memory that the firmware takes, besides arena, constants and stack.

    Raises
    ------
    InputError
        There is no such firmware.
    """
    try:
        demand = _DEMANDS[firmware]
    except KeyError:
        raise InputError(
            f"there is no firmware {quoted(firmware)}; allowed: {', '.join(map(repr, _DEMANDS))}"
        ) from None
    ram = demand.ram
    if firmware == RPC and options.uart is not None:
        ram += 2 * options.uart.payload_bytes
    if artifact.external:
        ram += sum(tensor.bytes for tensor in (*artifact.inputs, *artifact.outputs))
    return FixedDemand(ram, demand.flash)


def device_files(
    artifact: Artifact, board: Board, options: QemuOptions, firmware: str
) -> dict[str, str]:
    """Return all files of a project except those of the model.

    Parameters
    ----------
    firmware
        ``"harness"`` or ``"rpc"``.

    Returns
    -------
    dict
        Text by file name; C sources and headers are in the folders `FOLDERS`.
    """
    heap_bytes = 0
    if firmware == RPC:
        heap_bytes = HEAP_BYTES
        files = server_files(board)
        files["device/rpc_model.c"] = rpc_model_source(artifact, board.name)
    else:
        arch = find_architecture(board.cpu.architecture).sources
        files = _in_folder("device", c_files("device", "device/harness", arch))
        files["device/harness.c"] = render(
            "device/harness/harness.c.j2", artifact=artifact, prefix=f"tvmtiny_{artifact.name}"
        )
    files["link.ld"] = link_script(board, artifact.placement, options.stack_bytes, heap_bytes)
    return files


def server_files(board: Board) -> dict[str, str]:
    """Return the RPC server for a board, without an application or a linker script.

    The application must define ``device_main`` and ``device_measured_long``, and may define other
    functions of ``tvmtiny_rpc.h``.

    Raises
    ------
    InputError
        The board has no serial port.
    """
    options = QemuOptions.of(board)
    if options.uart is None:
        raise InputError(
            f"the file of board {board.name} has no serial port; add options.uart to the file, or "
            "run the model without a port (--via harness)"
        )
    arch = find_architecture(board.cpu.architecture).sources
    driver = f"uart_{options.uart.driver}.h"
    files = {
        name: text
        for name, text in c_files("device", "device/server", arch, arch / "server").items()
        if not name.startswith("uart_") or name == driver
    }
    files["board.h"] = render(
        "device/server/board.h.j2",
        board=board,
        uart=options.uart,
        counter_hz=options.counter_hz,
    )
    return {**_in_folder("device", files), **_in_folder("rpc", rpc_library_files())}


def link_script(
    board: Board,
    placement: Placement,
    stack_bytes: int,
    heap_bytes: int,
    candidates: dict[str, Any] | None = None,
) -> str:
    """Render the linker script of a board.

    Parameters
    ----------
    placement
        Placement of the model.
    stack_bytes, heap_bytes
        Size of the stack, and lower limit on the heap, which gets all remaining RAM; 0 for no heap.
    candidates
        ``alignment`` and ``most_bytes`` of the memory for tuning candidates, which then gets all
        remaining RAM.
    """
    architecture = find_architecture(board.cpu.architecture)
    return render_file(
        architecture.sources / "link.ld.j2",
        board=board,
        sections=architecture.sections,
        placement=placement,
        stack_bytes=stack_bytes,
        heap_bytes=heap_bytes,
        candidates=candidates,
    )


def firmware_sizes(firmware: Firmware) -> tuple[int, int, int]:
    """Return the bytes that linked firmware takes besides the model, without stack and heap.

    Returns
    -------
    tuple of int
        Flash, RAM, and the part of that RAM that the link's two payload buffers occupy.
    """
    project = firmware.project
    own = [name for name in project.sources if name not in project.artifact.files]
    text = firmware.elf.with_name("firmware.map").read_text(encoding="utf-8")
    flash, ram = sizes.total_of(text, [f"build/{name.removesuffix('.c')}.o" for name in own])
    uart = QemuOptions.of(project.board).uart
    serves = project.firmware == RPC and uart is not None
    return flash, ram, 2 * uart.payload_bytes if serves and uart is not None else 0


def _in_folder(folder: str, files: dict[str, str]) -> dict[str, str]:
    return {f"{folder}/{name}": text for name, text in files.items()}
