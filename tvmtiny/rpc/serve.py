"""Serving a board to other machines, through a tracker of TVM."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

from tvmtiny.errors import DeviceError, InputError, LinkClosedError
from tvmtiny.host.unfinished import work_folder
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
        Address to listen at. By default that is reached from this machine only; whoever reaches it
        can use the board as long as no other client does.
    advertise
        Address that the tracker gives to clients; by default the one that it sees.
    timeout
        Seconds until a call counts as hung, unless a client asks for another time; see `Session`.
    baudrate
        Of a serial port.
    transport
        Kind of port of an emulated board.
    wait
        Seconds that the tracker has to come up.
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
        No port is free to listen at.

    Notes
    -----
    It is a context manager. Server and board end with this process, whatever happens to it.
    Clients are those of TVM's own servers, but reach the board alone; see `tvmtiny.rpc.lab`.
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
            # Before anything is built.
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
        """Serve until something ends.

        Raises
        ------
        LinkClosedError
            The board has gone.
        DeviceError
            The server has ended.
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
            # Candidates come from anywhere, and semihosting would give them this machine's files.
            transport = start_runner(build_runner(board, folder), board, kind, semihosting=False)
            self._transport = transport
            self._closing.callback(transport.close)
            identify_started(transport, self._timeout)
        return board.name, transport.url
