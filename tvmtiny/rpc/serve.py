"""Serving a board to other machines, with nothing but TVM's own servers on the way.

A vanilla ``tvm.exec.rpc_server`` registers at a vanilla ``tvm.exec.rpc_tracker``. Its clients have
it open the bridge to the board, by a name in its PATH, so that they need not know its machine.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from tvm import rpc

from tvmtiny.errors import DeviceError, InputError, LinkClosedError
from tvmtiny.host.guarded_process import start_guarded, stop_guarded
from tvmtiny.host.unfinished import remove, work_folder, work_folder_for
from tvmtiny.link.transport import DEFAULT_BAUDRATE
from tvmtiny.project.api import Transport
from tvmtiny.project.qemu.runner import start_runner
from tvmtiny.project.registry import board_for, build_runner
from tvmtiny.project.runner_firmware import RUNNER
from tvmtiny.rpc.board import (
    check_identity,
    connect_timeout,
    identify,
    identify_started,
    is_url,
    start_board,
)
from tvmtiny.rpc.bridge import DEFAULT_TIMEOUT
from tvmtiny.rpc.remote import (
    BRIDGE_PROGRAM,
    bridge_command,
    check_program,
    connect_tracker,
    split_address,
)
from tvmtiny.targets import BoardLike, find_board

if TYPE_CHECKING:
    from tvmtiny.codegen.artifact import Artifact

__all__ = ["LOOPBACK", "BoardServer", "ServedBoard"]

LOOPBACK = "127.0.0.1"

_FIRST_PORT, _LAST_PORT = 9090, 9999
_BOUND = re.compile(r"bind to \S+:(\d+)")
_START_SECONDS = 30.0
_CHECK_SECONDS = 2.0
#: Checks in a row at which the tracker did not know the server before that is started anew.
_MISSED_CHECKS = 3


@dataclass(frozen=True)
class ServedBoard:
    """A board that clients can request.

    Attributes
    ----------
    model, board
        What runs, and where.
    url
        The board's port on this machine.
    tracker, key
        What a client gives to `Session`.
    host, port
        Where the server listens.
    """

    model: str
    board: str
    url: str
    tracker: str
    key: str
    host: str
    port: int


class BoardServer:
    """Serves one board until it is closed.

    Parameters
    ----------
    artifact
        The model that the board runs; None: it runs the candidates of `tvmtiny.tune`.
    board_or_url
        As in `Session`.
    tracker, key
        Address ``HOST:PORT`` of the tracker, and what clients request the board as.
    host
        Address to listen at. By default that is reached from this machine only; TVM's server lets
        whoever reaches it run programs as this user.
    advertise
        Address that the tracker gives to clients; by default the one that it sees.
    timeout
        Seconds until a call counts as hung, unless a client asks for another time; see `Session`.
    baudrate
        Of a serial port.
    transport
        Kind of port of an emulated board.
    progress
        Called with a few words before each step.

    Raises
    ------
    InputError
        There is no such board or tracker.
    PortError, LinkError, ModelMismatchError
        The board does not answer, or runs another model.
    CapacityError, ToolMissingError, BuildError
        See `Platform`.
    DeviceError
        TVM's server did not start.

    Notes
    -----
    It is a context manager. Server and board end with this process, whatever happens to it.
    """

    def __init__(
        self,
        artifact: Artifact | None,
        board_or_url: BoardLike | None,
        *,
        tracker: str,
        key: str,
        host: str = LOOPBACK,
        advertise: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        baudrate: int = DEFAULT_BAUDRATE,
        transport: str = "socket",
        progress: Callable[[str], None] | None = None,
    ) -> None:
        self._tell = progress or (lambda _: None)
        self._timeout = timeout
        self._tracker, self._key = split_address(tracker), key
        self._options = [f"--host={host}", f"--tracker={tracker}", f"--key={key}"]
        if advertise is not None:
            self._options.append(f"--custom-addr={advertise}")
        self._transport: Transport | None = None
        self._server: _Server | None = None
        self._closing = ExitStack()
        try:
            # Before anything is built: TVM's server would wait for its tracker, silently.
            connect_tracker(tracker).close()
            name, url = self._start_board(artifact, board_or_url, transport, baudrate)
            self._programs = self._write_bridge(url, baudrate)
            self._tell("starting the server")
            self._server = self._start_server()
        except BaseException:
            self.close()
            raise
        model = RUNNER if artifact is None else artifact.name
        self.served = ServedBoard(model, name, url, tracker, key, host, self._server.port)

    def wait(self) -> None:
        """Serve until something ends; start TVM's server anew where a client has broken it.

        Raises
        ------
        LinkClosedError
            The board has gone.
        """
        missed = 0
        while True:
            time.sleep(_CHECK_SECONDS)
            problem = self._transport.problem() if self._transport else None
            if problem is not None:
                raise LinkClosedError(self.served.url, problem)
            assert self._server is not None
            missed = 0 if self._is_known() else missed + 1
            if self._server.ended() or missed >= _MISSED_CHECKS:
                self._tell("starting the server anew")
                self._server.close()
                self._server = self._start_server()
                missed = 0

    def close(self) -> None:
        """End the server and, where it was started here, the board."""
        if self._server is not None:
            self._server.close()
        self._closing.close()

    def __enter__(self) -> BoardServer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _start_board(
        self,
        artifact: Artifact | None,
        board_or_url: BoardLike | None,
        kind: str,
        baudrate: int,
    ) -> tuple[str, str]:
        """Give the board's name and port."""
        if artifact is None:
            return self._start_runner(board_or_url, kind, baudrate)
        if isinstance(board_or_url, str) and is_url(board_or_url):
            hello = identify(board_or_url, baudrate, connect_timeout(self._timeout, None))
            check_identity(artifact, board_or_url, hello.identity.hex(), "another model")
            return hello.board, board_or_url
        board = board_for(artifact, board_or_url)
        with start_board(artifact, board, kind, self._tell) as started:
            identify_started(started.transport, self._timeout)
        self._transport = started.transport
        self._closing.callback(started.transport.close)
        return board.name, started.transport.url

    def _start_runner(
        self, board_or_url: BoardLike | None, kind: str, baudrate: int
    ) -> tuple[str, str]:
        if isinstance(board_or_url, str) and is_url(board_or_url):
            hello = identify(board_or_url, baudrate, connect_timeout(self._timeout, None))
            return hello.board, board_or_url
        if board_or_url is None:
            raise InputError("a runner is for a board; name one (tvmtiny boards lists them)")
        board = find_board(board_or_url)
        with work_folder("runner") as folder:
            self._tell(f"building the runner for {board.name}")
            transport = start_runner(build_runner(board, folder), board, kind)
            self._transport = transport
            self._closing.callback(transport.close)
            identify_started(transport, self._timeout)
        return board.name, transport.url

    def _write_bridge(self, url: str, baudrate: int) -> Path:
        """Make the program that clients ask for: the bridge to this board."""
        directory = work_folder_for("serve")
        self._closing.callback(remove, directory)
        program = directory / BRIDGE_PROGRAM
        connect = connect_timeout(self._timeout, self._transport)
        command = shlex.join(bridge_command(url, self._timeout, connect, baudrate))
        program.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        program.chmod(0o700)
        return directory

    def _start_server(self) -> _Server:
        # The shell knows the PATH of this process, which no library code reads.
        return _Server(
            [
                "/bin/sh",
                "-c",
                'PATH="$0:$PATH" exec "$@"',
                str(self._programs),
                check_program(sys.executable),
                "-m",
                "tvm.exec.rpc_server",
                f"--port={_FIRST_PORT}",
                f"--port-end={_LAST_PORT}",
                *self._options,
            ],
            self._programs,
        )

    def _is_known(self) -> bool:
        """Whether the tracker lists the server; also when there is no tracker to ask.

        TVM's server goes on without serving when the connection to a client ends in an error.
        """
        try:
            connection = rpc.connect_tracker(*self._tracker)
            servers = connection.summary()["server_info"]
            connection.close()
        except (OSError, RuntimeError):
            return True
        assert self._server is not None
        return any(
            server["key"] == f"server:{self._key}" and server["addr"][1] == self._server.port
            for server in servers
        )


class _Server:
    """TVM's server, and what it says."""

    def __init__(self, command: list[str], directory: Path) -> None:
        self._said: deque[str] = deque(maxlen=20)
        self._bound = threading.Event()
        self.port = 0
        self._process = start_guarded(
            command, output=subprocess.PIPE, directory=directory, remove=directory
        )
        threading.Thread(target=self._listen, daemon=True).start()
        if not self._bound.wait(_START_SECONDS) or not self.port:
            self.close()
            raise DeviceError(
                "TVM's server did not start: "
                + (" ".join(" ".join(self._said).split())[-300:] or "it said nothing")
                + "; see whether the packages are in order (tvmtiny doctor)"
            )

    def ended(self) -> bool:
        return self._process.poll() is not None

    def close(self) -> None:
        stop_guarded(self._process)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            text = line.decode(errors="replace")
            self._said.append(text)
            found = _BOUND.search(text)
            if found and not self.port:
                self.port = int(found[1])
                self._bound.set()
        self._bound.set()
