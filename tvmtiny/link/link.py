"""The link: a reliable byte stream over a serial line.

Each direction has at most one unacknowledged DATA frame. Only the host has a clock: it repeats
frames that are not acknowledged, and polls for answers that do not arrive.
"""

from __future__ import annotations

import os
import time
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any, NoReturn

from tvmtiny.errors import LinkClosedError, LinkProtocolError, LinkTimeoutError
from tvmtiny.link.frames import (
    ABORT,
    ACK,
    DATA,
    HELLO,
    MAGIC,
    NO_SESSION,
    POLL,
    RESET,
    VERSION,
    Frame,
    Hello,
    decode,
    encode,
    in_words,
    parse_hello,
)
from tvmtiny.link.packets import LONGEST_ANSWER
from tvmtiny.link.transport import DisconnectedError, Line

__all__ = ["Deadline", "Link", "Statistics"]

#: Limit on the length of a frame, so that noise without zero bytes cannot exhaust memory.
_LONGEST_FRAME = (1 << 16) + 1024
_KEPT_FRAMES = 16

# Seconds until a frame is repeated: the initial value, and its lower and upper bound.
_FIRST_WAIT, _SHORTEST_WAIT, _LONGEST_WAIT = 0.2, 0.03, 0.5
_WAIT_GROWTH = 1.5
# Seconds between polls; the interval doubles, because an answer may legitimately take long.
_FIRST_POLL, _LONGEST_POLL = 0.05, 2.0
# On a line that loses frames, shorter frames are more likely to arrive.
_SHORTEST_PAYLOAD, _PAYLOAD_GROWTH = 64, 32
# From this payload length on, the length rather than the line dominates a frame's round trip.
_LONG_PAYLOAD = 256
# Seconds between attempts to reset.
_FIRST_RESET, _LONGEST_RESET = 0.1, 1.0
_WRITE_SECONDS = 1.0
# Seconds allowed for ending a session on a line that may accept no more bytes.
_ABANDON_SECONDS = 0.25


@dataclass
class Statistics:
    """Counters since the line was opened.

    Attributes
    ----------
    bytes_sent, bytes_received
        Bytes on the line.
    stream_sent, stream_received
        Payload bytes of the stream, each counted once.
    frames_sent, frames_received
        Valid frames of this session.
    frames_repeated
        DATA frames that were repeated.
    frames_dropped
        Frames that arrived damaged or belong to another session.
    frames_duplicate
        DATA frames that arrived more than once.
    polls
        POLL frames sent.
    resets
        Number of resets of the board.
    """

    bytes_sent: int = 0
    bytes_received: int = 0
    stream_sent: int = 0
    stream_received: int = 0
    frames_sent: int = 0
    frames_received: int = 0
    frames_repeated: int = 0
    frames_dropped: int = 0
    frames_duplicate: int = 0
    polls: int = 0
    resets: int = 0


@dataclass(frozen=True)
class Deadline:
    """A point in time by which an operation must finish.

    Attributes
    ----------
    at
        Value of :func:`time.monotonic` at the deadline.
    seconds
        Length of the whole period in seconds.
    """

    at: float
    seconds: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """Create a deadline `seconds` from now."""
        return cls(time.monotonic() + seconds, seconds)

    def left(self) -> float:
        """Return the remaining seconds; 0 after the deadline."""
        return max(0.0, self.at - time.monotonic())

    def passed(self) -> bool:
        """Whether the deadline has passed."""
        return time.monotonic() >= self.at


class _RoundTrip:
    """Estimate of the time from a frame to its acknowledgement, as in RFC 6298."""

    def __init__(self) -> None:
        self._mean: float | None = None
        self._variation = 0.0
        self._at_least = 0.0

    def back_off(self, wait: float) -> None:
        """Wait at least as long for the next frame: the last one may have been late, not lost."""
        self._at_least = wait

    def measure(self, seconds: float) -> None:
        self._at_least = 0.0
        if self._mean is None:
            self._mean, self._variation = seconds, seconds / 2
        self._variation += (abs(self._mean - seconds) - self._variation) / 4
        self._mean += (seconds - self._mean) / 8

    def repeat_after(self) -> float:
        if self._mean is None:
            return _FIRST_WAIT
        wait = max(self._mean + 4 * self._variation, _SHORTEST_WAIT, self._at_least)
        return min(wait, _LONGEST_WAIT)


class Link:
    """A reliable stream of bytes to and from a board.

    Parameters
    ----------
    line
        Line that carries the bytes; its owner closes it.

    Notes
    -----
    Every method that waits takes a deadline. It raises `LinkTimeoutError` when the deadline passes,
    `LinkClosedError` when the line is gone, and `LinkProtocolError` when the board sends something
    that was not requested. After any of these the link is unusable until :meth:`reset`. A board may
    send without end, so every loop checks the deadline even while data arrives, and no more data is
    kept than was requested.
    """

    def __init__(self, line: Line) -> None:
        self.statistics = Statistics()
        self.hello: Hello | None = None
        self._line = line
        self._session = NO_SESSION
        self._sequence = 0
        self._expected = 0
        self._acknowledged = 0
        self._stream = bytearray()
        self._most = 0
        self._received = bytearray()
        self._encoded: deque[bytes] = deque()
        self._trace: deque[tuple[float, str, Frame | int]] = deque(maxlen=_KEPT_FRAMES)
        self._payload_bytes = 1
        # Long frames are timed separately: an emulated port spends time on each byte.
        self._round_trips = (_RoundTrip(), _RoundTrip())

    @property
    def frames(self) -> tuple[str, ...]:
        """The most recent frames in words, oldest first, with their age in seconds."""
        now = time.monotonic()
        return tuple(in_words(now - when, mark, what) for when, mark, what in self._trace)

    def reset(self, deadline: Deadline) -> Hello:
        """Start a new session on the board, aborting anything that it is doing.

        Raises
        ------
        LinkTimeoutError
            The board does not answer.
        LinkProtocolError
            The board speaks another version of the protocol.
        LinkClosedError
            The line is gone.
        """
        self.abandon(deadline)
        started = time.monotonic()
        interval = _FIRST_RESET
        while True:
            frame = self._next_frame(min(deadline.at, time.monotonic() + interval))
            if frame is not None and frame.type == HELLO:
                hello = parse_hello(frame.payload)
                if isinstance(hello, str):
                    raise LinkProtocolError(self._line.url, hello, deadline.seconds, self.frames)
                self.hello = hello
                self._payload_bytes = hello.largest_payload
                if interval == _FIRST_RESET:
                    self._measure(0, time.monotonic() - started)
                return hello
            if deadline.passed():
                self._time_out("it does not say HELLO", deadline)
            if frame is None:
                interval = min(2 * interval, _LONGEST_RESET)
                self._send_reset(deadline)

    def abandon(self, deadline: Deadline | None = None) -> None:
        """Drop the session and tell the board to do so, without waiting for an answer.

        Parameters
        ----------
        deadline
            Time by which the line must accept the message; by default a quarter of a second from
            now.
        """
        before = self._session
        while self._session in (before, NO_SESSION):
            self._session = int.from_bytes(os.urandom(2), "little")
        self._sequence = self._expected = self._acknowledged = 0
        self._stream.clear()
        self.statistics.resets += 1
        self._send_reset(deadline or Deadline.after(_ABANDON_SECONDS))

    def send(self, data: bytes, deadline: Deadline) -> None:
        """Send bytes; when this returns, the board has received them."""
        rest = memoryview(data)
        # An answer cannot start before the last frame of the request.
        self._most = _LONGEST_FRAME
        while rest:
            payload = bytes(rest[: self._payload_bytes])
            self._send_data(payload, deadline)
            rest = rest[len(payload) :]

    def receive_packet(self, deadline: Deadline, longest: int = LONGEST_ANSWER) -> bytes:
        """Receive one packet of TVM's protocol: an eight-byte length, followed by that many bytes.

        Parameters
        ----------
        longest
            Limit on the length of the answer; see `packets.longest_answer`.

        Raises
        ------
        LinkProtocolError
            The length is out of range.
        """
        self._fill(8, deadline)
        length = int.from_bytes(self._stream[:8], "little")
        if not 4 <= length <= longest:
            self._refuse(
                f"it sent a packet of {length} bytes, but the limit is {longest}", deadline
            )
        self._fill(8 + length, deadline)
        with memoryview(self._stream) as view:
            packet = bytes(view[: 8 + length])
        del self._stream[: 8 + length]
        return packet

    def describe(self) -> dict[str, Any]:
        """Return statistics and the board's HELLO, for JSON."""
        hello = self.hello
        return {
            "url": self._line.url,
            "board": hello.board if hello else None,
            "identity": hello.identity.hex() if hello else None,
            "largest_payload": hello.largest_payload if hello else None,
            **asdict(self.statistics),
        }

    def _fill(self, count: int, deadline: Deadline) -> None:
        """Wait until `count` bytes of the stream have arrived."""
        # Boards send only requested packets, but may fill up the last frame.
        self._most = count + _LONGEST_FRAME
        interval = max(_FIRST_POLL, 2 * self._repeat_after(0))
        while len(self._stream) < count:
            frame = self._next_frame(min(deadline.at, time.monotonic() + interval))
            if frame is not None and self._handle(frame, deadline):
                interval = max(_FIRST_POLL, 2 * self._repeat_after(len(frame.payload)))
            if len(self._stream) < count and deadline.passed():
                self._time_out("the answer did not come", deadline)
            if frame is None:
                interval = min(2 * interval, _LONGEST_POLL)
                self.statistics.polls += 1
                self._write(POLL, deadline, repeat=True)

    def _send_data(self, payload: bytes, deadline: Deadline) -> None:
        wait = self._repeat_after(len(payload))
        started = time.monotonic()
        self._write(DATA, deadline, payload)
        repeated = 0
        following = (self._sequence + 1) % 256
        while self._acknowledged != following:
            frame = self._next_frame(min(deadline.at, started + wait))
            if frame is not None:
                self._handle(frame, deadline)
            if self._acknowledged == following:
                break
            if deadline.passed():
                self._time_out("it does not acknowledge what was sent", deadline)
            if frame is not None and time.monotonic() < started + wait:
                continue
            repeated += 1
            wait = min(_WAIT_GROWTH * wait, _LONGEST_WAIT + len(payload) * self._line.byte_seconds)
            started = time.monotonic()
            self._write(DATA, deadline, payload, repeat=True)
        self.statistics.frames_repeated += repeated
        self._sequence = following
        self.statistics.stream_sent += len(payload)
        if repeated == 0:
            # The acknowledgement of a repeated frame could belong to any of its copies.
            self._measure(len(payload), time.monotonic() - started)
        else:
            long = len(payload) >= _LONG_PAYLOAD
            self._round_trips[long].back_off(wait - len(payload) * self._line.byte_seconds)
        largest = self.hello.largest_payload if self.hello else 1
        if repeated > 1:
            shorter = max(_SHORTEST_PAYLOAD, self._payload_bytes // 2)
            self._payload_bytes = min(shorter, largest)
        elif repeated == 0:
            self._payload_bytes = min(self._payload_bytes + _PAYLOAD_GROWTH, largest)

    def _repeat_after(self, length: int) -> float:
        """Return the seconds after which a frame with a payload of `length` counts as lost."""
        known = self._round_trips[length >= _LONG_PAYLOAD].repeat_after()
        return known + length * self._line.byte_seconds

    def _measure(self, length: int, seconds: float) -> None:
        seconds -= length * self._line.byte_seconds
        self._round_trips[length >= _LONG_PAYLOAD].measure(max(0.0, seconds))

    def _handle(self, frame: Frame, deadline: Deadline) -> bool:
        """Process a frame; return True if the stream grew."""
        if frame.acknowledged == (self._sequence + 1) % 256:
            self._acknowledged = frame.acknowledged
        if frame.type != DATA or not frame.payload:
            return False
        new = frame.sequence == self._expected
        if new:
            if len(self._stream) + len(frame.payload) > self._most:
                self._refuse("it sends more than was requested", deadline)
            self._expected = (self._expected + 1) % 256
            self._stream += frame.payload
            self.statistics.stream_received += len(frame.payload)
        elif frame.sequence == (self._expected - 1) % 256:
            self.statistics.frames_duplicate += 1
        else:
            self.statistics.frames_dropped += 1
            return False
        self._write(ACK, deadline, repeat=not new)
        return new

    def _next_frame(self, until: float) -> Frame | None:
        """Wait for a frame of this session; after a damaged frame, wait only briefly."""
        read = False
        while True:
            while self._encoded:
                frame = self._decode(self._encoded.popleft())
                if frame is not None:
                    return frame
                now = time.monotonic()
                until = min(until, now + _SHORTEST_WAIT)
                if now >= until:
                    return None
            if read and time.monotonic() >= until:
                return None
            read = True
            try:
                data = self._line.read(max(0.0, until - time.monotonic()))
            except DisconnectedError as error:
                raise LinkClosedError(self._line.url, str(error), frames=self.frames) from error
            if not data:
                return None
            self.statistics.bytes_received += len(data)
            *ended, rest = data.split(b"\0")
            if ended:
                ended[0] = bytes(self._received) + ended[0]
                self._received.clear()
                # Consecutive zero bytes delimit nothing.
                self._encoded.extend(filter(None, ended))
            self._received += rest
            del self._received[_LONGEST_FRAME:]

    def _decode(self, encoded: bytes) -> Frame | None:
        frame = decode(encoded)
        now = time.monotonic()
        if frame is None:
            self._trace.append((now, "<", len(encoded)))
        else:
            self._trace.append((now, "<", frame))
        if frame is None or frame.session != self._session:
            self.statistics.frames_dropped += 1
            return None
        self.statistics.frames_received += 1
        return frame

    def _write(
        self, kind: int, deadline: Deadline, payload: bytes = b"", *, repeat: bool = False
    ) -> None:
        sequence = self._sequence if kind == DATA else 0
        self._put(Frame(kind, self._session, sequence, self._expected, payload), deadline, repeat)

    def _send_reset(self, deadline: Deadline) -> None:
        reset = Frame(RESET, self._session, payload=MAGIC + bytes([VERSION]))
        for frame in (Frame(ABORT, NO_SESSION), reset):
            self._put(frame, deadline, separate=True)

    def _put(self, frame: Frame, deadline: Deadline, separate: bool) -> None:
        """Write a frame, preceded by a zero byte if the previous frame may be incomplete."""
        data = (b"\0" if separate else b"") + encode(frame)
        self._trace.append((time.monotonic(), ">", frame))
        limit = _WRITE_SECONDS + len(data) * self._line.byte_seconds
        seconds = min(limit, deadline.left())
        try:
            written = self._line.write(data, seconds)
        except DisconnectedError as error:
            raise LinkClosedError(self._line.url, str(error), frames=self.frames) from error
        if not written:
            waited = limit if seconds == limit else deadline.seconds
            raise LinkTimeoutError(
                self._line.url, "the line accepts no more bytes", waited, self.frames
            )
        self.statistics.bytes_sent += len(data)
        self.statistics.frames_sent += 1

    def _time_out(self, reason: str, deadline: Deadline) -> NoReturn:
        raise LinkTimeoutError(self._line.url, reason, deadline.seconds, self.frames)

    def _refuse(self, reason: str, deadline: Deadline) -> NoReturn:
        raise LinkProtocolError(self._line.url, reason, deadline.seconds, self.frames)
