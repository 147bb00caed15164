"""A port of another machine: RFC 2217, with pyserial's own server side."""

from __future__ import annotations

import select
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
import serial
from plain_client import Client
from serial.rfc2217 import PortManager

from tvmtiny.errors import LinkClosedError, PortError
from tvmtiny.link.transport import open_line
from tvmtiny.rpc.bridge import Bridge

# pyserial 3.5 uses the old name of an attribute of threads.
pytestmark = pytest.mark.filterwarnings("ignore:set(Daemon|Name).. is deprecated")


class _Connection:
    """The file to which the port manager writes its answers."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end

    def write(self, data: bytes) -> None:
        self.end.sendall(data)


class _Terminal(serial.Serial):
    """A pseudo-terminal, which has no modem lines."""

    cts = dsr = ri = cd = False

    def _update_rts_state(self) -> None:
        pass

    _update_dtr_state = _update_break_state = _update_rts_state


class RemotePort:
    """Connects one client to a serial port."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"rfc2217://127.0.0.1:{self._listener.getsockname()[1]}"
        self.end: socket.socket | None = None
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        if self.end is not None:
            with suppress(OSError):
                self.end.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._listener.close()

    def _serve(self) -> None:
        self.end, _ = self._listener.accept()
        with self.end, _Terminal(self._path, timeout=0) as port:
            manager = PortManager(port, _Connection(self.end))
            while True:
                ready, _, _ = select.select([self.end, port.fileno()], [], [])
                if port.fileno() in ready:
                    self.end.sendall(b"".join(manager.escape(port.read(4096))))
                if self.end in ready:
                    data = self.end.recv(4096)
                    if not data:
                        return
                    port.write(b"".join(manager.filter(data)))


@pytest.fixture
def remote_port(pty_device: tuple[subprocess.Popen[str], str]) -> Iterator[RemotePort]:
    port = RemotePort(pty_device[1])
    yield port
    port.close()


def test_a_session(remote_port: RemotePort) -> None:
    client = Client(Bridge(lambda: open_line(remote_port.url), remote_port.url, 20.0))
    client.begin()
    data = bytes(range(256)) * 8
    handle = client.allocate(len(data))
    client.write(handle, data)
    assert client.read(handle, len(data)) == data
    client.bridge.close()


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(PortError) as caught:
        open_line(f"rfc2217://127.0.0.1:{port}")
    assert caught.value.problem == "missing"


def test_a_server_that_goes_away(remote_port: RemotePort) -> None:
    client = Client(Bridge(lambda: open_line(remote_port.url), remote_port.url, 20.0))
    client.begin()
    remote_port.close()
    with pytest.raises(LinkClosedError):
        client.function("tvmtiny.echo")
    client.bridge.close()
