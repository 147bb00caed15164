"""A board in Python, for tests without firmware: both layers of the device's side."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from tvmtiny.link import packets
from tvmtiny.link.frames import ACK, DATA, HELLO, POLL, RESET, Frame, decode, encode

IDENTITY = bytes(range(8))
BOARD = "peer"

#: struct of DLDevice, ndim, DLDataType.
_TENSOR = struct.Struct("<QiiiBBH")


class Peer:
    """Serves one end of a socket in a thread until it is closed.

    Its functions: ``echo`` returns its bytes, ``sleep`` takes seconds, ``fail`` raises.
    """

    def __init__(self, end: socket.socket, largest: int = 256) -> None:
        self.end = end
        self.largest = largest
        self.memory: dict[int, bytearray] = {}
        self.served = 0
        #: Tests drop or change frames of the peer here.
        self.outgoing: Callable[[bytes], bytes] = lambda data: data
        self._session: int | None = None
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        with suppress(OSError):
            self.end.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self.end.close()

    def _serve(self) -> None:
        buffer = b""
        while True:
            try:
                data = self.end.recv(4096)
            except OSError:
                return
            if not data:
                return
            *ended, buffer = (buffer + data).split(b"\0")
            for encoded in ended:
                frame = decode(encoded)
                if frame is not None:
                    self._take(frame)

    def _put(self, kind: int, payload: bytes = b"", sequence: int = 0) -> None:
        assert self._session is not None
        frame = Frame(kind, self._session, sequence, self._expected, payload)
        data = self.outgoing(b"\0" + encode(frame))
        with suppress(OSError):
            self.end.sendall(data)

    def _take(self, frame: Frame) -> None:
        if frame.type == RESET and frame.payload == b"TVMT\x01":
            self._session = frame.session
            self._sequence = self._expected = 0
            self._input, self._output = bytearray(), bytearray()
            self._pending: bytes | None = None
            self.memory.clear()
            hello = struct.pack("<BH8sB", 1, self.largest, IDENTITY, len(BOARD))
            self._put(HELLO, hello + BOARD.encode())
        if self._session is None or frame.session != self._session:
            return
        if self._pending is not None and frame.acknowledged == (self._sequence + 1) % 256:
            self._sequence = frame.acknowledged
            self._pending = None
        if frame.type == DATA:
            if frame.sequence == self._expected:
                self._expected = (self._expected + 1) % 256
                self._input += frame.payload
                self._put(ACK)
                self._execute()
            elif self._pending is None:
                self._put(ACK)
        if self._pending is not None and frame.type in (DATA, POLL):
            self._put(DATA, self._pending, self._sequence)
        elif self._pending is None and self._output:
            self._pending = bytes(self._output[: self.largest])
            del self._output[: self.largest]
            self._put(DATA, self._pending, self._sequence)
        elif frame.type == POLL:
            self._put(ACK)

    def _execute(self) -> None:
        while len(self._input) >= 8:
            size = 8 + int.from_bytes(self._input[:8], "little")
            if len(self._input) < size:
                return
            packet = bytes(self._input[:size])
            del self._input[:size]
            self.served += 1
            self._output += self._answer(packet)

    def _answer(self, packet: bytes) -> bytes:
        kind = packets.code(packet)
        if kind == packets.GET_GLOBAL_FUNC:
            (name,) = packets.arguments(packet)
            names = ("echo", "sleep", "fail")
            return packets.return_handle(1 + names.index(name) if name in names else 0)
        if kind == packets.CALL_FUNC:
            handle, offset = packets.call(packet)
            (value,) = packets.arguments(packet, offset)
            if handle == 1:
                assert isinstance(value, bytes)
                body = struct.pack("<iiqiQ", 2, 1, 66, 9, len(value)) + value
                return packets.make(packets.RETURN, body)
            if handle == 2:
                assert isinstance(value, float)
                time.sleep(value)
                return packets.return_nothing(called=True)
            return packets.exception("tvmtiny-fault exception=3 layer=1 pc=100")
        return packets.return_nothing()


def pair(largest: int = 256) -> tuple[socket.socket, Peer]:
    """The host's end of a connection to a new peer."""
    host, board = socket.socketpair()
    return host, Peer(board, largest)


class SocketLine:
    """The line of a socket; ``link.Line`` without a port to open."""

    byte_seconds = 0.0

    def __init__(self, end: socket.socket, url: str = "socket://peer") -> None:
        self.end = end
        self.url = url

    def read(self, seconds: float) -> bytes:
        from tvmtiny.link.transport import DisconnectedError

        self.end.settimeout(max(1e-4, seconds))
        try:
            data = self.end.recv(65536)
        except TimeoutError:
            return b""
        except OSError as error:
            raise DisconnectedError(str(error)) from error
        if not data:
            raise DisconnectedError("end of the stream")
        return data

    def write(self, data: bytes, seconds: float) -> bool:
        from tvmtiny.link.transport import DisconnectedError

        self.end.settimeout(max(1e-4, seconds))
        try:
            self.end.sendall(data)
        except OSError as error:
            raise DisconnectedError(str(error)) from error
        return True

    def close(self) -> None:
        self.end.close()
