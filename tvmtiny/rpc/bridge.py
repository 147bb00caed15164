"""The process between TVM and a board: ``python -m tvmtiny.rpc.bridge URL READFD WRITEFD``.

TVM starts the bridge (``rpc.CreatePipeClient``) and speaks its RPC protocol over two pipes, whose
descriptors it appends to the command. The bridge forwards packets over the link. It answers every
packet before its deadline, either with the board's answer or with an exception that gives the
reason.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from tvmtiny.errors import (
    LinkClosedError,
    LinkError,
    LinkProtocolError,
    LinkTimeoutError,
    PortError,
)
from tvmtiny.link import packets
from tvmtiny.link.link import Deadline, Link
from tvmtiny.link.transport import DEFAULT_BAUDRATE, Line, WatchEndedError, open_line
from tvmtiny.rpc.failures import to_text

__all__ = ["DEFAULT_TIMEOUT", "FUNCTIONS", "Bridge", "main"]

#: Seconds until a call counts as hung.
DEFAULT_TIMEOUT = 60.0
#: Seconds within which a board must send HELLO; some boards restart when their port is opened.
CONNECT_TIMEOUT = 10.0

#: First handle of the functions that the bridge serves itself; a board's handles are smaller.
_FIRST_HANDLE = 0x6272 << 48

FUNCTIONS = ("tvmtiny.bridge.set_timeout", "tvmtiny.bridge.statistics", "tvmtiny.bridge.reset")

#: Limit on the length of a packet, so that a corrupt one is not waited for.
_LONGEST_PACKET = 1 << 30
_CHUNK = 1 << 16


class Bridge:
    """Answer TVM's packets by forwarding them to a board.

    Parameters
    ----------
    open_port
        Opens the line; called again after the line was lost.
    url
        URL of the line, for error messages.
    timeout
        Seconds until a call counts as hung.
    connect_timeout
        Seconds within which the board must send HELLO.

    Notes
    -----
    After a link error the state of the board is unknown. Every packet is answered with that error
    until ``tvmtiny.bridge.reset`` is called.
    """

    def __init__(
        self,
        open_port: Callable[[], Line],
        url: str,
        timeout: float = DEFAULT_TIMEOUT,
        connect_timeout: float = CONNECT_TIMEOUT,
    ) -> None:
        self.timeout = timeout
        self._open_port = open_port
        self._url = url
        self._connect_timeout = connect_timeout
        self._line: Line | None = None
        self._link: Link | None = None
        self._start: bytes | None = None
        self._failure: LinkError | PortError | None = None

    def answer(self, packet: bytes) -> bytes:
        """Return the answer to a packet before its deadline; only a reset may take longer."""
        try:
            return self._answer(packet)
        # Unpacking the wrong number of values raises a ValueError.
        except (packets.MalformedError, ValueError) as error:
            return packets.exception(f"the bridge cannot read the packet: {error}")
        except (LinkError, PortError) as error:
            self._fail(error)
            return self._report(error)

    def close(self) -> None:
        """Close the port."""
        if self._line is not None:
            self._line.close()
        self._line = self._link = None

    def _answer(self, packet: bytes) -> bytes:
        kind = packets.code(packet)
        if kind == packets.INIT_SERVER:
            self._start = packets.without_constructor(packet)
            return self._connect()
        if kind == packets.GET_GLOBAL_FUNC:
            (name,) = packets.arguments(packet)
            if name in FUNCTIONS:
                return packets.return_handle(_FIRST_HANDLE + FUNCTIONS.index(str(name)))
        if kind == packets.FREE_HANDLE:
            (handle,) = packets.arguments(packet)
            if isinstance(handle, int) and handle >= _FIRST_HANDLE:
                return packets.return_nothing()
        if kind == packets.CALL_FUNC:
            handle, offset = packets.call(packet)
            if handle >= _FIRST_HANDLE:
                return self._call(handle - _FIRST_HANDLE, packets.arguments(packet, offset))
        if self._failure is not None:
            # The board's objects are gone, so there is nothing to free.
            freeing = kind in (packets.FREE_HANDLE, packets.DEV_FREE_DATA)
            return packets.return_nothing() if freeing else self._report(self._failure)
        return self._forward(packet, Deadline.after(self.timeout))

    def _call(self, index: int, arguments: Sequence[packets.Value]) -> bytes:
        name = FUNCTIONS[index] if index < len(FUNCTIONS) else ""
        if name == "tvmtiny.bridge.set_timeout":
            seconds = arguments[0] if len(arguments) == 1 else None
            # The comparison also rejects NaN.
            if not isinstance(seconds, (int, float)) or not seconds > 0:
                return packets.exception("set_timeout takes a number of seconds above 0")
            self.timeout = float(seconds)
            return packets.return_nothing(called=True)
        if name == "tvmtiny.bridge.statistics":
            return packets.return_text(json.dumps(self.describe()))
        if name == "tvmtiny.bridge.reset":
            answer = self._connect()
            if packets.code(answer) == packets.RETURN:
                return packets.return_text(json.dumps(self.describe()))
            return answer
        return packets.exception("the bridge has no such function")

    def describe(self) -> dict[str, object]:
        """Return the state of bridge and link, for JSON."""
        link = self._link.describe() if self._link else {"url": self._url}
        frames = self._link.frames if self._link else ()
        return {**link, "timeout": self.timeout, "process": os.getpid(), "frames": frames}

    def _connect(self) -> bytes:
        """Open the line if necessary, reset the board, and replay TVM's first packet."""
        self._failure = None
        if self._link is None:
            self._line = self._open_port()
            self._link = Link(self._line)
        deadline = Deadline.after(self._connect_timeout)
        self._link.reset(deadline)
        if self._start is None:
            return packets.return_nothing()
        return self._forward(self._start, deadline)

    def _forward(self, packet: bytes, deadline: Deadline) -> bytes:
        if self._link is None:
            return packets.exception("the first packet must be kInitServer")
        self._link.send(packet, deadline)
        answer = self._link.receive_packet(deadline, packets.longest_answer(packet))
        if packets.code(answer) in (packets.RETURN, packets.EXCEPTION, packets.COPY_ACK):
            return answer
        raise LinkProtocolError(
            self._url,
            f"it answered with an unexpected packet of code {packets.code(answer)}",
            deadline.seconds,
            self._link.frames,
        )

    def _fail(self, error: LinkError | PortError) -> None:
        self._failure = error
        if isinstance(error, LinkClosedError):
            self.close()
        elif self._link is not None:
            # Abort the board's call so that it is ready for the next client.
            try:
                self._link.abandon()
            except LinkClosedError:
                self.close()
            except LinkTimeoutError:
                pass

    def _report(self, error: LinkError | PortError) -> bytes:
        return packets.exception(to_text(error, os.getpid()))


class _Pipes:
    """The two pipes to TVM."""

    def __init__(self, reader: int, writer: int, watched: Mapping[int, int]) -> None:
        self._reader = reader
        self._writer = writer
        self._poll = select.poll()
        self._poll.register(reader, select.POLLIN)
        for descriptor, mask in watched.items():
            if descriptor != reader:
                self._poll.register(descriptor, mask)

    def read_packet(self) -> bytes:
        head = self._read(8)
        length = int.from_bytes(head, "little")
        if length > _LONGEST_PACKET:
            raise EOFError
        return head + self._read(length)

    def _read(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            ready = self._poll.poll()
            part = b""
            if any(descriptor == self._reader for descriptor, _ in ready):
                part = os.read(self._reader, min(count - len(data), _CHUNK))
            if not part:
                raise EOFError
            data += part
        return bytes(data)

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._writer, rest) :]


def _close_others(kept: Sequence[int]) -> None:
    """Close descriptors inherited from TVM's fork; pipes of other bridges would never reach EOF."""
    for entry in Path("/proc/self/fd").iterdir():
        if int(entry.name) not in kept:
            with suppress(OSError):
                os.close(int(entry.name))


def _watched(reader: int) -> dict[int, int]:
    """Return poll events by descriptor that report the end of the host: its pipe and its process.

    The pipe alone is not enough: a process forked by the host may keep it open.
    """
    # A socket whose peer is gone reports no hang-up until something is written to it.
    watched = {reader: select.POLLRDHUP}
    with suppress(OSError, AttributeError):
        watched[os.pidfd_open(os.getppid())] = select.POLLIN
    return watched


def _parse(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tvmtiny.rpc.bridge", description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--timeout", type=float, default=DEFAULT_TIMEOUT)
    parser.add_argument("--connect-timeout", type=float, default=CONNECT_TIMEOUT)
    parser.add_argument("--baudrate", type=int, default=DEFAULT_BAUDRATE)
    parser.add_argument("reader", type=int, help="appended by TVM")
    parser.add_argument("writer", type=int, help="appended by TVM")
    return parser.parse_args(words)


def main(words: Sequence[str]) -> NoReturn:
    """Serve until the host exits."""
    # An interrupt from the keyboard is meant for the host, which stops the bridge itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    options = _parse(words)
    _close_others([0, 1, 2, options.reader, options.writer])
    watched = _watched(options.reader)
    bridge = Bridge(
        lambda: open_line(options.url, options.baudrate, watched),
        options.url,
        options.timeout,
        options.connect_timeout,
    )
    pipes = _Pipes(options.reader, options.writer, watched)
    try:
        while True:
            packet = pipes.read_packet()
            if packets.code(packet) == packets.SHUTDOWN:
                break
            pipes.write(bridge.answer(packet))
    except (EOFError, ConnectionError, WatchEndedError):
        pass
    # Skip the interpreter's shutdown, which takes as long as everything else.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
