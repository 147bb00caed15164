"""Packets of TVM's RPC protocol, as far as the bridge needs to understand them.

A packet is an eight-byte length followed by that many bytes: a four-byte code and its body. See
``rpc_reference.h`` of TVM 0.27, protocol version 0.8.0.
"""

from __future__ import annotations

import struct

__all__ = [
    "CALL_FUNC",
    "COPY_ACK",
    "COPY_FROM_REMOTE",
    "COPY_TO_REMOTE",
    "DEV_FREE_DATA",
    "EXCEPTION",
    "FREE_HANDLE",
    "GET_GLOBAL_FUNC",
    "INIT_SERVER",
    "LONGEST_ANSWER",
    "RETURN",
    "SHUTDOWN",
    "MalformedError",
    "arguments",
    "call",
    "code",
    "exception",
    "longest_answer",
    "make",
    "return_handle",
    "return_nothing",
    "return_text",
    "without_constructor",
]

# enum class RPCCode
SHUTDOWN, INIT_SERVER, CALL_FUNC, RETURN, EXCEPTION = range(1, 6)
COPY_FROM_REMOTE, COPY_TO_REMOTE, COPY_ACK = range(6, 9)
GET_GLOBAL_FUNC, FREE_HANDLE = 9, 10
DEV_FREE_DATA = 14

# enum TVMFFITypeIndex
NONE, INT, BOOL, FLOAT, OPAQUE = range(5)
RAW_STR, BYTES_POINTER = 8, 9
SMALL_STR, SMALL_BYTES = 11, 12
STR, BYTES = 65, 66

#: Limit on any answer other than a copy of memory: values and text.
LONGEST_ANSWER = 1 << 20

_HEAD = struct.Struct("<Qi")

Value = int | float | str | bytes | None


class MalformedError(Exception):
    """A packet is malformed."""


def make(kind: int, body: bytes = b"") -> bytes:
    """Build a packet from a code and a body."""
    return _HEAD.pack(4 + len(body), kind) + body


def code(packet: bytes) -> int:
    """Return the code of a packet."""
    return _HEAD.unpack_from(packet)[1] if len(packet) >= _HEAD.size else 0


def call(packet: bytes) -> tuple[int, int]:
    """Return the handle of the called function, and the offset of the arguments."""
    return _unpack("<Q", packet, _HEAD.size)[0], _HEAD.size + 8


def longest_answer(packet: bytes) -> int:
    """Return the largest length that the answer to a request may announce."""
    if code(packet) != COPY_FROM_REMOTE:
        return LONGEST_ANSWER
    # The requested number of bytes comes last in the request; the answer adds a four-byte code.
    return max(LONGEST_ANSWER, 4 + int.from_bytes(packet[-8:], "little"))


def without_constructor(packet: bytes) -> bytes:
    """Return a session's first packet for the board, reduced to TVM's version.

    Clients of TVM's servers append the constructor of the connection, which already exists here.

    Raises
    ------
    MalformedError
        The packet is truncated.
    """
    (length,) = _unpack("<Q", packet, _HEAD.size)
    end = _HEAD.size + 8 + length
    if end > len(packet):
        raise MalformedError("the version is truncated")
    return make(INIT_SERVER, packet[_HEAD.size : end] + struct.pack("<i", 0))


def arguments(packet: bytes, offset: int = _HEAD.size) -> list[Value]:
    """Parse packed arguments: numbers, handles and text.

    Raises
    ------
    MalformedError
        The arguments are truncated or of an unknown type.
    """
    (count,) = _unpack("<i", packet, offset)
    offset += 4
    values: list[Value] = []
    for _ in range(count):
        (kind,) = _unpack("<i", packet, offset)
        offset += 4
        value: Value = None
        if kind in (INT, BOOL):
            (value,) = _unpack("<q", packet, offset)
        elif kind == OPAQUE:
            (value,) = _unpack("<Q", packet, offset)
        elif kind == FLOAT:
            (value,) = _unpack("<d", packet, offset)
        elif kind in (RAW_STR, BYTES_POINTER, SMALL_STR, SMALL_BYTES, STR, BYTES):
            if kind not in (RAW_STR, BYTES_POINTER):
                # Objects repeat their type.
                (kind,) = _unpack("<I", packet, offset)
                offset += 4
            (length,) = _unpack("<Q", packet, offset)
            data = packet[offset + 8 : offset + 8 + length]
            if len(data) != length:
                raise MalformedError("a text is truncated")
            value = data if kind in (BYTES_POINTER, BYTES) else data.decode("utf-8", "replace")
            offset += length
        elif kind != NONE:
            raise MalformedError(f"arguments of type {kind} are not supported")
        offset += 0 if kind == NONE else 8
        values.append(value)
    return values


def exception(text: str) -> bytes:
    """Build an answer that makes the caller raise an error with this text."""
    # The text ends at its first zero byte.
    data = text.replace("\0", " ").encode("utf-8", "replace")
    return make(EXCEPTION, struct.pack("<iiQ", 1, RAW_STR, len(data)) + data)


def return_nothing(*, called: bool = False) -> bytes:
    """Build an answer without a value, either to a function call or to any other request."""
    if called:
        return make(RETURN, struct.pack("<iiqi", 2, INT, NONE, NONE))
    return make(RETURN, struct.pack("<ii", 1, NONE))


def return_handle(handle: int) -> bytes:
    """Build the answer to the lookup of a function."""
    return make(RETURN, struct.pack("<iiQ", 1, OPAQUE, handle))


def return_text(text: str) -> bytes:
    """Build the answer of a function that returns text."""
    data = text.encode()
    return make(RETURN, struct.pack("<iiqiQ", 2, INT, STR, RAW_STR, len(data)) + data)


def _unpack(layout: str, packet: bytes, offset: int) -> tuple[int, ...]:
    try:
        return struct.unpack_from(layout, packet, offset)
    except struct.error as error:
        raise MalformedError(f"it is truncated at byte {offset}") from error
