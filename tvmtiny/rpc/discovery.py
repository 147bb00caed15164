"""List the devices on this machine to which a session can be opened."""

from __future__ import annotations

from dataclasses import dataclass

from serial.tools import list_ports

from tvmtiny.project.qemu.transport import RunningBoard, running_boards

__all__ = ["Devices", "Port", "find_devices"]


@dataclass(frozen=True)
class Port:
    """A serial port.

    Attributes
    ----------
    path
        Path to open.
    description
        Description given by the operating system.
    usb
        Vendor and product ID, such as ``1366:1015``; None unless it is a USB device.
    manufacturer, product, serial_number
        Strings reported by the USB device.
    location
        Location of the USB connector.
    """

    path: str
    description: str
    usb: str | None
    manufacturer: str | None
    product: str | None
    serial_number: str | None
    location: str | None


@dataclass(frozen=True)
class Devices:
    """Serial ports, and boards running in QEMU."""

    ports: tuple[Port, ...]
    emulated: tuple[RunningBoard, ...]


def find_devices() -> Devices:
    """List serial ports sorted by path, and emulated boards sorted by process."""
    ports = (
        Port(
            path=port.device,
            description=port.description,
            usb=None if port.vid is None else f"{port.vid:04x}:{port.pid:04x}",
            manufacturer=port.manufacturer,
            product=port.product,
            serial_number=port.serial_number,
            location=port.location,
        )
        for port in list_ports.comports()
    )
    return Devices(tuple(sorted(ports, key=lambda port: port.path)), running_boards())
