"""TVM's side of the protocol without TVM, fast enough for hundreds of sessions."""

from __future__ import annotations

import struct

from tvmtiny.errors import DeviceError
from tvmtiny.link import packets
from tvmtiny.rpc.bridge import Bridge
from tvmtiny.rpc.failures import find_failure

DEV_ALLOC_DATA, DEV_ALLOC_DATA_WITH_SCOPE = 13, 17
CPU = struct.pack("<ii", 1, 0)
UINT8 = struct.pack("<BBH", 1, 8, 1)


def exception_text(packet: bytes) -> str:
    """The text of an answer that makes the caller raise an error."""
    (text,) = packets.arguments(packet)
    assert isinstance(text, str)
    return text


def argument(value: int | float | str | bytes | None) -> bytes:
    if value is None:
        return struct.pack("<i", 0)
    if isinstance(value, int):
        return struct.pack("<iq", packets.INT, value)
    if isinstance(value, float):
        return struct.pack("<id", packets.FLOAT, value)
    if isinstance(value, str):
        data = value.encode()
        return struct.pack("<iQ", packets.RAW_STR, len(data)) + data
    return struct.pack("<iQ", packets.BYTES_POINTER, len(value)) + value


def tensor(handle: int, count: int) -> bytes:
    return (
        struct.pack("<Q", handle)
        + CPU
        + struct.pack("<i", 1)
        + UINT8
        + struct.pack("<qQ", count, 0)
    )


class Client:
    """Calls of one host, each answered by a bridge in this process.

    Errors are raised as in a `Session`.
    """

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge

    def ask(self, kind: int, body: bytes) -> bytes:
        answer = self.bridge.answer(packets.make(kind, body))
        if packets.code(answer) == packets.EXCEPTION:
            text = exception_text(answer)
            failure = find_failure(text)
            raise failure.error if failure else DeviceError(text)
        return answer

    def begin(self) -> None:
        self.ask(packets.INIT_SERVER, struct.pack("<Q", 5) + b"0.8.0" + struct.pack("<i", 0))

    def function(self, name: str) -> int:
        answer = self.ask(packets.GET_GLOBAL_FUNC, struct.pack("<i", 1) + argument(name))
        (handle,) = packets.arguments(answer)
        assert isinstance(handle, int)
        return handle

    def call(self, name: str, *values: int | float | str | bytes) -> packets.Value:
        body = struct.pack("<Qi", self.function(name), len(values))
        answer = self.ask(packets.CALL_FUNC, body + b"".join(map(argument, values)))
        _, *rest = packets.arguments(answer)
        return rest[0] if rest else None

    def allocate(self, count: int) -> int:
        body = struct.pack("<ii", 4, 6) + CPU + argument(count) + argument(64)
        (handle,) = packets.arguments(
            self.ask(DEV_ALLOC_DATA, body + struct.pack("<i", 5) + UINT8 + bytes(4))
        )
        assert isinstance(handle, int)
        return handle

    def slot(self, scope: str, count: int) -> int:
        body = struct.pack("<ii", 2, 7) + tensor(0, count) + argument(scope)
        (handle,) = packets.arguments(self.ask(DEV_ALLOC_DATA_WITH_SCOPE, body))
        assert isinstance(handle, int)
        return handle

    def free(self, handle: int) -> None:
        self.ask(
            packets.DEV_FREE_DATA,
            struct.pack("<ii", 2, 6) + CPU + struct.pack("<iQ", packets.OPAQUE, handle),
        )

    def write(self, handle: int, data: bytes) -> None:
        body = tensor(handle, len(data)) + struct.pack("<Q", len(data)) + data
        self.ask(packets.COPY_TO_REMOTE, body)

    def read(self, handle: int, count: int) -> bytes:
        body = tensor(handle, count) + struct.pack("<Q", count)
        return self.ask(packets.COPY_FROM_REMOTE, body)[12:]
