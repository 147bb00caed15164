"""Boards that never stop sending: each wait ends by its deadline and keeps little data.

Time is that of the line: a read or a write takes as long as the line says, so that nothing
depends on the speed of this machine.
"""

from __future__ import annotations

import itertools
import random
import struct
import tracemalloc
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from tvmtiny.errors import LinkError, LinkProtocolError, LinkTimeoutError
from tvmtiny.link import link as module
from tvmtiny.link import packets
from tvmtiny.link.frames import ACK, DATA, HELLO, POLL, RESET, Frame, decode, encode
from tvmtiny.link.link import Deadline, Link

SECONDS = 1.0
#: The time that a read, and a write that succeeds, take.
READ_SECONDS, WRITE_SECONDS = 0.02, 0.0001
CHUNK = 1024
HELLO_PAYLOAD = struct.pack("<BH8sB", 1, 256, bytes(8), 4) + b"peer"
REQUEST = packets.make(packets.GET_GLOBAL_FUNC, bytes(1000))
#: The most bytes that may be kept of a flood: some frames of the largest size.
MOST_BYTES = 1 << 21

Flood = Callable[[int], Iterator[bytes]]


def frames(kind: int, payload: bytes = b"", *, ascending: bool = False) -> Flood:
    """Whole frames of a session that acknowledge nothing sent after the reset."""

    def frame(session: int, sequence: int) -> bytes:
        return b"\0" + encode(Frame(kind, session, sequence, 0, payload))

    def flood(session: int) -> Iterator[bytes]:
        if ascending:
            return (frame(session, number % 256) for number in itertools.count())
        return itertools.repeat(frame(session, 255))

    return flood


def noise() -> Flood:
    source = random.Random(1)
    return lambda _: iter(lambda: source.randbytes(CHUNK), None)


FLOODS: dict[str, Flood] = {
    "zeros": lambda _: itertools.repeat(bytes(CHUNK)),
    "ones": lambda _: itertools.repeat(b"\xff" * CHUNK),
    "noise": noise(),
    "short frames that are none": lambda _: itertools.repeat(b"\0ab" * (CHUNK // 3)),
    "ACK": frames(ACK),
    "HELLO": frames(HELLO, HELLO_PAYLOAD),
    "POLL": frames(POLL),
    "DATA again": frames(DATA, bytes(200)),
    "DATA": frames(DATA, bytes(200), ascending=True),
    "long DATA": frames(DATA, bytes(60_000), ascending=True),
    "another session": lambda session: frames(DATA, bytes(200))(session ^ 1),
}


class FloodingLine:
    """A line whose board says HELLO and acknowledges until its flood begins.

    Parameters
    ----------
    honest
        Number of the host's frames that are answered properly.
    deaf
        Whether no more bytes can be written afterwards.
    """

    url = "flood://"
    byte_seconds = 0.0

    def __init__(self, flood: Flood, honest: int, deaf: bool = False) -> None:
        self.now = 1000.0
        self._flood, self._honest, self._deaf = flood, honest, deaf
        self._answers: list[bytes] = []
        self._flooding: Iterator[bytes] | None = None
        self._session = 0

    def monotonic(self) -> float:
        return self.now

    def read(self, seconds: float) -> bytes:
        if self._answers:
            return self._answers.pop(0)
        if self._honest:
            self.now += seconds
            return b""
        self.now += READ_SECONDS
        if self._flooding is None:
            self._flooding = self._flood(self._session)
        data = b""
        while len(data) < CHUNK:
            data += next(self._flooding)
        return data

    def write(self, data: bytes, seconds: float) -> bool:
        if self._deaf and not self._honest:
            self.now += seconds
            return False
        self.now += WRITE_SECONDS
        frame = next(f for f in map(decode, data.split(b"\0")) if f is not None)
        if frame.type == RESET:
            self._session = frame.session
        if self._honest and frame.type in (RESET, DATA):
            self._honest -= 1
            kind, payload = (HELLO, HELLO_PAYLOAD) if frame.type == RESET else (ACK, b"")
            acknowledged = (frame.sequence + 1) % 256 if frame.type == DATA else 0
            answer = Frame(kind, frame.session, 0, acknowledged, payload)
            self._answers.append(b"\0" + encode(answer))
        return True

    def close(self) -> None:
        pass


def ask(link: Link, line: FloodingLine) -> tuple[LinkError, float]:
    """Reset, send a request and wait for the answer; return the error and its time."""
    with pytest.raises(LinkError) as caught:
        link.reset(Deadline.after(SECONDS))
        line.now = 2000.0
        deadline = Deadline.after(SECONDS)
        link.send(REQUEST, deadline)
        link.receive_packet(deadline)
    return caught.value, line.now - (2000.0 if line.now >= 2000.0 else 1000.0)


#: The phases of a flood: during the reset, the request, and the wait for the answer.
RESETTING, SENDING, RECEIVING = 0, 2, 5


@pytest.mark.parametrize(
    ("name", "honest"),
    # A HELLO is the answer to a reset.
    [
        (name, honest)
        for name in FLOODS
        for honest in (RESETTING, SENDING, RECEIVING)
        if (name, honest) != ("HELLO", RESETTING)
    ],
)
def test_a_flood(name: str, honest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    line = FloodingLine(FLOODS[name], honest)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=line.monotonic))
    tracemalloc.start()
    try:
        error, passed = ask(Link(line), line)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert passed <= SECONDS + 1
    assert error.url == line.url and error.frames
    # Bytes outside the protocol may be refused at once; the host waits for anything else.
    if not (name in ("DATA", "long DATA") and honest):
        assert isinstance(error, LinkTimeoutError) and error.seconds == SECONDS
    assert peak < MOST_BYTES


@pytest.mark.parametrize("honest", [RESETTING, SENDING])
def test_a_flood_of_a_board_that_does_not_read(
    honest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = FloodingLine(FLOODS["DATA again"], honest, deaf=True)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=line.monotonic))
    error, passed = ask(Link(line), line)
    assert isinstance(error, LinkTimeoutError)
    assert passed <= SECONDS + 1


@pytest.mark.parametrize("length", [0, 3, (1 << 20) + 1, 1 << 30, (1 << 64) - 1])
def test_a_length_that_nothing_was_asked_for(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    payload = length.to_bytes(8, "little") + bytes(200)
    line = FloodingLine(frames(DATA, payload, ascending=True), RECEIVING)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=line.monotonic))
    error, passed = ask(Link(line), line)
    assert isinstance(error, LinkProtocolError) and str(length) in error.reason
    assert passed < 1


def test_what_a_request_may_be_answered_with() -> None:
    copy = packets.make(packets.COPY_FROM_REMOTE, bytes(40) + struct.pack("<Q", 3 << 20))
    assert packets.longest_answer(copy) == 4 + (3 << 20)
    short = packets.make(packets.COPY_FROM_REMOTE, bytes(40) + struct.pack("<Q", 8))
    assert packets.longest_answer(short) == packets.longest_answer(REQUEST) == 1 << 20
