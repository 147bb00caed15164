"""A serial line: a local port, a socket, or a port of another machine."""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from collections.abc import Mapping
from typing import Any, Protocol

import serial

from tvmtiny.errors import PortError

__all__ = ["DEFAULT_BAUDRATE", "DisconnectedError", "Line", "WatchEndedError", "open_line"]

DEFAULT_BAUDRATE = 115200

_CHUNK = 1 << 16
# Interval at which a line without a file descriptor checks whether to go on waiting.
_SLICE_SECONDS = 0.1

_MISSING = (errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.ECONNREFUSED, errno.EHOSTUNREACH)
_BUSY = (errno.EBUSY, errno.EAGAIN)
_PERMISSION = (errno.EACCES, errno.EPERM)


class DisconnectedError(Exception):
    """The line is gone; the message gives the symptom."""


class WatchEndedError(Exception):
    """A watched descriptor reported an event, so waiting is pointless."""


class Line(Protocol):
    """A byte stream in both directions; bytes may be lost or corrupted on the way.

    Attributes
    ----------
    url
        URL or path that was given.
    byte_seconds
        Transfer time of one byte in seconds; 0 if unknown.
    """

    url: str
    byte_seconds: float

    def read(self, seconds: float) -> bytes:
        """Return at least one received byte, or nothing once `seconds` have passed.

        Raises
        ------
        DisconnectedError
            The line is gone.
        WatchEndedError
            A watched descriptor reported an event.
        """
        ...

    def write(self, data: bytes, seconds: float) -> bool:
        """Send all of `data`; return False if `seconds` pass before that.

        Raises
        ------
        DisconnectedError, WatchEndedError
            Raised as by :meth:`read`.
        """
        ...

    def close(self) -> None:
        """Close the line."""
        ...


def open_line(
    url: str, baudrate: int = DEFAULT_BAUDRATE, watched: Mapping[int, int] | None = None
) -> Line:
    """Open a port.

    Parameters
    ----------
    url
        Path, or a URL that pyserial understands.
    baudrate
        Bits per second, for serial lines.
    watched
        Descriptors with their :func:`select.poll` events; any of these events ends a wait.

    Raises
    ------
    PortError
        The port does not exist, is in use, or may not be opened.
    """
    try:
        port = serial.serial_for_url(url, baudrate=baudrate, timeout=0, exclusive=True)
    except (serial.SerialException, OSError, ValueError) as error:
        raise _port_error(url, error) from error
    try:
        descriptor = port.fileno()
    except OSError:
        return _PortLine(url, port, watched or {})
    return _DescriptorLine(url, port, descriptor, baudrate, watched or {})


def _port_error(url: str, error: Exception) -> PortError:
    # pyserial keeps a socket's system error only in the exception's context.
    cause = error
    if getattr(error, "errno", None) is None and isinstance(error.__context__, OSError):
        cause = error.__context__
    number = getattr(cause, "errno", None)
    reason = os.strerror(number) if number else str(cause)
    if isinstance(cause, (socket.gaierror, TimeoutError)):
        return PortError(url, "missing", getattr(cause, "strerror", None) or "no connection")
    for problem, numbers in (
        ("missing", _MISSING),
        ("busy", _BUSY),
        ("permission", _PERMISSION),
    ):
        if number in numbers:
            return PortError(url, problem, reason if problem != "busy" else "it is in use")
    return PortError(url, "unusable", reason)


class _DescriptorLine:
    """A line that uses the file descriptor directly; pyserial reads sockets byte by byte."""

    def __init__(
        self, url: str, port: Any, descriptor: int, baudrate: int, watched: Mapping[int, int]
    ) -> None:
        self.url = url
        self._port = port
        self._descriptor = descriptor
        self._watched = watched
        self.byte_seconds = 10 / baudrate if os.isatty(descriptor) else 0.0
        self._socket: socket.socket | None = None
        if not os.isatty(descriptor):
            # Frames are small and wait for answers, so they must not be delayed by Nagle's
            # algorithm.
            self._socket = socket.socket(fileno=os.dup(descriptor))
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _wait(self, events: int, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self._descriptor, events)
        for descriptor, mask in self._watched.items():
            poll.register(descriptor, mask)
        ready = poll.poll(max(0.0, seconds) * 1000)
        if any(descriptor in self._watched for descriptor, _ in ready):
            raise WatchEndedError
        return bool(ready)

    def read(self, seconds: float) -> bytes:
        if not self._wait(select.POLLIN, seconds):
            return b""
        try:
            data = os.read(self._descriptor, _CHUNK)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise DisconnectedError(error.strerror) from error
        if not data:
            raise DisconnectedError("end of the stream")
        if self._socket is not None:
            # A server without TCP_NODELAY holds back the next frame until it receives an
            # acknowledgement. The option must be set again for each read, because the kernel clears
            # it.
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return data

    def write(self, data: bytes, seconds: float) -> bool:
        end = time.monotonic() + seconds
        rest = memoryview(data)
        while rest:
            if not self._wait(select.POLLOUT, end - time.monotonic()):
                return False
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise DisconnectedError(error.strerror) from error
        return True

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._port.close()


class _PortLine:
    """A port without a file descriptor, such as an RFC 2217 connection."""

    byte_seconds = 0.0

    def __init__(self, url: str, port: Any, watched: Mapping[int, int]) -> None:
        self.url = url
        self._port = port
        self._poll = select.poll()
        for descriptor, mask in watched.items():
            self._poll.register(descriptor, mask)

    def _check(self) -> None:
        if self._poll.poll(0):
            raise WatchEndedError

    def read(self, seconds: float) -> bytes:
        end = time.monotonic() + seconds
        while True:
            self._check()
            left = end - time.monotonic()
            try:
                self._port.timeout = min(max(0.0, left), _SLICE_SECONDS)
                data = self._port.read(1)
                if data:
                    return bytes(data + self._port.read(min(self._port.in_waiting, _CHUNK)))
            except (serial.SerialException, OSError) as error:
                raise DisconnectedError(str(error)) from error
            if left <= 0:
                return b""

    def write(self, data: bytes, seconds: float) -> bool:
        self._check()
        try:
            # pyserial's only limit for this write is the five-second timeout of its socket.
            self._port.write(data)
        except (serial.SerialException, OSError) as error:
            raise DisconnectedError(str(error)) from error
        return True

    def close(self) -> None:
        self._port.close()
