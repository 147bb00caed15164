"""The server of a lab at a vanilla tracker: a board of this machine, clients of all kinds."""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from trackers import free_port, running_tracker
from tvm import rpc

from tvmtiny.errors import InputError
from tvmtiny.rpc.lab import LabServer
from tvmtiny.rpc.remote import (
    BRIDGE_PROGRAM,
    CONSTRUCTOR,
    bridge_command,
    connect_tracker,
    open_tracker,
    split_address,
)

SECONDS = 60.0
KEY = "bench"


@pytest.fixture(scope="module", autouse=True)
def _room_for_sessions() -> None:
    """Free the sessions of other files: vanilla TVM's clients fail if its table of 32 is full."""
    gc.collect()


@pytest.fixture(scope="module")
def tracker(warm_programs: Path) -> Iterator[str]:
    with running_tracker(warm_programs) as address:
        yield address


@pytest.fixture(scope="module")
def board(device_program: Path) -> Iterator[str]:
    """The URL of a board that accepts one connection after the other."""
    with subprocess.Popen([device_program, "tcp"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"socket://127.0.0.1:{process.stdout.readline().strip()}"
        process.kill()


def serve(board: str, tracker: str, key: str = KEY) -> LabServer:
    command = bridge_command(board, SECONDS, SECONDS, 115200)
    return LabServer(command, split_address(tracker), key, "127.0.0.1", None)


@pytest.fixture(scope="module")
def lab(board: str, tracker: str) -> Iterator[LabServer]:
    server = serve(board, tracker)
    yield server
    assert server.problem() is None
    server.close()


def is_served(session: rpc.RPCSession) -> bool:
    return bytes(session.get_function("tvmtiny.echo")(b"abc")) == b"abc"


@pytest.mark.parametrize("arguments", [None, [CONSTRUCTOR, BRIDGE_PROGRAM]])
def test_clients(lab: LabServer, tracker: str, arguments: Any) -> None:
    """Clients that name the bridge, as for a server of TVM, and clients that do not."""
    for _ in range(2):
        session = connect_tracker(tracker).request(KEY, session_constructor_args=arguments)
        assert is_served(session)
        session._sess.get_function("CloseRPCConnection")()


HOSTILE = {
    "silent": b"",
    "cut short": struct.pack("<i", 0xFF271)[:3],
    "no key": struct.pack("<i", 0xFF271),
    "negative length": struct.pack("<ii", 0xFF271, -1) + b"client:x",
    "most negative length": struct.pack("<ii", 0xFF271, -(1 << 31)),
    "two gigabytes": struct.pack("<ii", 0xFF271, (1 << 31) - 1) + b"x" * 4096,
    "another key": struct.pack("<ii", 0xFF271, 12) + b"client:bench",
    "no text": struct.pack("<ii", 0xFF271, 8) + b"\xff" * 8,
    "no timeout": struct.pack("<ii", 0xFF271, 20) + b"client:x -timeout=abc",
    "garbage": os.urandom(1 << 16),
    "zeros": bytes(1 << 16),
}


def test_connections_that_are_no_clients(lab: LabServer, tracker: str) -> None:
    """Any number of them: no client waits for them, and the board stays with the tracker."""
    connections = []
    for _ in range(6):
        for data in HOSTILE.values():
            connection = socket.create_connection(("127.0.0.1", lab.port), timeout=SECONDS)
            connections.append(connection)
            with suppress(ConnectionError):
                connection.sendall(data)
    session = open_tracker(tracker, KEY)
    assert is_served(session)
    session._sess.get_function("CloseRPCConnection")()
    for connection in connections:
        connection.close()
    assert is_served(open_tracker(tracker, KEY))


def test_garbage_of_a_client(lab: LabServer, tracker: str) -> None:
    """A client that got the board sends nonsense; the next client finds the board in order."""
    for data in (b"", os.urandom(1 << 12), bytes(64), struct.pack("<Qi", 1 << 40, 1)):
        taken = connect_tracker(tracker)
        rpc.base.sendjson(taken._sock, [rpc.base.TrackerCode.REQUEST, KEY, "", 1])
        _, (host, port, key) = rpc.base.recvjson(taken._sock)
        with socket.create_connection((host, port), timeout=SECONDS) as connection:
            said = f"client:{key}".encode()
            connection.sendall(struct.pack("<ii", 0xFF271, len(said)) + said)
            assert struct.unpack("<i", connection.recv(4))[0] == 0xFF271
            with suppress(ConnectionError):
                connection.sendall(data)
        session = open_tracker(tracker, KEY)
        assert is_served(session)
        session._sess.get_function("CloseRPCConnection")()


def test_no_file_and_no_program_of_the_machine(lab: LabServer, tracker: str) -> None:
    session = connect_tracker(tracker).request(KEY)
    for name in ("upload", "download", "remove", "listdir", "load_module", "workpath"):
        with pytest.raises(AttributeError):
            session.get_function(f"tvm.rpc.server.{name}")
    for name in ("runtime.ModuleLoadFromFile", "rpc.CreatePipeClient", "testing.echo"):
        with pytest.raises(AttributeError):
            session.get_function(name)
    assert is_served(session)
    session._sess.get_function("CloseRPCConnection")()


CLIENT = """
import sys
from tvmtiny.rpc.remote import open_tracker
session = open_tracker(sys.argv[1], sys.argv[2])
wait = session.get_function("test.wait")
print(flush=True)
wait(2000)
"""


def test_a_client_that_dies_in_a_call(board: str, tracker: str, warm_programs: Path) -> None:
    server = serve(board, tracker, "dies")
    client = subprocess.Popen(
        [warm_programs / "python", "-c", CLIENT, tracker, "dies"], stdout=subprocess.PIPE
    )
    assert client.stdout is not None
    assert client.stdout.readline() == b"\n"
    assert server._process is not None
    bridge = os.pidfd_open(server._process.pid)
    client.send_signal(signal.SIGKILL)
    client.communicate()
    assert select.select([bridge], [], [], SECONDS)[0]
    os.close(bridge)
    assert is_served(open_tracker(tracker, "dies"))
    server.close()


def test_waiting(board: str, warm_programs: Path) -> None:
    """Wait for a tracker that is not up yet, then for a board that is not served yet."""
    port = free_port()
    address = f"127.0.0.1:{port}"
    found: list[rpc.RPCSession] = []
    with pytest.raises(InputError, match="cannot reach a tracker"):
        open_tracker(address, "later")
    client = threading.Thread(target=lambda: found.append(open_tracker(address, "later", SECONDS)))
    client.start()
    with running_tracker(warm_programs, port):
        with pytest.raises(InputError, match="no board is served as 'later'"):
            open_tracker(address, "later")
        server = serve(board, address, "later")
        client.join(SECONDS)
        assert is_served(found[0])
        server.close()


def test_a_tracker_that_ends_while_it_is_asked() -> None:
    """A tracker that is ending may greet a client and close the connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def closes() -> None:
            with suppress(OSError):
                while True:
                    with listener.accept()[0] as client:
                        if client.recv(4):
                            client.sendall(struct.pack("<i", rpc.base.RPC_TRACKER_MAGIC))

        ending = threading.Thread(target=closes, daemon=True)
        ending.start()
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(InputError, match="cannot reach a tracker"):
            open_tracker(address, KEY)
        listener.shutdown(socket.SHUT_RDWR)
    ending.join()


def test_a_tracker_that_starts_again(board: str, warm_programs: Path) -> None:
    port = free_port()
    address = f"127.0.0.1:{port}"
    with running_tracker(warm_programs, port):
        server = serve(board, address, "again")
    with running_tracker(warm_programs, port):
        assert is_served(open_tracker(address, "again", SECONDS))
        server.close()


def test_what_is_no_tracker(board: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(InputError, match="does not answer like a TVM tracker"):
            serve(board, f"127.0.0.1:{listener.getsockname()[1]}")
