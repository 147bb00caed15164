"""Serve a board to other machines through a TVM tracker."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tvmtiny.errors import DeviceError, InputError, LinkClosedError
from tvmtiny.host.closing import Closing
from tvmtiny.host.unfinished import work_folder
from tvmtiny.link.transport import DEFAULT_BAUDRATE
from tvmtiny.project.api import Transport
from tvmtiny.project.candidate_firmware import RUNNER
from tvmtiny.project.qemu.candidate_build import start_runner
from tvmtiny.project.registry import board_for, build_runner
from tvmtiny.rpc.board import (
    check_identity,
    connect_timeout,
    identify,
    identify_started,
    is_url,
    start_board,
)
from tvmtiny.rpc.bridge import DEFAULT_TIMEOUT
from tvmtiny.rpc.lab import LabServer
from tvmtiny.rpc.remote import (
    bridge_command,
    connect_tracker,
    split_address,
)
from tvmtiny.targets import BoardLike, find_board

if TYPE_CHECKING:
    from tvmtiny.codegen.artifact import Artifact

__all__ = ["LOOPBACK", "BoardServer", "ServedBoard"]

LOOPBACK = "127.0.0.1"

_CHECK_SECONDS = 2.0


@dataclass(frozen=True)
class ServedBoard:
    """A board that clients can request.

    Attributes
    ----------
    model, board
        Name of the model, and of the board that runs it.
    url
        The board's port on this machine.
    tracker, key
        Tracker and key that a client passes to `Session`.
    host, port
        Address and port on which the server listens.
    """

    model: str
    board: str
    url: str
    tracker: str
    key: str
    host: str
    port: int


class BoardServer(Closing):
    """Serve one board until the server is closed.

    Parameters
    ----------
    artifact
        The model that the board runs; with None, the board runs candidates of `tvmtiny.tune`.
    board_or_url
        As for `Session`.
    tracker, key
        Address ``HOST:PORT`` of the tracker, and the key under which clients request the board.
    host
        Address on which the server listens. The default is reachable from this machine only. Anyone
        who can reach the server can use the board while no other client does.
    advertise
        Address that the tracker gives to clients; by default the address that the tracker sees.
    timeout
        Seconds until a call counts as hung, unless a client sets another timeout; see `Session`.
    baudrate
        Baud rate of a serial port.
    transport
        Kind of port for an emulated board.
    wait
        Seconds to wait for the tracker to come up.
    progress
        Called with a short description before each step.

    Raises
    ------
    InputError
        There is no such board, or no tracker at that address.
    PortError, LinkError, ModelMismatchError
        The board does not answer, or runs another model.
    CapacityError, ToolMissingError, BuildError
        Raised as by `Platform`.
    DeviceError
        No port is free for the server.

    Notes
    -----
    The server is a context manager. Server and board end when this process ends, even if it is
    killed. Clients of TVM's own servers can connect, but reach only the board; see
    `tvmtiny.rpc.lab`.
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
        wait: float = 0.0,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        self._tell = progress or (lambda _: None)
        self._timeout = timeout
        self._transport: Transport | None = None
        self._server: LabServer | None = None
        self._closing = ExitStack()
        try:
            # Check the tracker before spending time on a build.
            if wait > 0:
                self._tell(f"waiting for a tracker at {tracker}")
            connect_tracker(tracker, wait).close()
            name, url = self._start_board(artifact, board_or_url, transport, baudrate)
            connect = connect_timeout(timeout, self._transport)
            self._tell("starting the server")
            self._server = LabServer(
                bridge_command(url, timeout, connect, baudrate),
                split_address(tracker),
                key,
                host,
                advertise,
            )
        except BaseException:
            self.close()
            raise
        model = RUNNER if artifact is None else artifact.name
        self.served = ServedBoard(model, name, url, tracker, key, host, self._server.port)

    def wait(self) -> None:
        """Serve until the board or the server stops.

        Raises
        ------
        LinkClosedError
            The board is gone.
        DeviceError
            The server has stopped.
        """
        while True:
            time.sleep(_CHECK_SECONDS)
            problem = self._transport.problem() if self._transport else None
            if problem is not None:
                raise LinkClosedError(self.served.url, problem)
            assert self._server is not None
            problem = self._server.problem()
            if problem is not None:
                raise DeviceError(f"{problem}; start it again")

    def close(self) -> None:
        """Stop the server, and the board if it was started by this object."""
        if self._server is not None:
            self._server.close()
        self._closing.close()

    def _start_board(
        self,
        artifact: Artifact | None,
        board_or_url: BoardLike | None,
        kind: str,
        baudrate: int,
    ) -> tuple[str, str]:
        """Start or find the board, and return its name and port."""
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
            raise InputError("a runner needs a board; name one (tvmtiny boards lists them)")
        board = find_board(board_or_url)
        with work_folder("runner") as folder:
            self._tell(f"building the runner for {board.name}")
            # Candidates may come from any client, and semihosting would give them access to files.
            transport = start_runner(build_runner(board, folder), board, kind, semihosting=False)
            self._transport = transport
            self._closing.callback(transport.close)
            identify_started(transport, self._timeout)
        return board.name, transport.url
