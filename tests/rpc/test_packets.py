"""TVM's packets, and errors that travel in them."""

from __future__ import annotations

import struct

import pytest
from plain_client import exception_text

from tvmtiny.errors import (
    LinkClosedError,
    LinkProtocolError,
    LinkTimeoutError,
    PortError,
    TvmtinyError,
)
from tvmtiny.link import packets
from tvmtiny.rpc.failures import fault_registers, find_failure, to_text

FRAMES = ("-0.100 s > DATA", '-0.050 s < "ACK"')


def test_values() -> None:
    body = struct.pack("<i", 6)
    body += struct.pack("<iq", packets.INT, -5) + struct.pack("<id", packets.FLOAT, 0.5)
    body += struct.pack("<iQ", packets.RAW_STR, 3) + b"abc"
    body += struct.pack("<iIQ", packets.STR, packets.STR, 2) + b"de"
    body += struct.pack("<iQ", packets.BYTES_POINTER, 2) + b"\0\xff" + struct.pack("<i", 0)
    packet = packets.make(packets.CALL_FUNC, struct.pack("<Q", 9) + body)
    assert packets.code(packet) == packets.CALL_FUNC
    assert packets.call(packet) == (9, 20)
    assert packets.arguments(packet, 20) == [-5, 0.5, "abc", "de", b"\0\xff", None]
    for end in range(20, len(packet) - 1):
        with pytest.raises(packets.MalformedError):
            packets.arguments(packet[:end], 20)


def test_unknown_values_are_refused() -> None:
    with pytest.raises(packets.MalformedError, match="type 70"):
        packets.arguments(packets.make(packets.RETURN, struct.pack("<ii", 1, 70)))


def test_answers() -> None:
    assert packets.arguments(packets.return_handle(5)) == [5]
    assert packets.arguments(packets.return_text("é")) == [packets.STR, "é"]
    assert packets.arguments(packets.return_nothing()) == [None]
    assert packets.arguments(packets.return_nothing(called=True)) == [0, None]
    assert exception_text(packets.exception("a\0b")) == "a b"


@pytest.mark.parametrize(
    "error",
    [
        LinkTimeoutError("/dev/ttyACM0", "the answer\ndid not come", 2.5, FRAMES),
        LinkClosedError("socket://x:1", "end {of} the stream", 0.0, FRAMES),
        LinkProtocolError("socket://x:1", "a packet of 3 bytes", 1.0, ()),
        PortError("/dev/ttyACM0", "busy", "it is in use"),
    ],
)
def test_errors_survive_any_number_of_servers(error: LinkTimeoutError | PortError) -> None:
    text = to_text(error, 1234)
    for hop in range(3):
        text = f"RPCError: Error caught from RPC call:\n{text}\nStack trace:\n  {{{hop}: ...}}"
    found = find_failure(text)
    assert found is not None and found.process == 1234
    assert type(found.error) is type(error)
    assert vars(found.error) == vars(error)
    assert isinstance(found.error, TvmtinyError)
    assert len(str(found.error).splitlines()) == 1


@pytest.mark.parametrize("text", ["", "tvmtiny-link", "tvmtiny-link {", 'tvmtiny-link {"a": 1}'])
def test_other_texts_are_no_errors_of_the_link(text: str) -> None:
    assert find_failure(text) is None


def test_fault_registers() -> None:
    text = "RPCError:\ntvmtiny-fault exception=3 layer=ffffffff pc=124\nStack trace: pc=1"
    assert fault_registers(text) == {"exception": 3, "layer": 0xFFFFFFFF, "pc": 0x124}
    assert fault_registers("something else") is None
