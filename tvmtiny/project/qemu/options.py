"""Options of a QEMU board in its file, besides memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tvmtiny.errors import BoardFileError
from tvmtiny.project.measurement import INSTRUCTIONS_PER_SECOND
from tvmtiny.project.qemu_machine import Machine, machine_of
from tvmtiny.project.runtime_files import c_files
from tvmtiny.targets.architectures import Architecture, find_architecture
from tvmtiny.targets.values import Values

if TYPE_CHECKING:
    from tvmtiny.targets import Board

__all__ = ["FlashOptions", "QemuOptions", "UartOptions", "machine_of_board"]

#: Limits of rpc_link.c on the payload of a frame.
_PAYLOAD_BYTES = (64, 65535)

#: Limits on the size of a flash page, and the known flash drivers.
_PAGE_BYTES = (256, 1 << 16)
_FLASH_DRIVERS = ("memory", "nrf51")

#: Lower limit on the size of a stack in bytes.
_LEAST_STACK = 256


@dataclass(frozen=True)
class UartOptions:
    """The serial port through which a board is reached.

    Attributes
    ----------
    driver
        Name of the driver, ``runtime/device/server/uart_*.h``.
    base
        Base address of the registers.
    irq
        Number of the receive interrupt.
    payload_bytes
        Limit on the payload of a link frame in bytes; the board has two buffers of this size.
    """

    driver: str
    base: int
    irq: int
    payload_bytes: int

    @classmethod
    def of(cls, values: Values, architecture: Architecture) -> UartOptions:
        """Parse the table of a board file.

        Raises
        ------
        BoardFileError
            A key is missing, unknown or invalid.
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
    """Flash for model images in firmware that can update them: two slots, followed by a log.

    Attributes
    ----------
    driver
        ``nrf51``, or ``memory`` if the emulator provides writable memory in place of flash.
    base
        Address of the first slot.
    slot_bytes, page_bytes
        Sizes of a slot and of an erasable page.
    """

    driver: str
    base: int
    slot_bytes: int
    page_bytes: int

    @property
    def slots(self) -> tuple[int, int]:
        """Offsets of the slots, as the driver expects them."""
        first = 0 if self.driver == "memory" else self.base
        return first, first + self.slot_bytes

    @property
    def log(self) -> int:
        """Offset of the log, which has two pages."""
        return self.slots[1] + self.slot_bytes

    @classmethod
    def of(cls, values: Values) -> FlashOptions:
        """Parse the table of a board file.

        Raises
        ------
        BoardFileError
            A key is missing, unknown or invalid.
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
    """Options of a board for this platform.

    Attributes
    ----------
    machine
        QEMU's name for the board.
    counter_hz
        Frequency of the instruction counter in Hz; see `tvmtiny.targets.architectures.Counter`.
    stack_bytes
        Size of the stack in bytes.
    uart
        The serial port; None if firmware cannot serve a host.
    emulated_cpu
        QEMU's name for the processor; None for the machine's usual one.
    flash
        Flash for model images; None if the board has none.
    """

    machine: str
    counter_hz: int
    stack_bytes: int
    uart: UartOptions | None
    emulated_cpu: str | None = None
    flash: FlashOptions | None = None

    @classmethod
    def of(cls, board: Board) -> QemuOptions:
        """Parse the options of a board.

        Raises
        ------
        BoardFileError
            An option is missing, unknown or invalid.
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
        """Compiler options for sources other than the model's."""
        if self.uart is None:
            return ()
        return (f"-DTVMTINY_RPC_PAYLOAD_BYTES={self.uart.payload_bytes}u",)


def _uart_drivers(architecture: Architecture) -> tuple[str, ...]:
    """List the names of the shipped drivers."""
    names = c_files("device/server", architecture.sources / "server")
    return tuple(
        sorted(
            name.removeprefix("uart_").removesuffix(".h")
            for name in names
            if name.startswith("uart_")
        )
    )


def machine_of_board(board: Board) -> Machine:
    """Return the QEMU machine of a board.

    Raises
    ------
    BoardFileError
        Raised as by `QemuOptions.of`.
    """
    options = QemuOptions.of(board)
    return machine_of(board.cpu, options.machine, options.emulated_cpu)
