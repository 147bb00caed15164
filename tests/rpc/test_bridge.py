"""The bridge: calls that it answers itself, its state after an error, and its end."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from plain_client import Client, argument
from python_peer import IDENTITY, Peer, SocketLine, pair

from tvmtiny.errors import DeviceError, LinkClosedError, LinkTimeoutError, PortError
from tvmtiny.link import packets
from tvmtiny.link.transport import open_line
from tvmtiny.rpc.bridge import Bridge

TIMEOUT = 20.0
SHORT = 0.3


class Boards:
    """Opens a new board each time, and keeps the last one."""

    def __init__(self) -> None:
        self.peers: list[Peer] = []

    def open(self) -> SocketLine:
        end, peer = pair()
        self.peers.append(peer)
        return SocketLine(end)


@pytest.fixture
def boards() -> Iterator[Boards]:
    made = Boards()
    yield made
    for peer in made.peers:
        peer.end.close()


@pytest.fixture
def client(boards: Boards) -> Client:
    client = Client(Bridge(boards.open, "socket://peer", TIMEOUT, TIMEOUT))
    client.begin()
    return client


def test_calls_pass_through(client: Client) -> None:
    data = os.urandom(1000)
    assert client.call("echo", data) == data
    assert client.function("no such function") == 0
    with pytest.raises(DeviceError, match="tvmtiny-fault exception=3"):
        client.call("fail", 0)


def test_own_functions(client: Client) -> None:
    client.call("echo", b"abc")
    text = client.call("tvmtiny.bridge.statistics")
    assert isinstance(text, str)
    known = json.loads(text)
    assert known["identity"] == IDENTITY.hex()
    assert known["board"] == "peer"
    assert known["process"] == os.getpid()
    assert known["stream_received"] > 0
    assert any("HELLO" in frame for frame in known["frames"])
    assert client.call("tvmtiny.bridge.set_timeout", 2) is None
    assert client.bridge.timeout == 2.0
    assert client.call("tvmtiny.bridge.set_timeout", 0.25) is None
    assert client.bridge.timeout == 0.25
    handle = client.function("tvmtiny.bridge.reset")
    client.ask(packets.FREE_HANDLE, struct.pack("<iiQ", 1, packets.OPAQUE, handle))


@pytest.mark.parametrize("value", [0, -1.0, float("nan"), "soon"])
def test_a_timeout_is_a_positive_number(client: Client, value: float | str) -> None:
    with pytest.raises(DeviceError, match="seconds above 0"):
        client.call("tvmtiny.bridge.set_timeout", value)
    assert client.bridge.timeout == TIMEOUT


def test_a_call_that_takes_too_long(client: Client, boards: Boards) -> None:
    client.call("tvmtiny.bridge.set_timeout", SHORT)
    with pytest.raises(LinkTimeoutError) as caught:
        client.call("sleep", 2 * SHORT)
    assert caught.value.seconds == SHORT
    # Until the reset, every call is answered with that error, except those that free memory.
    client.call("tvmtiny.bridge.set_timeout", TIMEOUT)
    with pytest.raises(LinkTimeoutError):
        client.call("echo", b"abc")
    client.free(77)
    served = boards.peers[0].served
    client.call("tvmtiny.bridge.reset")
    assert client.call("echo", b"abc") == b"abc"
    # The board received the beginning of the session again.
    assert boards.peers[0].served >= served + 1
    assert len(boards.peers) == 1


def test_a_board_that_goes_away(client: Client, boards: Boards) -> None:
    boards.peers[0].end.shutdown(socket.SHUT_RDWR)
    for _ in range(2):
        with pytest.raises(LinkClosedError):
            client.call("echo", b"abc")
    client.call("tvmtiny.bridge.reset")
    assert client.call("echo", b"abc") == b"abc"
    assert len(boards.peers) == 2


def test_a_port_that_cannot_be_opened() -> None:
    client = Client(Bridge(lambda: open_line("/dev/no-such-port"), "/dev/no-such-port"))
    with pytest.raises(PortError) as caught:
        client.begin()
    assert caught.value.problem == "missing"
    with pytest.raises(PortError):
        client.call("echo", b"abc")


@pytest.mark.parametrize(
    "packet",
    [
        packets.make(packets.GET_GLOBAL_FUNC, struct.pack("<i", 1)),
        packets.make(packets.GET_GLOBAL_FUNC, struct.pack("<i", 0)),
        packets.make(packets.FREE_HANDLE, struct.pack("<i", -1)),
        packets.make(packets.CALL_FUNC, b"abc"),
        packets.make(packets.CALL_FUNC, struct.pack("<QiiQ", 0x6272 << 48, 1, 8, 1 << 40)),
        packets.make(packets.CALL_FUNC, struct.pack("<Qi", (0x6272 << 48) + 9, 0)),
    ],
)
def test_packets_that_make_no_sense(client: Client, packet: bytes) -> None:
    answer = client.bridge.answer(packet)
    assert packets.code(answer) == packets.EXCEPTION
    assert client.call("echo", b"abc") == b"abc"


# The process.


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        yield opened


Start = Callable[..., tuple[subprocess.Popen[bytes], int, int]]


@pytest.fixture
def start(listener: socket.socket) -> Iterator[Start]:
    """Start a bridge; return it with the ends of its pipes."""
    started: list[tuple[subprocess.Popen[bytes], int, int]] = []

    def begin(*more: int) -> tuple[subprocess.Popen[bytes], int, int]:
        reader, to_bridge = os.pipe()
        from_bridge, writer = os.pipe()
        url = f"socket://127.0.0.1:{listener.getsockname()[1]}"
        process = subprocess.Popen(
            [sys.executable, "-m", "tvmtiny.rpc.bridge", url, str(reader), str(writer)],
            pass_fds=[reader, writer, *more],
        )
        os.close(reader)
        os.close(writer)
        started.append((process, to_bridge, from_bridge))
        return started[-1]

    yield begin
    for process, to_bridge, from_bridge in started:
        process.kill()
        process.wait()
        for descriptor in (to_bridge, from_bridge):
            os.close(descriptor)


BEGIN = packets.make(packets.INIT_SERVER, struct.pack("<Q", 5) + b"0.8.0" + struct.pack("<i", 0))


def ask(to_bridge: int, from_bridge: int, packet: bytes) -> int:
    """Send a packet, and return the code of the answer."""
    os.write(to_bridge, packet)
    head = os.read(from_bridge, 12)
    return packets.code(head)


def close_pipe(descriptor: int) -> None:
    """Close a pipe whose number is closed again later."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, descriptor)
    os.close(null)


def call_sleep(seconds: float) -> bytes:
    return packets.make(packets.CALL_FUNC, struct.pack("<Qi", 2, 1) + argument(seconds))


def test_it_ends_with_its_pipe(start: Start, listener: socket.socket) -> None:
    process, to_bridge, from_bridge = start()
    os.write(to_bridge, BEGIN)
    peer = Peer(listener.accept()[0])
    assert packets.code(os.read(from_bridge, 100)) == packets.RETURN
    close_pipe(to_bridge)
    assert process.wait(10) == 0
    peer.close()


def test_it_ends_with_its_pipe_during_a_call(start: Start, listener: socket.socket) -> None:
    process, to_bridge, from_bridge = start()
    os.write(to_bridge, BEGIN)
    peer = Peer(listener.accept()[0])
    assert packets.code(os.read(from_bridge, 100)) == packets.RETURN
    os.write(to_bridge, call_sleep(3600.0))
    peer._thread.join(0.1)
    close_pipe(to_bridge)
    assert process.wait(10) == 0


def test_it_closes_what_it_inherited(start: Start, listener: socket.socket) -> None:
    reader, writer = os.pipe()
    _, to_bridge, from_bridge = start(writer)
    os.write(to_bridge, BEGIN)
    peer = Peer(listener.accept()[0])
    assert packets.code(os.read(from_bridge, 100)) == packets.RETURN
    os.close(writer)
    assert os.read(reader, 1) == b""
    os.close(reader)
    peer.close()


def test_interrupts_from_the_keyboard_are_not_for_it(start: Start, listener: socket.socket) -> None:
    process, to_bridge, from_bridge = start()
    os.write(to_bridge, BEGIN)
    peer = Peer(listener.accept()[0])
    assert packets.code(os.read(from_bridge, 100)) == packets.RETURN
    process.send_signal(signal.SIGINT)
    body = struct.pack("<i", 1) + argument("tvmtiny.bridge.statistics")
    assert ask(to_bridge, from_bridge, packets.make(packets.GET_GLOBAL_FUNC, body)) == (
        packets.RETURN
    )
    assert process.poll() is None
    peer.close()


def test_it_ends_with_its_parent(listener: socket.socket) -> None:
    """The bridge ends even if another process, such as a fork of the host, holds the pipe."""
    reader, to_bridge = os.pipe()
    from_bridge, writer = os.pipe()
    port = listener.getsockname()[1]
    code = (
        "import subprocess, sys\n"
        f"b = subprocess.Popen([sys.executable, '-m', 'tvmtiny.rpc.bridge',"
        f" 'socket://127.0.0.1:{port}', '{reader}', '{writer}'], close_fds=False)\n"
        "print(b.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    host = subprocess.Popen(
        [sys.executable, "-c", code],
        pass_fds=[reader, writer],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert host.stdout is not None
    bridge = os.pidfd_open(int(host.stdout.readline()))
    os.write(to_bridge, BEGIN)
    peer = Peer(listener.accept()[0])
    assert packets.code(os.read(from_bridge, 100)) == packets.RETURN
    host.kill()
    host.communicate()
    assert select.select([bridge], [], [], 10)[0]
    for descriptor in (reader, to_bridge, from_bridge, writer, bridge):
        os.close(descriptor)
    peer.close()
