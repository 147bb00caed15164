"""What the firmware of a QEMU board is made of, besides the model.

There are two: the *harness* runs one inference and reports in files of the host; the *rpc*
firmware serves a host over the serial line (docs/rpc.md). The server takes other applications than
a model, too: :func:`server_files`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import metadata, resources
from typing import TYPE_CHECKING, Any

import jinja2

from tvmtiny.codegen.artifact import model_identity
from tvmtiny.errors import InputError
from tvmtiny.project import sizes
from tvmtiny.targets.values import Values

if TYPE_CHECKING:
    from importlib.abc import Traversable

    from tvmtiny.codegen.artifact import Artifact, TensorInfo
    from tvmtiny.results import Firmware
    from tvmtiny.targets import Board

__all__ = [
    "DEVICE_FLAGS",
    "HARNESS",
    "RPC",
    "FixedDemand",
    "QemuOptions",
    "UartOptions",
    "device_files",
    "device_side",
    "fixed_demand",
    "rpc_library_files",
    "rpc_model_source",
    "server_files",
]

HARNESS = "harness"
RPC = "rpc"

# The firmware must not pull in library functions, which would be counted as the model's.
DEVICE_FLAGS = (
    "-Os",
    "-ffreestanding",
    "-fno-builtin",
    "-fno-jump-tables",
    "-fno-tree-loop-distribute-patterns",
    "-masm-syntax-unified",
    "-I.",
    "-Irpc",
    "-DTVMTINY_LAYERS",
)

#: The heap of the RPC server is what the linker finds left of the RAM, but not less.
HEAP_BYTES = 512

# In folders of their own, so that no name of a model can be taken.
_SHARED_FILES = ("device.h", "fault.h", "fault.c", "measure.h", "measure.c", "startup.c")
_HARNESS_FILES = ("semihosting.h", "semihosting.c")
_SERVER_FILES = ("protect.h", "protect.c", "serial.h", "serial.c")
_RPC_FILES = (
    "rpc_heap.c",
    "rpc_heap.h",
    "rpc_link.c",
    "rpc_link.h",
    "rpc_memory.c",
    "rpc_memory.h",
    "rpc_packet.c",
    "rpc_packet.h",
    "rpc_server.c",
    "rpc_values.c",
    "rpc_values.h",
    "tvmtiny_rpc.h",
)
_LITERAL_WIDTH = 90

#: Interrupts that the NVIC of any Cortex-M can have.
_MOST_INTERRUPTS = 480

#: Range that rpc_link.c can hold.
_PAYLOAD_BYTES = (64, 65535)


@dataclass(frozen=True)
class UartOptions:
    """The serial port that a board is reached at.

    Attributes
    ----------
    driver
        Which ``runtime/qemu/uart_*.h`` drives it.
    base
        Address of its registers.
    irq
        Number of its receive interrupt.
    payload_bytes
        Largest payload of a frame of the board link; the board has two buffers of this size.
    """

    driver: str
    base: int
    irq: int
    payload_bytes: int

    @classmethod
    def of(cls, values: Values) -> UartOptions:
        """Read the table of a board file.

        Raises
        ------
        BoardFileError
            A key is missing, not known or not usable.
        """
        values.only("driver", "base", "irq", "payload_bytes")
        return cls(
            values.choice("driver", _uart_drivers()),
            values.number("base", 0, (1 << 32) - 1),
            values.number("irq", 0, _MOST_INTERRUPTS - 1),
            values.number("payload_bytes", *_PAYLOAD_BYTES),
        )


@dataclass(frozen=True)
class QemuOptions:
    """What this platform needs to know about a board.

    Attributes
    ----------
    machine
        QEMU's name of the board.
    systick_hz
        Frequency of the processor clock that drives SysTick, in Hz.
    stack_bytes
        Size of the stack.
    uart
        The serial port; None where firmware cannot serve a host.
    """

    machine: str
    systick_hz: int
    stack_bytes: int
    uart: UartOptions | None

    @classmethod
    def of(cls, board: Board) -> QemuOptions:
        """Read the options of a board.

        Raises
        ------
        BoardFileError
            One is missing, not known or not usable.
        """
        values = Values(board.options, board.file or board.name, "options")
        values.only("machine", "systick_hz", "stack_bytes", "uart")
        return cls(
            values.text("machine", r"[A-Za-z0-9][A-Za-z0-9._-]*", "a machine of QEMU"),
            values.number("systick_hz", 1, (1 << 32) - 1),
            values.number("stack_bytes", 256, board.data.length),
            UartOptions.of(values.table("uart")) if "uart" in board.options else None,
        )

    @property
    def flags(self) -> tuple[str, ...]:
        """Compiler options for the sources that are not the model's."""
        if self.uart is None:
            return ()
        return (f"-DTVMTINY_RPC_PAYLOAD_BYTES={self.uart.payload_bytes}u",)


def _uart_drivers() -> tuple[str, ...]:
    """Names of the drivers that ship."""
    names = [path.name for path in _folder("qemu").iterdir()]
    return tuple(
        sorted(
            name.removeprefix("uart_").removesuffix(".h")
            for name in names
            if name.startswith("uart_") and name.endswith(".h")
        )
    )


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
            f"there is no firmware {firmware!r}; allowed: {', '.join(map(repr, _DEMANDS))}"
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
        File name to text, C sources and headers in the folders ``qemu`` and ``rpc``.
    """
    context = {"artifact": artifact, "board": board, "prefix": _prefix(artifact)}
    heap_bytes = 0
    if firmware == RPC:
        heap_bytes = HEAP_BYTES
        files = server_files(board)
        files["qemu/rpc_model.c"] = rpc_model_source(artifact, board.name)
    else:
        files = {f"qemu/{name}": _resource(name) for name in (*_SHARED_FILES, *_HARNESS_FILES)}
        files["qemu/harness.c"] = _render("harness.c.j2", **context)
    files["link.ld"] = _render(
        "link.ld.j2",
        board=board,
        placement=artifact.placement,
        stack_bytes=options.stack_bytes,
        heap_bytes=heap_bytes,
        candidates=None,
    )
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
    driver = f"uart_{options.uart.driver}.h"
    return {
        **{f"qemu/{name}": _resource(name) for name in (*_SHARED_FILES, *_SERVER_FILES)},
        **{f"rpc/{name}": text for name, text in rpc_library_files().items()},
        f"qemu/{driver}": _resource(driver),
        "qemu/board.h": _render("board.h.j2", board=board, options=options),
    }


def rpc_library_files() -> dict[str, str]:
    """The RPC server itself, by file name; it knows of no board."""
    return {name: _resource(name, "rpc") for name in _RPC_FILES}


def rpc_model_source(artifact: Artifact, board_name: str) -> str:
    """The C file that offers a model to a host.

    It includes ``board.h``, ``device.h``, ``measure.h`` and ``serial.h`` of the device.
    """
    return _render(
        "rpc_model.c.j2",
        artifact=artifact,
        prefix=_prefix(artifact),
        identity=", ".join(f"0x{byte:02x}" for byte in model_identity(artifact)),
        metadata=_c_string(_metadata(artifact, board_name)),
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


def _prefix(artifact: Artifact) -> str:
    return f"tvmtiny_{artifact.name}"


def _metadata(artifact: Artifact, board_name: str) -> str:
    def describe(tensor: TensorInfo) -> dict[str, Any]:
        described: dict[str, Any] = {
            "name": tensor.name,
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
        }
        if tensor.scale is not None:
            described |= {"scale": float(tensor.scale), "zero_point": int(tensor.zero_point or 0)}
        return described

    return json.dumps(
        {
            "model": artifact.name,
            "board": board_name,
            "identity": model_identity(artifact).hex(),
            "tvm": metadata.version("apache-tvm"),
            "tvmtiny": metadata.version("tvmtiny"),
            "inputs": [describe(tensor) for tensor in artifact.inputs],
            "outputs": [describe(tensor) for tensor in artifact.outputs],
            "layers": [
                {
                    "operator": layer.operator,
                    "name": layer.name,
                    "dtype": layer.dtype,
                    "shape": list(layer.shape),
                }
                for layer in artifact.layers
            ],
        },
        separators=(",", ":"),
    )


def _c_string(text: str) -> str:
    """A C literal of printable ASCII, over several lines; without trigraphs."""
    literals = []
    for start in range(0, len(text), _LITERAL_WIDTH):
        part = text[start : start + _LITERAL_WIDTH]
        escaped = "".join(f"\\{c}" if c in '"\\?' else c for c in part)
        literals.append(f'"{escaped}"')
    return "\n        ".join(literals)


def _resource(name: str, folder: str = "qemu") -> str:
    return _folder(folder).joinpath(name).read_text(encoding="utf-8")


def _folder(name: str) -> Traversable:
    return resources.files("tvmtiny").joinpath("runtime").joinpath(name)


def _render(name: str, **values: Any) -> str:
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False
    )
    return environment.from_string(_resource(name)).render(**values)
