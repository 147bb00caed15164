"""The host's side of the link, against a board in Python."""

from __future__ import annotations

import os
import random
import socket
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from python_peer import BOARD, IDENTITY, Peer, SocketLine, pair

from tvmtiny.errors import LinkClosedError, LinkProtocolError, LinkTimeoutError
from tvmtiny.link import packets
from tvmtiny.link.frames import ABORT, ACK, DATA, HELLO, Frame, decode, encode
from tvmtiny.link.link import Deadline, Link

SOON = 0.3
LONG = 20.0


@pytest.fixture
def board() -> Iterator[tuple[Link, Peer]]:
    end, peer = pair()
    yield Link(SocketLine(end)), peer
    end.close()
    peer.close()


def echo_packet(data: bytes) -> bytes:
    return packets.make(
        packets.CALL_FUNC,
        struct.pack("<QiiQ", 1, 1, packets.BYTES_POINTER, len(data)) + data,
    )


def echo(link: Link, data: bytes, seconds: float = LONG) -> bytes:
    deadline = Deadline.after(seconds)
    link.send(echo_packet(data), deadline)
    value = packets.arguments(link.receive_packet(deadline))[1]
    assert isinstance(value, bytes)
    return value


@given(
    st.builds(
        Frame,
        st.integers(1, 6),
        st.integers(0, 0xFFFF),
        st.integers(0, 255),
        st.integers(0, 255),
        st.binary(max_size=600),
    )
)
def test_frames_come_back_and_have_no_zero_inside(frame: Frame) -> None:
    encoded = encode(frame)
    assert encoded.index(b"\0") == len(encoded) - 1
    assert decode(encoded[:-1]) == frame
    # 5 bytes of header, 4 of CRC, 1 at the end, and one in 254 of COBS.
    assert len(encoded) <= len(frame.payload) + 10 + 1 + len(frame.payload) // 200


@given(st.binary(min_size=1, max_size=60), st.integers(0, 59), st.integers(1, 255))
def test_a_changed_byte_is_noticed(payload: bytes, at: int, change: int) -> None:
    encoded = bytearray(encode(Frame(DATA, 7, 1, 2, payload))[:-1])
    encoded[at % len(encoded)] ^= change
    assert decode(bytes(encoded)) is None


@pytest.mark.parametrize("noise", [b"", b"\1", b"noise", b"\xff" * 40])
def test_noise_is_no_frame(noise: bytes) -> None:
    assert decode(noise) is None


def test_abort_never_changes() -> None:
    """Boards compare these bytes in their receive interrupt."""
    assert encode(Frame(ABORT, 0xFFFF)).hex() == "0406ffff0105a130ff2900"


def test_hello(board: tuple[Link, Peer]) -> None:
    link, peer = board
    hello = link.reset(Deadline.after(LONG))
    assert (hello.board, hello.identity, hello.largest_payload) == (BOARD, IDENTITY, peer.largest)


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 5000])
def test_stream(board: tuple[Link, Peer], size: int) -> None:
    link, _ = board
    link.reset(Deadline.after(LONG))
    data = os.urandom(size)
    assert echo(link, data) == data
    assert link.statistics.frames_repeated == link.statistics.polls == 0


def test_sequences_wrap(board: tuple[Link, Peer]) -> None:
    link, peer = board
    link.reset(Deadline.after(LONG))
    for number in range(300):
        assert echo(link, bytes([number % 256])) == bytes([number % 256])
    assert peer.served == 300


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_lost_frames_are_repeated_and_nothing_is_served_twice(
    board: tuple[Link, Peer], share: float
) -> None:
    link, peer = board
    link.reset(Deadline.after(LONG))
    seeded = random.Random(1)
    peer.outgoing = lambda data: b"" if seeded.random() < share else data
    for number in range(10):
        data = seeded.randbytes(700)
        assert echo(link, data) == data, number
    assert peer.served == 10
    assert link.statistics.frames_repeated + link.statistics.polls > 0


def test_repeated_frames_are_delivered_once(board: tuple[Link, Peer]) -> None:
    link, peer = board
    link.reset(Deadline.after(LONG))
    peer.outgoing = lambda data: data + data
    for _ in range(5):
        data = os.urandom(700)
        assert echo(link, data) == data
    assert link.statistics.frames_duplicate > 0


def test_noise_between_frames(board: tuple[Link, Peer]) -> None:
    link, peer = board
    link.reset(Deadline.after(LONG))
    peer.outgoing = lambda data: b"boot: ok\r\n" + data + b"\0\0"
    assert echo(link, b"abc") == b"abc"
    assert link.statistics.frames_dropped > 0


def test_frames_of_an_earlier_session_are_dropped(board: tuple[Link, Peer]) -> None:
    link, peer = board
    link.reset(Deadline.after(LONG))
    late = encode(Frame(DATA, link._session, 0, 1, b"late"))
    link.reset(Deadline.after(LONG))
    peer.outgoing = lambda data: late + data
    assert echo(link, b"abc") == b"abc"


def test_a_silent_board() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with pytest.raises(LinkTimeoutError, match=r"no answer from .* within 0\.3 s") as caught:
            Link(SocketLine(ours)).reset(Deadline.after(SOON))
        assert any("RESET" in frame for frame in caught.value.frames)
        assert caught.value.seconds == SOON


def test_a_board_that_stops_answering(board: tuple[Link, Peer]) -> None:
    link, peer = board
    link.reset(Deadline.after(LONG))
    peer.outgoing = lambda data: b""
    with pytest.raises(LinkTimeoutError) as caught:
        echo(link, b"abc", SOON)
    assert any("DATA" in frame for frame in caught.value.frames)
    peer.outgoing = lambda data: data
    link.reset(Deadline.after(LONG))
    assert echo(link, b"abc") == b"abc"


def test_a_board_that_goes_away(board: tuple[Link, Peer]) -> None:
    link, peer = board
    link.reset(Deadline.after(LONG))
    peer.end.shutdown(socket.SHUT_RDWR)
    with pytest.raises(LinkClosedError) as caught:
        echo(link, b"abc")
    assert any("HELLO" in frame for frame in caught.value.frames)


def answer_reset(end: socket.socket, kind: int, payload: bytes) -> None:
    """Wait for a RESET and answer it with a frame of its session."""
    for encoded in end.recv(4096).split(b"\0"):
        frame = decode(encoded)
        if frame is not None and frame.type != ABORT:
            end.sendall(b"\0" + encode(Frame(kind, frame.session, 0, 0, payload)))


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (struct.pack("<BH8sB", 2, 256, IDENTITY, 0), "version 2"),
        (struct.pack("<BH8sB", 1, 0, IDENTITY, 0), "makes no sense"),
        (struct.pack("<BH8sB", 1, 256, IDENTITY, 9) + b"board", "makes no sense"),
        (b"\1", "too few bytes"),
    ],
)
def test_another_hello(payload: bytes, reason: str) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        link = Link(SocketLine(ours))
        link.abandon()
        answer_reset(theirs, HELLO, payload)
        # The answer belongs to the session of abandon(), with which reset() begins as well.
        link.abandon = lambda *_: None  # type: ignore[method-assign]
        with pytest.raises(LinkProtocolError, match=reason):
            link.reset(Deadline.after(LONG))


def test_a_packet_of_nonsense_length() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        link = Link(SocketLine(ours))
        link.abandon()
        answer_reset(theirs, DATA, b"\xff" * 8)
        with pytest.raises(LinkProtocolError, match="a packet of"):
            link.receive_packet(Deadline.after(LONG))
        frame = decode(theirs.recv(4096).split(b"\0")[0])
        assert frame is not None and (frame.type, frame.acknowledged) == (ACK, 1)
