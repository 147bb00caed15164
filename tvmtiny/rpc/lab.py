"""A server for TVM's RPC tracker that connects each client to the bridge of one board.

The server speaks the protocols of ``tvm.exec.rpc_tracker`` and ``tvm.exec.rpc_server``. Unlike the
latter, it gives clients only the functions of the bridge and of the board, and no access to files
or programs of this machine. A new connection must identify itself within a few seconds, and does
not delay other clients meanwhile.
"""

from __future__ import annotations

import os
import queue
import secrets
import select
import socket
import struct
import subprocess
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from tvm.rpc import base

from tvmtiny.errors import DeviceError, InputError
from tvmtiny.host.interrupts import park_while_leaving

__all__ = ["LabServer"]

_FIRST_PORT, _LAST_PORT = 9090, 9999
#: Seconds within which a client must identify itself, and the tracker must answer.
_GREETING_SECONDS, _TRACKER_SECONDS = 5.0, 10.0
#: Limit on connections that have not yet identified themselves; when it is exceeded, the oldest is
#: closed.
_MOST_GREETINGS = 32
_LONGEST_KEY = 1024
#: Seconds between two checks whether a client that was assigned the board has connected, and the
#: number of checks without one after which the board is offered again.
_CHECK_SECONDS, _MISSED_CHECKS = 2.0, 3
_RETRY_SECONDS = 1.0
#: Idle seconds after which TCP keepalive probes a client's machine.
_KEEPALIVE_SECONDS = 60
_NUMBER = struct.Struct("<i")


@dataclass(frozen=True)
class _Client:
    connection: socket.socket
    seconds: float | None


class LabServer:
    """Serve one board to one client at a time until the server is closed.

    Parameters
    ----------
    bridge
        Command that starts the bridge to the board, without its descriptors.
    tracker
        Host and port of the tracker.
    key
        Key under which clients request the board.
    host
        Address on which the server listens.
    advertise
        Address that the tracker gives to clients; None for the address that the tracker sees.

    Attributes
    ----------
    port
        TCP port on which the server listens.

    Raises
    ------
    InputError
        The server cannot listen on that address, or no tracker answers at the given address.
    """

    def __init__(
        self,
        bridge: Sequence[str],
        tracker: tuple[str, int],
        key: str,
        host: str,
        advertise: str | None,
    ) -> None:
        self._bridge = list(bridge)
        self._tracker, self._key, self._advertise = tracker, key, advertise
        self._lock = threading.Lock()
        self._offer: str | None = None
        self._clients: queue.Queue[_Client] = queue.Queue()
        self._greeting: deque[socket.socket] = deque()
        self._closed = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._problem: str | None = None
        self._connection: socket.socket | None = None
        self._listener = _listen(host)
        self.port: int = self._listener.getsockname()[1]
        try:
            self._register()
        except (OSError, ValueError) as error:
            self.close()
            raise InputError(
                f"{tracker[0]}:{tracker[1]} does not answer like a TVM tracker: {error}; start "
                "one with python -m tvm.exec.rpc_tracker"
            ) from error
        for work in (self._accept, self._serve):
            threading.Thread(target=work, daemon=True).start()

    def problem(self) -> str | None:
        """Return why the server has stopped; None while it runs."""
        return self._problem

    def close(self) -> None:
        """Stop the server, and abort the client that it is serving."""
        self._closed.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            if self._process is not None:
                self._process.kill()
        if self._connection is not None:
            self._connection.close()

    # The tracker.

    def _register(self) -> None:
        """Register this server with the tracker, and offer the board."""
        connection = socket.create_connection(self._tracker, _TRACKER_SECONDS)
        try:
            connection.sendall(_NUMBER.pack(base.RPC_TRACKER_MAGIC))
            if _NUMBER.unpack(base.recvall(connection, 4))[0] != base.RPC_TRACKER_MAGIC:
                raise ValueError("its answer is not a tracker's")
            self._connection = connection
            info = {"key": f"server:{self._key}", "addr": (self._advertise, self.port)}
            self._ask(base.TrackerCode.UPDATE_INFO, info)
            self._offer_board()
        except BaseException:
            self._connection = None
            connection.close()
            raise

    def _ask(self, *request: object) -> object:
        assert self._connection is not None
        base.sendjson(self._connection, request)
        return base.recvjson(self._connection)

    def _offer_board(self) -> None:
        offer = f"{self._key}:{secrets.token_hex(8)}"
        with self._lock:
            self._offer = offer
        self._ask(base.TrackerCode.PUT, self._key, (self.port, offer), self._advertise)

    def _is_pending(self) -> bool:
        """Whether the tracker still offers the board, and has not assigned it to a client."""
        pending = self._ask(base.TrackerCode.GET_PENDING_MATCHKEYS)
        return isinstance(pending, list) and self._offer in pending

    # The clients.

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                # The listener is closed, or the process has too many open files.
                self._closed.wait(0.1)
                continue
            with self._lock:
                self._greeting.append(connection)
                if len(self._greeting) > _MOST_GREETINGS:
                    # The connection's own thread notices the shutdown and closes it.
                    with suppress(OSError):
                        self._greeting[0].shutdown(socket.SHUT_RDWR)
                    self._greeting.popleft()
            threading.Thread(target=self._greet, args=(connection,), daemon=True).start()

    def _greet(self, connection: socket.socket) -> None:
        try:
            client = self._identify(connection)
        except (OSError, ValueError):
            client = None
        with self._lock, suppress(ValueError):
            self._greeting.remove(connection)
        if client is None:
            connection.close()
        else:
            self._clients.put(client)

    def _identify(self, connection: socket.socket) -> _Client | None:
        end = time.monotonic() + _GREETING_SECONDS
        if _NUMBER.unpack(_receive(connection, 4, end))[0] != base.RPC_MAGIC:
            return None
        (length,) = _NUMBER.unpack(_receive(connection, 4, end))
        if not 0 <= length <= _LONGEST_KEY:
            return None
        said, *options = _receive(connection, length, end).decode().rsplit(" -timeout=", 1)
        seconds = float(options[0]) if options else 0.0
        with self._lock:
            offer = self._offer
            matches = offer is not None and secrets.compare_digest(
                said.encode(), f"client:{offer}".encode()
            )
            if matches:
                self._offer = None
        if not matches:
            connection.sendall(_NUMBER.pack(base.RPC_CODE_MISMATCH))
            return None
        name = f"server:{self._key}".encode()
        answer = _NUMBER.pack(base.RPC_CODE_SUCCESS) + _NUMBER.pack(len(name)) + name
        connection.sendall(answer)
        connection.settimeout(None)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_SECONDS)
        return _Client(connection, seconds if seconds > 0 else None)

    def _serve(self) -> None:
        try:
            missed = 0
            while not self._closed.is_set():
                client = None
                with suppress(queue.Empty):
                    client = self._clients.get(timeout=_CHECK_SECONDS)
                try:
                    if client is not None:
                        self._pass_on(client)
                        missed = 0
                        self._offer_board()
                    elif self._connection is None:
                        self._register()
                    else:
                        missed = 0 if self._is_pending() else missed + 1
                        if missed >= _MISSED_CHECKS and self._clients.empty():
                            missed = 0
                            self._offer_board()
                except (OSError, ValueError):
                    # The tracker is gone, but may come back.
                    if self._connection is not None:
                        self._connection.close()
                    self._connection = None
                    self._closed.wait(_RETRY_SECONDS)
        except Exception as error:
            self._problem = f"the server ended: {error}"
            raise

    def _pass_on(self, client: _Client) -> None:
        """Start a bridge for a client and wait until it exits."""
        park_while_leaving()
        descriptor = client.connection.fileno()
        with client.connection:
            with self._lock:
                if self._closed.is_set():
                    return
                self._process = subprocess.Popen(
                    [*self._bridge, str(descriptor), str(descriptor)],
                    stdin=subprocess.DEVNULL,
                    pass_fds=[descriptor],
                )
            try:
                self._process.wait(client.seconds)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        with self._lock:
            self._process = None


def _listen(host: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in range(_FIRST_PORT, _LAST_PORT):
        try:
            return socket.create_server((host, port), family=family)
        except OSError as error:
            if port + 1 < _LAST_PORT and "in use" in os.strerror(error.errno or 0):
                continue
            raise InputError(f"cannot listen at {host}: {error.strerror or error}") from error
    raise DeviceError(
        f"no port from {_FIRST_PORT} to {_LAST_PORT} is free on {host}; end another server, and "
        "start again"
    )


def _receive(connection: socket.socket, count: int, end: float) -> bytes:
    """Receive exactly `count` bytes before the time `end`.

    Raises
    ------
    OSError
        The bytes did not arrive in time.
    """
    data = b""
    while len(data) < count:
        ready, _, _ = select.select([connection], [], [], max(0.0, end - time.monotonic()))
        part = connection.recv(count - len(data)) if ready else b""
        if not part:
            raise OSError("the connection closed, or stayed silent")
        data += part
    return data
