"""Errors on the way between the host and a board."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tvmtiny.errors.base import InputError, one_line
from tvmtiny.errors.on_device import DeviceError


@dataclass(eq=False)
class PortError(InputError):
    """A port could not be opened; nothing was sent.

    Attributes
    ----------
    url
        The port as it was given: a path or a URL.
    problem
        ``missing``, ``busy``, ``permission`` or ``unusable``.
    reason
        Message of the operating system.
    """

    url: str
    problem: str
    reason: str

    _ADVICE: ClassVar[dict[str, str]] = {
        "missing": "check that the board is attached (tvmtiny devices lists ports and boards)",
        "busy": "another program has the port open; end that program, or wait for it",
        "permission": "join the group that owns the port (dialout on Debian), then log in again",
        "unusable": "give a serial port such as /dev/ttyACM0, socket://HOST:PORT or "
        "rfc2217://HOST:PORT",
    }

    def __str__(self) -> str:
        advice = self._ADVICE.get(self.problem, self._ADVICE["unusable"])
        return f"cannot open the port {one_line(self.url)}: {one_line(self.reason)}; {advice}"


@dataclass(eq=False)
class LinkError(DeviceError):
    """The link to a board failed.

    Attributes
    ----------
    url
        Port of the board.
    reason
        The event that was awaited, or that happened.
    seconds
        Seconds since the call began, or the call's timeout.
    frames
        The most recent frames on the line, oldest first, each as a line of text.
    """

    exit_code = 8
    url: str
    reason: str
    seconds: float = 0.0
    frames: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"the link to {one_line(self.url)} failed: {one_line(self.reason)}"


class LinkTimeoutError(LinkError):
    """The board did not answer in time."""

    def __str__(self) -> str:
        return (
            f"no answer from {one_line(self.url)} within {self.seconds:g} s: "
            f"{one_line(self.reason)}; allow more time, look for an endless loop, or check the "
            "wiring and the baud rate"
        )


class LinkClosedError(LinkError):
    """The connection ended: the board was unplugged, or its emulator or a server ended."""

    def __str__(self) -> str:
        return (
            f"the connection to {one_line(self.url)} was closed: {one_line(self.reason)}; check "
            "that the board is attached and running, and open a new session"
        )


class LinkProtocolError(LinkError):
    """Whole frames arrived, but they do not follow the protocol."""

    def __str__(self) -> str:
        return (
            f"{one_line(self.url)} does not follow the protocol: {one_line(self.reason)}; flash "
            "firmware that was built with this version of tvmtiny"
        )


@dataclass(eq=False)
class ModelMismatchError(InputError):
    """A board runs firmware of another model, or of the same one compiled in another way.

    Attributes
    ----------
    url
        Port of the board.
    expected, found
        Name and identity of the model, as compiled and as flashed.
    """

    url: str
    expected: str
    found: str

    def __str__(self) -> str:
        return (
            f"the board at {one_line(self.url)} runs {one_line(self.found)}, not "
            f"{one_line(self.expected)}; compile the model with the same options as the "
            "flashed one, or flash the board again"
        )
