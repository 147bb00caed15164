"""Errors of the device and in its results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tvmtiny.errors.base import TvmtinyError, one_line


class DeviceError(TvmtinyError):
    """Firmware was started, but did not come back with usable results."""

    exit_code = 6


@dataclass(eq=False)
class DeviceFaultError(DeviceError):
    """The processor raised a fault while it ran the model.

    Attributes
    ----------
    fault
        Kind and cause, such as ``BusFault, precise data access at 0x60000000``.
    pc, lr
        Program counter and link register at the fault; None if they could not be saved.
    function
        Function that contains `pc`; None if unknown.
    layer
        The layer being run, such as ``layer 3 CONV_2D (conv_1)``; None outside of layers.
    registers
        Other registers by name.
    advice
        Advice for the user.
    frames
        The most recent frames on the link, if there was one.
    """

    fault: str
    pc: int | None = None
    lr: int | None = None
    function: str | None = None
    layer: str | None = None
    registers: Mapping[str, int] = field(default_factory=dict)
    advice: str = (
        "look up the address in the generated sources, and report the fault if they are unchanged"
    )
    frames: tuple[str, ...] = ()

    def __str__(self) -> str:
        where = "at an unknown place" if self.pc is None else f"at pc {self.pc:#010x}"
        if self.function is not None:
            where += f" in {self.function}"
        if self.lr is not None:
            where += f" (lr {self.lr:#010x})"
        where += f", in {self.layer}" if self.layer is not None else ", outside of any layer"
        registers = " ".join(f"{name}={value:#010x}" for name, value in self.registers.items())
        return (
            f"the firmware faulted: {one_line(self.fault)}, {where}"
            f"{f' [{registers}]' if registers else ''}; {self.advice}"
        )


@dataclass(eq=False)
class DeviceTimeoutError(DeviceError):
    """The firmware did not finish in time.

    Attributes
    ----------
    seconds
        Time limit in seconds of host time.
    board
        Name of the board.
    """

    seconds: float
    board: str

    def __str__(self) -> str:
        return (
            f"{self.board} did not finish within {self.seconds:g} s; allow more time, "
            "or look for an endless loop"
        )


@dataclass(eq=False)
class CheckError(TvmtinyError):
    """Results on the device differ from those of the reference.

    Attributes
    ----------
    oracle
        Name of the reference, such as ``litert``.
    mismatched_bytes
        Number of differing bytes in the outputs.
    layers_compared, layers_exact
        Number of layers compared, and of those equal to the reference.
    first_mismatch
        Description of the first differing layer; None if only outputs differ.
    """

    exit_code = 7
    oracle: str
    mismatched_bytes: int
    layers_compared: int
    layers_exact: int
    first_mismatch: str | None = None

    def __str__(self) -> str:
        first = f", first in {one_line(self.first_mismatch)}" if self.first_mismatch else ""
        return (
            f"results differ from {self.oracle}: {self.mismatched_bytes} bytes of the outputs, "
            f"{self.layers_compared - self.layers_exact} of {self.layers_compared} layers{first}; "
            "start with the first differing layer, and report it with the model"
        )
