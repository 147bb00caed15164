"""Frames and packets that no honest host sends: the device neither faults nor sends noise.

The device runs under address and undefined-behaviour sanitizers, and everything that it sends must
be whole frames with whole packets. All cases come from fixed seeds.
"""

from __future__ import annotations

import random
import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from device_program import running, shared_device
from raw_link import (
    ACK,
    ALLOC,
    ALLOC_SCOPE,
    CALL,
    COPY_ACK,
    COPY_AMONG,
    COPY_FROM,
    COPY_TO,
    CPU,
    DATA,
    EXCEPTION,
    FREE,
    FREE_HANDLE,
    GET_ATTR,
    GET_FUNCTION,
    HELLO,
    INT8,
    POLL,
    RESET,
    RETURN,
    SET_DEVICE,
    SHUTDOWN,
    STREAM_SYNC,
    Frame,
    RawLink,
    RawSession,
    byte_array,
    handle,
    init_packet,
    integer,
    packet,
    tensor,
    tensor_argument,
    text,
    values,
)

PACKETS = 10_000
FRAMES = 10_000
BATCH = 100

INPUT_SLOT, OUTPUT_SLOT = 0x80000000, 0x80010000
ECHO, MEMORY, RUN, SUM = 4, 8, 12, 28
DEVICE = struct.pack("<i", 6) + CPU
DTYPE = struct.pack("<i", 5) + INT8 + bytes(4)
WORDS = (0, 1, 2, 7, 8, 12, 64, 255, 256, 1024, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFC)


def valid_packets() -> list[bytes]:
    def call(function: int, *arguments: bytes) -> bytes:
        return packet(CALL, struct.pack("<Q", function) + values(*arguments))

    copies = [tensor(slot, 8) + struct.pack("<Q", 8) for slot in (INPUT_SLOT, OUTPUT_SLOT)]
    return [
        init_packet(),
        packet(SHUTDOWN),
        call(ECHO, byte_array(bytes(range(40)))),
        call(ECHO, text("some text")),
        call(ECHO, struct.pack("<iIQ", 11, 65, 5) + b"small"),
        call(ECHO, integer(-1)),
        call(ECHO, DTYPE),
        call(MEMORY),
        call(RUN),
        call(SUM, tensor_argument(INPUT_SLOT, 8)),
        call(SUM, tensor_argument(OUTPUT_SLOT, 5, 3)),
        packet(GET_FUNCTION, values(text("tvmtiny.run"))),
        packet(FREE_HANDLE, values(handle(RUN))),
        packet(SET_DEVICE, values(DEVICE)),
        packet(GET_ATTR, values(DEVICE, integer(0))),
        packet(ALLOC, values(DEVICE, integer(1000), integer(64), DTYPE)),
        packet(ALLOC_SCOPE, values(tensor_argument(0, 100), struct.pack("<i", 0))),
        packet(ALLOC_SCOPE, values(tensor_argument(0, 8), text("layer.1"))),
        packet(FREE, values(DEVICE, handle(INPUT_SLOT))),
        packet(FREE, values(DEVICE, handle(1 << 10 | 2))),
        packet(STREAM_SYNC, values(DEVICE, handle(0))),
        packet(COPY_FROM, copies[0]),
        packet(COPY_FROM, copies[1]),
        packet(COPY_TO, copies[0] + bytes(8)),
        packet(
            COPY_AMONG,
            values(tensor_argument(INPUT_SLOT, 8), tensor_argument(OUTPUT_SLOT, 8), handle(0)),
        ),
    ]


def mutated(data: bytes, source: random.Random) -> bytes:
    """Data with some of it changed, missing or repeated."""
    changed = bytearray(data)
    for _ in range(source.choice((0, 1, 1, 1, 2, 4))):
        kind = source.randrange(6)
        at = source.randrange(len(changed)) if changed else 0
        if kind == 0 and changed:
            changed[at] ^= 1 << source.randrange(8)
        elif kind == 1 and len(changed) >= 4:
            at = min(at & ~3, len(changed) - 4)
            changed[at : at + 4] = struct.pack("<I", source.choice(WORDS))
        elif kind == 2:
            del changed[at:]
        elif kind == 3:
            changed[at:at] = source.randbytes(source.randrange(1, 20))
        elif kind == 4:
            changed[at:at] = changed[at : at + source.randrange(1, 40)]
        elif changed:
            changed[at] = source.randrange(256)
    return bytes(changed)


def checked_codes(stream: bytes) -> Iterator[int]:
    """The codes of packets, any of which a device may send; the last may be cut short."""
    while len(stream) >= 12:
        length, code = struct.unpack("<Qi", stream[:12])
        assert code in (RETURN, EXCEPTION, COPY_ACK)
        assert 4 <= length <= 1 << 21
        body, stream = stream[12 : 8 + length], stream[8 + length :]
        if len(body) < length - 4:
            return
        yield code
        if code == EXCEPTION:
            count, kind, size = struct.unpack("<iiQ", body[:16])
            assert (count, kind, size) == (1, 8, len(body) - 16)
            assert body[16:].decode("ascii").isprintable()


def serves_well(link: RawLink, number: int) -> None:
    """Whether an ordinary session works, whatever happened before."""
    session = RawSession(link, number)
    assert session.call("tvmtiny.echo", byte_array(b"\0\1" * 700)) == b"\0\1" * 700
    memory = session.allocate(2000)
    session.copy_to(memory, b"abc" * 600)
    assert session.copy_from(memory, 1800) == b"abc" * 600
    state = session.call("tvmtiny.memory")
    assert isinstance(state, bytes)
    # All allocations of earlier sessions are free again.
    assert struct.unpack("<7I", state)[1] == (1 << 20) - 2000


@pytest.fixture(scope="session")
def device(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_device(tmp_path_factory)


def frames_until_hello(link: RawLink, session: int) -> dict[int, dict[int, bytes]]:
    """Payloads by session and sequence number, starting at the HELLO of a session."""
    payloads: dict[int, dict[int, bytes]] = {}
    while True:
        frame = link.receive_frame()
        assert frame.kind in (ACK, DATA, HELLO)
        if frame.kind == DATA:
            first = payloads.setdefault(frame.session, {}).setdefault(frame.sequence, frame.payload)
            assert first == frame.payload
        if frame.kind == HELLO and frame.session == session:
            return payloads


def test_packets(device: Path) -> None:
    source = random.Random(20)
    packets = valid_packets()
    number = 0
    codes: Counter[int] = Counter()
    with running(device) as link:
        for _ in range(PACKETS // (2 * BATCH)):
            sent = bytearray()
            for _ in range(BATCH):
                number += 1
                # One session each, since bytes after a mutated packet may be taken for a part of
                # it. The answers so far are acknowledged, as far as they are known.
                bodies = [init_packet() if source.random() < 0.95 else b""]
                bodies += [mutated(source.choice(packets), source) for _ in range(2)]
                sent += b"\0" + Frame(RESET, number, 0, 0, b"TVMT\1").encode()
                for sequence, body in enumerate(body for body in bodies if body):
                    for _ in range(source.choice((1, 1, 2))):
                        sent += (
                            b"\0" + Frame(DATA, number, sequence, sequence, body[:1024]).encode()
                        )
            link.send_bytes(bytes(sent))
            link.send_bytes(b"\0" + Frame(RESET, 0x8000, 0, 0, b"TVMT\1").encode())
            for payloads in frames_until_hello(link, 0x8000).values():
                ordered = [payloads[sequence] for sequence in sorted(payloads)]
                codes.update(checked_codes(b"".join(ordered)))
            serves_well(link, 0x9000)
    # Most sessions are initialized; of the packets that follow, some are whole and some are not.
    assert codes[RETURN] > PACKETS // 2 and codes[EXCEPTION] > PACKETS // 8
    assert codes[COPY_ACK] > PACKETS // 100


def test_frames(device: Path) -> None:
    source = random.Random(30)
    packets = valid_packets()
    kinds = (DATA, DATA, DATA, ACK, POLL, RESET, HELLO, 6, 0, 255)
    with running(device) as link:
        for number in range(1, FRAMES // BATCH + 1):
            session = RawSession(link, number)
            sent = bytearray()
            for _ in range(BATCH):
                what = source.randrange(5)
                kind = source.choice(kinds)
                body = source.choice(
                    (b"", b"TVMT\1", source.choice(packets), bytes(1024), bytes(1030))
                )
                frame = Frame(
                    kind,
                    source.choice((number, number, number, 0, 0xFFFF, source.randrange(1 << 16))),
                    source.choice((link.sequence, source.randrange(256))),
                    source.choice((link.expected, source.randrange(256))),
                    body,
                ).encode()
                if what == 0:
                    sent += source.randbytes(source.randrange(1, 60)) + b"\0"
                elif what == 1:
                    sent += mutated(frame, source)
                elif what == 2:
                    # Cut short, so that the CRC is missing or wrong.
                    sent += b"\0" + frame[: source.randrange(1, len(frame))] + b"\0"
                else:
                    sent += frame
            link.send_bytes(bytes(sent))
            link.send_bytes(b"\0" + Frame(RESET, 0x8000, 0, 0, b"TVMT\1").encode())
            frames_until_hello(link, 0x8000)
            assert session.hello.session == number
            if number % 10 == 0:
                serves_well(link, 0x9000)


def test_copies_to_what_does_not_exist(device: Path) -> None:
    source = random.Random(40)
    with running(device) as link:
        session = RawSession(link, 1)
        blocks = [session.allocate(size) for size in (1, 100, 5000)]
        for _ in range(400):
            target = source.choice(
                (*blocks, blocks[0] + 4, 1, INPUT_SLOT, source.randrange(1 << 32))
            )
            size = source.choice((0, 1, 8, 100, 5001, 1 << 31, (1 << 32) - 1, 1 << 33))
            offset = source.choice((0, 1, 99, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 64) - 1))
            head = struct.pack("<Q", target) + CPU + struct.pack("<i", 1) + INT8
            body = head + struct.pack("<QQQ", 8, offset, size)
            link.write(packet(COPY_FROM, body))
            code, data = session.answer()
            assert code == EXCEPTION or (code == COPY_ACK and len(data) == size)
        serves_well(link, 2)
