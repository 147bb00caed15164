"""Opening ports of every kind, and the errors of doing so."""

from __future__ import annotations

import os
import pty
import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tvmtiny.errors import InputError, PortError
from tvmtiny.link.transport import DisconnectedError, Line, WatchEndedError, open_line

LONG = 10.0


@pytest.fixture
def terminal() -> Iterator[tuple[int, str]]:
    """A pseudo-terminal: the board's end, and the path of the host's."""
    board, host = pty.openpty()
    yield board, os.ttyname(host)
    for descriptor in (board, host):
        os.close(descriptor)


def exchange(line: Line, board: int) -> None:
    assert line.write(b"to the board\0\n\xff", LONG)
    assert os.read(board, 100) == b"to the board\0\n\xff"
    os.write(board, b"to the host\0\r\xff")
    got = b""
    while len(got) < 14:
        got += line.read(LONG)
    assert got == b"to the host\0\r\xff"
    assert line.read(0.0) == b""


def test_terminal(terminal: tuple[int, str]) -> None:
    board, path = terminal
    line = open_line(path, 115200)
    exchange(line, board)
    assert line.byte_seconds == 10 / 115200
    line.close()


def test_socket() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        line = open_line(f"socket://127.0.0.1:{listener.getsockname()[1]}")
        board, _ = listener.accept()
        with board:
            exchange(line, board.fileno())
        with pytest.raises(DisconnectedError):
            line.read(LONG)
        line.close()


def test_port_without_a_descriptor() -> None:
    line = open_line("loop://")
    assert line.write(b"abc", LONG)
    got = b""
    while len(got) < 3:
        got += line.read(LONG)
    assert got == b"abc"
    assert line.read(0.01) == b""
    line.close()


@pytest.mark.parametrize("url", ["loop://", "terminal"])
def test_a_watched_descriptor_ends_the_wait(url: str, terminal: tuple[int, str]) -> None:
    reader, writer = os.pipe()
    line = open_line(terminal[1] if url == "terminal" else url, watched={reader: 0})
    threading.Timer(0.05, os.close, [writer]).start()
    with pytest.raises(WatchEndedError):
        line.read(LONG)
    line.close()
    os.close(reader)


def test_a_line_that_takes_no_more() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        line = open_line(f"socket://127.0.0.1:{listener.getsockname()[1]}")
        assert not line.write(bytes(1 << 25), 0.1)
        line.close()


def test_unplugged(terminal: tuple[int, str]) -> None:
    board, host = pty.openpty()
    line = open_line(os.ttyname(host))
    os.close(host)
    os.close(board)
    with pytest.raises(DisconnectedError):
        line.read(LONG)
    line.close()


def error_of(url: str) -> PortError:
    with pytest.raises(PortError) as caught:
        open_line(url)
    assert isinstance(caught.value, InputError)
    assert url in str(caught.value)
    return caught.value


def test_busy(terminal: tuple[int, str]) -> None:
    _, path = terminal
    line = open_line(path)
    assert error_of(path).problem == "busy"
    line.close()
    open_line(path).close()


@pytest.mark.parametrize("url", ["/dev/no-such-port", "socket://no-such-host.invalid:5"])
def test_missing(url: str) -> None:
    assert error_of(url).problem == "missing"


def test_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert error_of(f"socket://127.0.0.1:{port}").problem == "missing"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
def test_permission(tmp_path: Path) -> None:
    path = tmp_path / "port"
    path.touch(mode=0o000)
    assert error_of(str(path)).problem == "permission"


@pytest.mark.parametrize(
    "url", ["nonsense://x", "socket://localhost", "socket://localhost:x", "/dev/null", "/dev"]
)
def test_unusable(url: str) -> None:
    assert error_of(url).problem == "unusable"


def test_events_to_watch_are_those_of_poll() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"x")
    line = open_line("loop://", watched={reader: select.POLLIN})
    with pytest.raises(WatchEndedError):
        line.read(LONG)
    line.close()
    for descriptor in (reader, writer):
        os.close(descriptor)
