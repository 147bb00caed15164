"""What the file of a QEMU board says beside its memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tvmtiny.errors import BoardFileError
from tvmtiny.project.machine import Machine, machine_of
from tvmtiny.project.measurement import INSTRUCTIONS_PER_SECOND
from tvmtiny.project.runtime_files import c_files
from tvmtiny.targets.architectures import Architecture, find_architecture
from tvmtiny.targets.values import Values

if TYPE_CHECKING:
    from tvmtiny.targets import Board

__all__ = ["FlashOptions", "QemuOptions", "UartOptions", "machine_of_board"]

#: Range that rpc_link.c can hold.
_PAYLOAD_BYTES = (64, 65535)

#: Of flash that is erased at a time, and who drives it.
_PAGE_BYTES = (256, 1 << 16)
_FLASH_DRIVERS = ("memory", "nrf51")

#: Least bytes of a stack.
_LEAST_STACK = 256


@dataclass(frozen=True)
class UartOptions:
    """The serial port that a board is reached at.

    Attributes
    ----------
    driver
        Which ``runtime/device/server/uart_*.h`` drives it.
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
    def of(cls, values: Values, architecture: Architecture) -> UartOptions:
        """Read the table of a board file.

        Raises
        ------
        BoardFileError
            A key is missing, not known or not usable.
        """
        values.only("driver", "base", "irq", "payload_bytes")
        return cls(
            values.choice("driver", _uart_drivers(architecture)),
            values.number("base", 0, (1 << 32) - 1),
            values.number("irq", 0, architecture.interrupts - 1),
            values.number("payload_bytes", *_PAYLOAD_BYTES),
        )


@dataclass(frozen=True)
class FlashOptions:
    """Flash for images of models, of firmware that can update them: two slots, and a log behind.

    Attributes
    ----------
    driver
        ``nrf51``, or ``memory`` where the emulator has writable memory for flash.
    base
        Address of the first slot.
    slot_bytes, page_bytes
        Size of a slot, and of what is erased at a time.
    """

    driver: str
    base: int
    slot_bytes: int
    page_bytes: int

    @property
    def slots(self) -> tuple[int, int]:
        """Offsets of the slots, as their driver has them."""
        first = 0 if self.driver == "memory" else self.base
        return first, first + self.slot_bytes

    @property
    def log(self) -> int:
        """Offset of the log's two pages."""
        return self.slots[1] + self.slot_bytes

    @classmethod
    def of(cls, values: Values) -> FlashOptions:
        """Read the table of a board file.

        Raises
        ------
        BoardFileError
            A key is missing, not known or not usable.
        """
        values.only("driver", "base", "slot_bytes", "page_bytes")
        page = values.number("page_bytes", *_PAGE_BYTES)
        found = cls(
            values.choice("driver", _FLASH_DRIVERS),
            values.number("base", 0, (1 << 32) - 1),
            values.number("slot_bytes", page, 1 << 24),
            page,
        )
        for name in ("base", "slot_bytes"):
            if getattr(found, name) % page:
                values.refuse(name, f"is {getattr(found, name):#x}", "a multiple of page_bytes")
        return found


@dataclass(frozen=True)
class QemuOptions:
    """What this platform needs to know about a board.

    Attributes
    ----------
    machine
        QEMU's name of the board.
    counter_hz
        Frequency of what counts instructions, in Hz; see `tvmtiny.targets.architectures.Counter`.
    stack_bytes
        Size of the stack.
    uart
        The serial port; None where firmware cannot serve a host.
    emulated_cpu
        QEMU's name of the processor; None for the machine's usual one.
    flash
        Where images of models go; None where there is no place for them.
    """

    machine: str
    counter_hz: int
    stack_bytes: int
    uart: UartOptions | None
    emulated_cpu: str | None = None
    flash: FlashOptions | None = None

    @classmethod
    def of(cls, board: Board) -> QemuOptions:
        """Read the options of a board.

        Raises
        ------
        BoardFileError
            One is missing, not known or not usable.
        """
        architecture = find_architecture(board.cpu.architecture)
        counter = architecture.counter
        own = () if counter.hz_option is None else (counter.hz_option,)
        values = Values(board.options, board.file or board.name, "options")
        if board.data.length < _LEAST_STACK:
            raise BoardFileError(
                values.file,
                "data_region",
                f"is {board.data.name!r}, which has {board.data.length:,} bytes",
                f"a region of kind ram with {_LEAST_STACK:,} bytes or more",
            )
        values.only("machine", *own, "stack_bytes", "uart", "qemu_cpu", "flash")
        return cls(
            values.text("machine", r"[A-Za-z0-9][A-Za-z0-9._-]*", "a machine of QEMU"),
            INSTRUCTIONS_PER_SECOND
            if counter.hz_option is None
            else values.number(counter.hz_option, 1, (1 << 32) - 1),
            values.number("stack_bytes", _LEAST_STACK, board.data.length),
            UartOptions.of(values.table("uart"), architecture) if "uart" in board.options else None,
            values.text("qemu_cpu", r"[A-Za-z0-9][A-Za-z0-9_.,=+-]*", "a CPU of QEMU")
            if "qemu_cpu" in board.options
            else None,
            FlashOptions.of(values.table("flash")) if "flash" in board.options else None,
        )

    @property
    def flags(self) -> tuple[str, ...]:
        """Compiler options for the sources that are not the model's."""
        if self.uart is None:
            return ()
        return (f"-DTVMTINY_RPC_PAYLOAD_BYTES={self.uart.payload_bytes}u",)


def _uart_drivers(architecture: Architecture) -> tuple[str, ...]:
    """Names of the drivers that ship."""
    names = c_files("device/server", architecture.sources / "server")
    return tuple(
        sorted(
            name.removeprefix("uart_").removesuffix(".h")
            for name in names
            if name.startswith("uart_")
        )
    )


def machine_of_board(board: Board) -> Machine:
    """The board as QEMU has it.

    Raises
    ------
    BoardFileError
        See `QemuOptions.of`.
    """
    options = QemuOptions.of(board)
    return machine_of(board.cpu, options.machine, options.emulated_cpu)
