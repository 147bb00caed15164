"""The device side of the board link, as a program of this machine under sanitizers."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from device_program import MAIN, RUNTIME, SOURCES, running, shared_device
from host_runner import WARNINGS, compiler_or_skip, run_command
from raw_link import (
    ACK,
    ALLOC,
    COPY_TO,
    CPU,
    DATA,
    GET_ATTR,
    GET_FUNCTION,
    HELLO,
    INIT,
    INT8,
    POLL,
    RESET,
    RETURN,
    DeviceExceptionError,
    DeviceSilentError,
    Frame,
    RawLink,
    RawSession,
    byte_array,
    init_packet,
    integer,
    packet,
    tensor,
    tensor_argument,
    text,
    values,
)

HEAP = 1 << 20
ARM = ("-mthumb", "-mfloat-abi=soft", "-ffreestanding", "-Os")


@pytest.fixture(scope="session")
def device(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_device(tmp_path_factory)


@pytest.fixture
def link(device: Path) -> Iterator[RawLink]:
    with running(device) as link:
        yield link


@pytest.fixture
def session(link: RawLink) -> RawSession:
    return RawSession(link, 0x1234)


def nothing_comes(link: RawLink) -> bool:
    """Whether the device has not answered: the next frame is the answer to a POLL."""
    link.send(POLL)
    return link.receive_frame().kind == ACK


@pytest.mark.parametrize(
    ("compiler", "target"),
    [("gcc", "host"), ("clang", "host"), ("gcc", "cortex-m0"), ("gcc", "cortex-m4")],
)
def test_no_warnings(compiler: str, target: str, tmp_path: Path) -> None:
    """``project/test_qemu_platform.py`` compiles these files by Clang for Cortex-M."""
    command = [compiler_or_skip(compiler), *WARNINGS, f"-I{RUNTIME}"]
    sources = [*SOURCES]
    if target == "host":
        sources.append(str(MAIN))
    else:
        command = [compiler_or_skip("arm-none-eabi-gcc"), *command[1:], f"-mcpu={target}", *ARM]
    run_command([*command, "-fsyntax-only", *sources], tmp_path)


#: The server's files from the bottom up: each calls only files before it.
ORDER = ("copy", "heap", "link", "packet", "values", "memory", "server")


def test_calls_go_one_way(tmp_path: Path) -> None:
    names = [f"rpc_{name}" for name in ORDER]
    assert sorted(Path(source).stem for source in SOURCES) == sorted(names)
    command = [compiler_or_skip("gcc"), "-std=c99", f"-I{RUNTIME}", "-c", *SOURCES]
    run_command(command, tmp_path)
    listed = run_command(["nm", "-A", *(f"{name}.o" for name in names)], tmp_path).splitlines()
    defined: set[str] = set()
    for name in names:
        symbols = [line.split()[-2:] for line in listed if line.startswith(f"{name}.o:")]
        assert symbols
        called = {symbol for kind, symbol in symbols if kind == "U" and "tvmtiny" in symbol}
        assert called <= defined, name
        defined |= {symbol for kind, symbol in symbols if kind != "U"}


def test_hello_says_what_the_device_is(link: RawLink) -> None:
    hello = link.reset(7)
    assert (hello.sequence, hello.acknowledged) == (0, 0)
    assert hello.payload == b"\x01\x00\x04\x01\x23\x45\x67\x89\xab\xcd\xef\x04host"


def test_cobs_and_crc_are_those_of_the_libraries(session: RawSession) -> None:
    source = random.Random(1)
    echo = session.function("tvmtiny.echo")
    runs = [b"\1" * n for n in (1, 252, 253, 254, 255, 507, 508, 509, 1018)]
    cases = [*runs, *(run + b"\0" for run in runs), *(b"\0" + run for run in runs), b"", bytes(600)]
    cases += [source.randbytes(source.randrange(1200)) for _ in range(60)]
    cases += [bytes(source.choice((0, 0, 255)) for _ in range(700)) for _ in range(10)]
    # The device's frames are decoded with libraries, and compared with the libraries' own encoding.
    for case in cases:
        assert session.call_handle(echo, byte_array(case)) == case


def test_a_large_copy_goes_through_a_small_buffer(session: RawSession) -> None:
    data = random.Random(2).randbytes(256 * 1024)
    memory = session.allocate(len(data))
    session.copy_to(memory, data)
    assert session.copy_from(memory, len(data)) == data
    assert session.copy_from(memory, 1000, offset=70_001) == data[70_001:71_001]
    assert session.call("test.sum", tensor_argument(memory, 5000, 3)) == sum(data[3:5003])
    assert session.call("tvmtiny.echo", byte_array(data)) == data


def test_the_overhead_of_a_full_frame_is_below_five_percent() -> None:
    frame = Frame(DATA, 1, 2, 3, random.Random(3).randbytes(1024))
    acknowledgement = Frame(ACK, 1, 0, 3, b"")
    sent = len(b"\0" + frame.encode()) + len(b"\0" + acknowledgement.encode())
    assert sent <= 1.05 * 1024


def test_the_model_runs(session: RawSession) -> None:
    session.copy_to(session.slot("input.0", 8), bytes(range(8)))
    session.call("tvmtiny.run")
    output = bytes(2 * i + 1 for i in range(8))
    assert session.copy_from(session.slot("output.0", 8), 8) == output
    session.call("tvmtiny.run_layer", integer(0))
    layer = session.slot("layer.0", 8)
    assert session.copy_from(layer, 8) == bytes(range(0, 16, 2))
    session.call("tvmtiny.run_layer", integer(1))
    with pytest.raises(DeviceExceptionError, match="no memory now"):
        session.copy_from(layer, 8)
    assert session.call("tvmtiny.metadata") == '{"model": "test", "board": "host"}'


def test_what_is_wrong_is_an_exception(session: RawSession) -> None:
    memory = session.allocate(100)
    device = struct.pack("<i", 6) + CPU
    other_device = struct.pack("<iii", 6, 1, 1)
    dtype = struct.pack("<i", 5) + INT8 + bytes(4)
    cases = [
        ("outside", lambda: session.copy_from(memory, 101)),
        ("outside", lambda: session.copy_to(memory, b"xy", offset=99)),
        ("outside", lambda: session.copy_from(memory, 2, offset=0xFFFFFFFF)),
        ("outside", lambda: session.call("test.sum", tensor_argument(memory, 1 << 33))),
        ("outside", lambda: session.copy_from(session.slot("input.0", 8), 9)),
        ("no such handle", lambda: session.copy_from(memory + 4, 1)),
        ("no such handle", lambda: session.copy_from(0x80030000, 1)),
        ("no such handle", lambda: session.copy_from(memory + (1 << 32), 1)),
        ("no such handle", lambda: session.free(77)),
        ("no such handle", lambda: session.call_handle(4096)),
        ("no such memory scope", lambda: session.slot("layer.2", 8)),
        ("no such memory scope", lambda: session.slot("layer.", 8)),
        ("no such memory scope", lambda: session.slot("layer.000000", 8)),
        ("no such memory scope", lambda: session.slot("input", 8)),
        ("out of memory", lambda: session.allocate(HEAP)),
        ("out of memory", lambda: session.allocate(1 << 40)),
        ("out of memory", lambda: session.call("tvmtiny.echo", byte_array(bytes(HEAP)))),
        ("power of two", lambda: session.allocate(1, alignment=48)),
        ("one device", lambda: session.number(ALLOC, other_device, integer(1), integer(1), dtype)),
        ("number or type", lambda: session.number(ALLOC, device, integer(1), integer(1))),
        ("number or type", lambda: session.number(GET_FUNCTION, integer(1))),
        ("number or type", lambda: session.call("tvmtiny.echo")),
        ("too many arguments", lambda: session.call("tvmtiny.echo", *13 * [integer(1)])),
        ("cannot take", lambda: session.call("tvmtiny.echo", struct.pack("<iQ", 71, 1))),
        ("does not serve", lambda: session.request(23)),
        ("does not serve", lambda: session.request(RETURN, values())),
        ("malformed", lambda: session.request(GET_FUNCTION, values(text("x")) + b"more")),
        ("malformed", lambda: session.request(GET_FUNCTION, values(text("xyz"))[:-1])),
        ("malformed", lambda: session.request(COPY_TO, tensor(memory, 9) + struct.pack("<Q", 9))),
        ("status=fffffffd", lambda: session.call("test.fail")),
        ("takes the index", lambda: session.call("tvmtiny.run_layer", integer(2))),
        ("initialized before", lambda: session.request(INIT, init_packet()[12:])),
        ("0.8.0", lambda: session.request(INIT, init_packet(b"0.7.0")[12:])),
    ]
    for message, request in cases:
        with pytest.raises(DeviceExceptionError, match=message):
            request()
        assert session.call("tvmtiny.echo", integer(-5)) == -5
    assert session.function("tvmtiny.none") == 0
    assert session.number(GET_ATTR, device, integer(0)) == 1


def test_memory_is_freed_and_given_again(session: RawSession) -> None:
    sizes = (1, 0, 1000, 65_536, 17)
    for _ in range(20):
        blocks = [session.allocate(size) for size in sizes]
        assert len(set(blocks)) == len(blocks)
        for number, (block, size) in enumerate(zip(blocks, sizes, strict=True)):
            session.copy_to(block, bytes([number]) * size)
        for number, (block, size) in enumerate(zip(blocks, sizes, strict=True)):
            assert session.copy_from(block, size) == bytes([number]) * size
        for block in blocks[::2] + blocks[1::2]:
            session.free(block)
            with pytest.raises(DeviceExceptionError, match="no such handle"):
                session.copy_from(block, 0)
    state = session.call("tvmtiny.memory")
    assert isinstance(state, bytes)
    assert struct.unpack("<7I", state)[:3] == (HEAP, HEAP, HEAP)


def test_a_repeated_frame_is_delivered_once(session: RawSession) -> None:
    link = session.link
    request = packet(GET_FUNCTION, values(text("tvmtiny.run")))
    for _ in range(3):
        link.send(DATA, request)
    frames = [link.receive_frame() for _ in range(3)]
    # The answer, and the answer again, since it was not acknowledged.
    assert {frame.kind for frame in frames} == {DATA}
    assert len({frame.encode() for frame in frames}) == 1
    link.send(POLL)
    assert link.receive_frame() == frames[0]
    link.sequence += 1
    link.expected += 1
    assert nothing_comes(link)
    link.send(POLL)
    assert link.receive_frame().kind == ACK


def test_damaged_and_foreign_frames_are_not_answered(session: RawSession) -> None:
    link = session.link
    request = packet(GET_FUNCTION, values(text("tvmtiny.run")))
    good = Frame(DATA, link.session, link.sequence, link.expected, request)
    encoded = bytearray(good.encode())
    encoded[20] ^= 4
    foreign = Frame(DATA, link.session ^ 1, link.sequence, link.expected, request).encode()
    early = Frame(DATA, link.session, link.sequence + 1, link.expected, request).encode()
    empty = Frame(DATA, link.session, link.sequence, link.expected, b"").encode()
    long = Frame(DATA, link.session, link.sequence, link.expected, bytes(1025)).encode()
    unknown = Frame(9, link.session, 0, link.expected, b"").encode()
    no_session = Frame(RESET, 0xFFFF, 0, 0, b"TVMT\1").encode()
    no_reset = Frame(RESET, 5, 0, 0, b"TVM_\1").encode()
    for bad in (bytes(encoded), foreign, early, empty, long, unknown, no_session, no_reset):
        link.send_bytes(b"\0" + bad)
        assert nothing_comes(link)
    assert session.function("tvmtiny.run") != 0


def test_reset_at_any_time(link: RawLink) -> None:
    for number in range(1, 30):
        session = RawSession(link, number)
        memory = session.allocate(500_000)
        # In the middle of a packet, and of an answer that is never acknowledged.
        if number % 2:
            link.write(packet(COPY_TO, tensor(memory, 9000) + struct.pack("<Q", 9000))[:50])
        else:
            body = tensor(memory, 9000) + struct.pack("<Q", 9000)
            link.send(DATA, packet(6, body) + packet(6, body))
    assert RawSession(link, 99).call("tvmtiny.echo", integer(1)) == 1


def test_after_shutdown_only_reset_is_heard(session: RawSession) -> None:
    session.shutdown()
    link = session.link
    link.send(DATA, init_packet())
    assert nothing_comes(link)
    assert RawSession(link, 2).call("tvmtiny.echo", integer(1)) == 1


def test_an_impossible_length_ends_the_stream(session: RawSession) -> None:
    link = session.link
    for length in (1, 3, 1 << 31, 1 << 40):
        link.write(struct.pack("<Qi", length, 9))
        assert session.answer()[0] == 5
        link.send(DATA, init_packet())
        assert nothing_comes(link)
        session = RawSession(link, link.session + 1)


def test_another_link_version_is_told_ours(link: RawLink) -> None:
    link.session = 3
    link.send(RESET, b"TVMT\x02")
    hello = link.receive_frame()
    assert (hello.kind, hello.payload[0]) == (HELLO, 1)


def test_nothing_is_said_unasked(link: RawLink) -> None:
    with pytest.raises(DeviceSilentError):
        link.receive_frame(timeout=0.05)
