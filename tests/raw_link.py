"""The host's side of the link and of TVM's packets in its plainest form, for tests.

It sends valid and invalid bytes as told, and takes the device's answers apart.
"""

from __future__ import annotations

import contextlib
import os
import select
import struct
import time
import zlib
from dataclasses import dataclass

from cobs import cobs

DATA, ACK, POLL, RESET, HELLO, ABORT = 1, 2, 3, 4, 5, 6
(
    SHUTDOWN,
    INIT,
    CALL,
    RETURN,
    EXCEPTION,
    COPY_FROM,
    COPY_TO,
    COPY_ACK,
    GET_FUNCTION,
    FREE_HANDLE,
) = range(1, 11)
(SET_DEVICE, GET_ATTR, ALLOC, FREE, STREAM_SYNC, COPY_AMONG, ALLOC_SCOPE) = range(11, 18)

CPU = struct.pack("<ii", 1, 0)
INT8 = struct.pack("<BBH", 0, 8, 1)


class DeviceSilentError(Exception):
    """The device did not answer in time."""


@dataclass(frozen=True)
class Frame:
    kind: int
    session: int
    sequence: int
    acknowledged: int
    payload: bytes

    def encode(self) -> bytes:
        head = struct.pack("<BHBB", self.kind, self.session, self.sequence, self.acknowledged)
        body = head + self.payload
        return cobs.encode(body + struct.pack("<I", zlib.crc32(body))) + b"\0"

    @classmethod
    def decode(cls, data: bytes) -> Frame:
        """Raises ValueError or cobs.DecodeError if the frame is damaged."""
        body = cobs.decode(data)
        if cobs.encode(body) != data:
            raise ValueError(f"not as COBS has it: {data.hex()}")
        if len(body) < 9 or zlib.crc32(body[:-4]) != struct.unpack("<I", body[-4:])[0]:
            raise ValueError(f"bad frame {body.hex()}")
        return cls(*struct.unpack("<BHBB", body[:5]), body[5:-4])


class RawLink:
    """A link over two file descriptors."""

    def __init__(self, reader: int, writer: int, timeout: float = 10.0) -> None:
        self.reader, self.writer, self.timeout = reader, writer, timeout
        self.session = 0
        self.sequence = self.expected = 0
        self.largest = 0
        self._received = bytearray()
        self._payload = bytearray()

    def send_bytes(self, data: bytes) -> None:
        """Write, and read the device's bytes meanwhile, so that neither waits for the other."""
        while data:
            readable, writable, _ = select.select([self.reader], [self.writer], [], self.timeout)
            if not readable and not writable:
                raise DeviceSilentError
            if readable:
                self._received += self._read()
            if writable:
                data = data[os.write(self.writer, data[:512]) :]

    def _read(self) -> bytes:
        data = os.read(self.reader, 65536)
        if not data:
            raise DeviceSilentError("closed")
        return data

    def receive_frame(self, timeout: float | None = None) -> Frame:
        """The next frame; every byte that the device sends must belong to a frame."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            while (end := self._received.find(0)) >= 0:
                data = bytes(self._received[:end])
                del self._received[: end + 1]
                if data:
                    return Frame.decode(data)
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.reader], [], [], left)[0]:
                raise DeviceSilentError
            self._received += self._read()

    def send(self, kind: int, payload: bytes = b"", *, zero: bytes = b"\0") -> None:
        sequence = self.sequence if kind == DATA else 0
        frame = Frame(kind, self.session, sequence, self.expected, payload)
        self.send_bytes(zero + frame.encode())

    def abort(self) -> None:
        self.send_bytes(b"\0" + Frame(ABORT, 0xFFFF, 0, 0, b"").encode())

    def reset(self, session: int) -> Frame:
        """Start a session; return the HELLO."""
        self.session, self.sequence, self.expected = session, 0, 0
        self._payload.clear()
        self.send(RESET, b"TVMT\x01")
        while True:
            frame = self.receive_frame()
            if frame.kind == HELLO and frame.session == session:
                self.largest = struct.unpack("<H", frame.payload[1:3])[0]
                return frame

    def _take(self, frame: Frame) -> None:
        if frame.kind == DATA and frame.session == self.session:
            if frame.sequence == self.expected:
                self.expected = (self.expected + 1) % 256
                self._payload += frame.payload
            self.send(ACK)

    def write(self, data: bytes) -> None:
        """Send bytes of the RPC stream, and wait until they are acknowledged."""
        for start in range(0, len(data), self.largest):
            self.send(DATA, data[start : start + self.largest])
            wanted = (self.sequence + 1) % 256
            while True:
                frame = self.receive_frame()
                self._take(frame)
                if frame.session == self.session and frame.acknowledged == wanted:
                    break
            self.sequence = wanted

    def read(self, count: int, timeout: float | None = None) -> bytes:
        while len(self._payload) < count:
            self._take(self.receive_frame(timeout))
        data = bytes(self._payload[:count])
        del self._payload[:count]
        return data


class DeviceExceptionError(Exception):
    """A kException of the device."""


def integer(value: int) -> bytes:
    return struct.pack("<iq", 1, value)


def handle(value: int) -> bytes:
    return struct.pack("<iQ", 4, value)


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<iQ", 8, len(data)) + data


def byte_array(value: bytes) -> bytes:
    """Bytes as a Python client sends them: an object of tvm_ffi."""
    return struct.pack("<iIQ", 66, 66, len(value)) + value


def tensor(data: int, size: int, offset: int = 0) -> bytes:
    """A one-dimensional int8 tensor, without the type that makes it an argument."""
    return (
        struct.pack("<Q", data)
        + CPU
        + struct.pack("<i", 1)
        + INT8
        + struct.pack("<qQ", size, offset)
    )


def tensor_argument(data: int, size: int, offset: int = 0) -> bytes:
    return struct.pack("<i", 7) + tensor(data, size, offset)


def values(*arguments: bytes) -> bytes:
    return struct.pack("<i", len(arguments)) + b"".join(arguments)


def packet(code: int, body: bytes = b"") -> bytes:
    return struct.pack("<Qi", 4 + len(body), code) + body


def init_packet(version: bytes = b"0.8.0") -> bytes:
    return packet(INIT, struct.pack("<Q", len(version)) + version + values())


class RawSession:
    """Requests of TVM's protocol, one after the other."""

    def __init__(self, link: RawLink, session: int) -> None:
        self.link = link
        self.hello = link.reset(session)
        self.request(INIT, init_packet()[12:])

    def answer(self, timeout: float | None = None) -> tuple[int, bytes]:
        (length,) = struct.unpack("<Q", self.link.read(8, timeout))
        body = self.link.read(length, timeout)
        return struct.unpack("<i", body[:4])[0], body[4:]

    def request(self, code: int, body: bytes = b"") -> bytes:
        """The body of kReturn or kCopyAck.

        Raises
        ------
        DeviceExceptionError
            The device answered with kException.
        """
        self.link.write(packet(code, body))
        answered, data = self.answer()
        if answered == EXCEPTION:
            count, kind, length = struct.unpack("<iiQ", data[:16])
            assert (count, kind, length) == (1, 8, len(data) - 16)
            raise DeviceExceptionError(data[16:].decode("ascii"))
        assert answered == (COPY_ACK if code == COPY_FROM else RETURN)
        return data

    def number(self, code: int, *arguments: bytes) -> int | None:
        """The answer to a system call."""
        data = self.request(code, values(*arguments))
        count, kind = struct.unpack("<ii", data[:8])
        assert count == 1
        if kind == 0:
            assert len(data) == 8
            return None
        assert len(data) == 16
        return int(struct.unpack("<q", data[8:])[0])

    def function(self, name: str) -> int:
        found = self.number(GET_FUNCTION, text(name))
        assert found is not None
        return found

    def call(self, name: str, *arguments: bytes) -> int | str | bytes | None:
        return self.call_handle(self.function(name), *arguments)

    def call_handle(self, function: int, *arguments: bytes) -> int | str | bytes | None:
        data = self.request(CALL, struct.pack("<Q", function) + values(*arguments))
        count, kind, result, wire = struct.unpack("<iiqi", data[:20])
        assert (count, kind) == (2, 1)
        body = data[20:]
        if result == 0:
            assert (wire, body) == (0, b"")
            return None
        if result in (65, 66):
            assert wire == (8 if result == 65 else 9)
            assert struct.unpack("<Q", body[:8])[0] == len(body) - 8
            return body[8:].decode() if result == 65 else body[8:]
        assert wire == result and len(body) == 8
        return int(struct.unpack("<q", body)[0])

    def allocate(self, size: int, alignment: int = 64) -> int:
        device = struct.pack("<i", 6) + CPU
        dtype = struct.pack("<i", 5) + INT8 + bytes(4)
        found = self.number(ALLOC, device, integer(size), integer(alignment), dtype)
        assert found
        return found

    def slot(self, scope: str, size: int) -> int:
        found = self.number(ALLOC_SCOPE, tensor_argument(0, size), text(scope))
        assert found
        return found

    def free(self, data: int) -> None:
        assert self.number(FREE, struct.pack("<i", 6) + CPU, handle(data)) is None

    def copy_to(self, data: int, content: bytes, offset: int = 0) -> None:
        body = tensor(data, offset + len(content), offset) + struct.pack("<Q", len(content))
        assert self.request(COPY_TO, body + content) == struct.pack("<ii", 1, 0)

    def copy_from(self, data: int, size: int, offset: int = 0) -> bytes:
        body = tensor(data, offset + size, offset) + struct.pack("<Q", size)
        return self.request(COPY_FROM, body)

    def shutdown(self) -> None:
        with contextlib.suppress(DeviceSilentError):
            self.link.write(packet(SHUTDOWN))
