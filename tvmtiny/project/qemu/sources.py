"""What the firmware of a QEMU board is made of, besides the model.

There are two: the *harness* runs one inference and reports in files of the host; the *rpc*
firmware serves a host over the serial line (docs/rpc.md). The server takes other applications than
a model, too: :func:`server_files`. ``runtime/device`` has what all architectures share, and
``runtime/arch`` the rest.
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
    "device_side",
    "fixed_demand",
    "link_script",
    "server_files",
]

HARNESS = "harness"
RPC = "rpc"

#: Folders of a project, so that no name of a model can be taken by a file that is not its own.
FOLDERS = ("device", "rpc")

#: The heap of the RPC server is what the linker finds left of the RAM, but not less.
HEAP_BYTES = 512


@dataclass(frozen=True)
class FixedDemand:
    """Bytes that the firmware takes at the least, besides model and stack."""

    ram: int
    flash: int


# The linker knows the exact figures; the RPC's RAM is without its two payload buffers.
_DEMANDS = {HARNESS: FixedDemand(416, 1024), RPC: FixedDemand(1024 + HEAP_BYTES, 6 * 1024)}


def fixed_demand(artifact: Artifact, options: QemuOptions, firmware: str) -> FixedDemand:
    """What the firmware takes at the least, besides arena, constants and stack.

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
    """Everything of a project that is not the model.

    Parameters
    ----------
    firmware
        ``"harness"`` or ``"rpc"``.

    Returns
    -------
    dict
        File name to text, C sources and headers in the folders `FOLDERS`.
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
    """The RPC server for a board, without an application and without a linker script.

    An application defines ``device_main`` and ``device_measured_long``, and what else of
    ``tvmtiny_rpc.h`` it wants to.

    Raises
    ------
    InputError
        The board names no serial port.
    """
    options = QemuOptions.of(board)
    if options.uart is None:
        raise InputError(
            f"the file of board {board.name} names no serial port; add options.uart to it, or run "
            "the model without one (--via harness)"
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
    """The linker script of a board.

    Parameters
    ----------
    placement
        Of the model.
    stack_bytes, heap_bytes
        Sizes; the heap is what is left of the RAM, but not less, and 0 where there is none.
    candidates
        ``alignment`` and ``most_bytes`` of the memory for a tuner's candidates, which is then what
        is left.
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


def device_side(firmware: Firmware) -> tuple[int, int, int]:
    """What the linked firmware takes besides the model, in bytes; stack and heap are not in it.

    Returns
    -------
    tuple of int
        Flash, RAM, and how much of that RAM is the two payload buffers of the board link.
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
