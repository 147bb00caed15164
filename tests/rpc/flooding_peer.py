"""A board that answers a reset, or nothing at all, and then sends without end."""

from __future__ import annotations

import itertools
import os
import select
import socket
import struct
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tvmtiny.link.frames import ACK, DATA, HELLO, RESET, Frame, decode, encode

IDENTITY = bytes(range(8))
#: Floods: zeros; bytes that are no frames; HELLOs; acknowledgements; DATA that begins an answer of
#: a gigabyte; DATA that begins an answer of the requested size.
KINDS = ("zeros", "noise", "hellos", "acknowledgements", "gigabyte", "data")

_HELLO = struct.pack("<BH8sB", 1, 1024, IDENTITY, 4) + b"peer"
_CHUNK = 1 << 15


def _flood(kind: str, session: int) -> Iterator[bytes]:
    if kind == "zeros":
        return itertools.repeat(bytes(_CHUNK))
    if kind == "noise":
        return itertools.repeat(bytes(range(256)) * (_CHUNK // 256))
    if kind == "hellos":
        return itertools.repeat(b"\0" + encode(Frame(HELLO, session, 0, 0, _HELLO)))
    if kind == "acknowledgements":
        return itertools.repeat(b"\0" + 500 * encode(Frame(ACK, session, 0, 1)))
    length = (1 << 30 if kind == "gigabyte" else 1 << 20).to_bytes(8, "little")
    return (
        b"\0"
        + encode(Frame(DATA, session, number % 256, 1, (b"" if number else length) + b"x" * 900))
        for number in itertools.count()
    )


def _serve(kind: str, reader: int, writer: int, over: threading.Event) -> None:
    """Flood once a RESET has come; zeros and noise do not wait for a RESET."""
    session, received = None if kind not in ("zeros", "noise") else 0, b""
    with suppress(OSError):
        while session is None and not over.is_set():
            if not select.select([reader], [], [], 0.1)[0]:
                continue
            received += os.read(reader, 4096)
            for part in received.split(b"\0"):
                frame = decode(part)
                if frame is not None and frame.type == RESET:
                    session = frame.session
        assert session is not None or over.is_set()
        if session is not None and kind not in ("zeros", "noise"):
            os.write(writer, b"\0" + encode(Frame(HELLO, session, 0, 0, _HELLO)))
        for data in _flood(kind, session or 0):
            rest = memoryview(data)
            while rest and not over.is_set():
                if select.select([], [writer], [], 0.1)[1]:
                    # Small pieces: a terminal reports room for a few bytes as room.
                    rest = rest[os.write(writer, rest[:512]) :]
            if over.is_set():
                return


@contextmanager
def flooding(kind: str, line: str) -> Iterator[str]:
    """The URL of a port whose board sends without end.

    Parameters
    ----------
    line
        ``socket`` or ``pty``.
    """
    over = threading.Event()
    if line == "pty":
        ours, theirs = os.openpty()
        tty.setraw(theirs)
        thread = threading.Thread(target=_serve, args=(kind, ours, ours, over), daemon=True)
        thread.start()
        try:
            yield os.ttyname(theirs)
        finally:
            over.set()
            thread.join(10)
            os.close(ours)
            os.close(theirs)
        return

    def accept() -> None:
        while True:
            try:
                end, _ = listener.accept()
            except OSError:
                return
            with end:
                _serve(kind, end.fileno(), end.fileno(), over)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield f"socket://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            over.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)
