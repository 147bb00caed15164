"""Link frames: ``COBS(type session sequence acknowledged payload crc) 00``."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from cobs import cobs

__all__ = [
    "ABORT",
    "ACK",
    "DATA",
    "HELLO",
    "MAGIC",
    "NO_SESSION",
    "POLL",
    "RESET",
    "VERSION",
    "Frame",
    "Hello",
    "decode",
    "encode",
    "in_words",
    "parse_hello",
]

DATA, ACK, POLL, RESET, HELLO, ABORT = range(1, 7)
_NAMES = {DATA: "DATA", ACK: "ACK", POLL: "POLL", RESET: "RESET", HELLO: "HELLO", ABORT: "ABORT"}

VERSION = 1
MAGIC = b"TVMT"
NO_SESSION = 0xFFFF

_HEADER = struct.Struct("<BHBB")
_CRC = struct.Struct("<I")
_HELLO = struct.Struct("<BH8sB")


@dataclass(frozen=True)
class Frame:
    """A link frame.

    Attributes
    ----------
    type
        Frame type, `DATA` to `ABORT`.
    session
        Random session number that the host chooses at each reset.
    sequence
        Sequence number of a DATA frame, modulo 256; 0 in other frames.
    acknowledged
        Sequence number that the sender expects next.
    payload
        Bytes of the stream in a DATA frame; otherwise defined by the type.
    """

    type: int
    session: int
    sequence: int = 0
    acknowledged: int = 0
    payload: bytes = b""


@dataclass(frozen=True)
class Hello:
    """Information that a board sends after a reset.

    Attributes
    ----------
    largest_payload
        Largest payload in bytes that the board accepts in a DATA frame.
    identity
        Eight bytes that identify the compiled model.
    board
        Name of the board.
    """

    largest_payload: int
    identity: bytes
    board: str


def encode(frame: Frame) -> bytes:
    """Encode a frame, including the terminating zero byte."""
    body = _HEADER.pack(frame.type, frame.session, frame.sequence, frame.acknowledged)
    body += frame.payload
    return bytes(cobs.encode(body + _CRC.pack(zlib.crc32(body)))) + b"\0"


def decode(encoded: bytes) -> Frame | None:
    """Decode the bytes between two zero bytes; None unless they are an intact frame."""
    # COBS adds at least one byte. Noise has many zeros, so most of its parts are shorter.
    if len(encoded) <= _HEADER.size + _CRC.size:
        return None
    try:
        raw = cobs.decode(encoded)
    except cobs.DecodeError:
        return None
    if len(raw) < _HEADER.size + _CRC.size:
        return None
    body = raw[: -_CRC.size]
    if _CRC.pack(zlib.crc32(body)) != raw[-_CRC.size :] or body[0] not in _NAMES:
        return None
    kind, session, sequence, acknowledged = _HEADER.unpack_from(body)
    return Frame(kind, session, sequence, acknowledged, bytes(body[_HEADER.size :]))


def parse_hello(payload: bytes) -> Hello | str:
    """Parse the payload of a HELLO; return a description of the problem if it is invalid."""
    if len(payload) < _HELLO.size:
        return "it said HELLO in too few bytes"
    version, largest, identity, length = _HELLO.unpack_from(payload)
    if version != VERSION:
        return f"it speaks version {version} of the link, not {VERSION}"
    name = payload[_HELLO.size :]
    if len(name) != length or not largest:
        return "its HELLO makes no sense"
    return Hello(largest, identity, name.decode("utf-8", "replace"))


def in_words(age: float, mark: str, what: Frame | int) -> str:
    """Describe a frame, or a number of bytes that were not a frame, for error messages."""
    if isinstance(what, int):
        return f"-{age:.3f} s {mark} {what} bytes that are not a frame"
    text = f"-{age:.3f} s {mark} {_NAMES[what.type]} session {what.session:04x}"
    if what.type == DATA:
        text += f" sequence {what.sequence}, {len(what.payload)} bytes"
    return f"{text}, acknowledged {what.acknowledged}"
