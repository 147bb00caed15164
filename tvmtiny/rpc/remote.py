"""A `tvm.rpc.RPCSession` to a board that raises tvmtiny's own errors."""

from __future__ import annotations

import gc
import json
import math
import os
import select
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import tvm
from tvm import rpc

from tvmtiny.errors import (
    DeviceError,
    DeviceFaultError,
    InputError,
    LinkClosedError,
    PortError,
    ToolMissingError,
    TvmtinyError,
)
from tvmtiny.errors.base import quoted
from tvmtiny.resources import PACKAGE
from tvmtiny.rpc.failures import fault_registers, find_failure

__all__ = [
    "BRIDGE_PROGRAM",
    "CONSTRUCTOR",
    "Remote",
    "bridge_command",
    "check_program",
    "connect_tracker",
    "open_pipe",
    "open_tracker",
    "served_boards",
    "split_address",
]

#: TVM's session constructor that talks over the pipes of a process which it starts.
CONSTRUCTOR = "rpc.CreatePipeClient"

#: Program in the PATH of a lab's server that starts the bridge to its board.
BRIDGE_PROGRAM = "tvmtiny-board-bridge"

#: TVM's message when its table of sessions is full.
_NO_ROOM = "maximum number of RPC session"

#: Prefix that TVM adds to the text of an exception at each hop.
_TVM_PREFIX = "Error caught from RPC call:"


def bridge_command(url: str, timeout: float, connect_timeout: float, baudrate: int) -> list[str]:
    """Return the command that starts a bridge to a port, without the descriptors that TVM appends.

    Parameters
    ----------
    timeout
        Seconds until a call counts as hung.
    connect_timeout
        Seconds within which the board must first answer.

    Raises
    ------
    ToolMissingError
        The Python interpreter cannot be executed.
    """
    options = [f"--timeout={timeout!r}", f"--connect-timeout={connect_timeout!r}"]
    options.append(f"--baudrate={baudrate}")
    # "-m tvmtiny" would prefer a package of that name in the current directory.
    root = str(PACKAGE.parent)
    start = (
        f"import sys; sys.path[0] = {root!r}; import tvmtiny.rpc.bridge as b; b.main(sys.argv[1:])"
    )
    return [check_program(sys.executable), "-c", start, *options, "--", url]


def check_program(path: str) -> str:
    """Return the path of the Python interpreter after checking that it is executable.

    If the program did not exist, TVM's forked child would continue as a copy of this process.

    Raises
    ------
    ToolMissingError
        The interpreter cannot be executed.
    """
    if not path or not os.access(path, os.X_OK):
        raise ToolMissingError(
            "the Python interpreter", "python3", "to start the bridge to a board"
        )
    return path


def _with_room(create: Callable[[], Any]) -> Any:
    """Create a session; if TVM's session table is full, collect garbage first.

    TVM has room for 32 sessions, and releases one only when Python collects all references to it.
    """
    try:
        return create()
    except Exception as error:
        if _NO_ROOM not in str(error):
            raise
    gc.collect()
    return create()


def open_pipe(url: str, timeout: float, connect_timeout: float, baudrate: int) -> rpc.RPCSession:
    """Open a session to a board at a port of this machine."""
    create = tvm.get_global_func(CONSTRUCTOR)
    command = bridge_command(url, timeout, connect_timeout, baudrate)
    return rpc.RPCSession(_with_room(lambda: create(*command)))


def open_tracker(
    tracker: str, key: str, wait: float = 0.0, patience: float | None = None
) -> rpc.RPCSession:
    """Request a board from a tracker.

    Parameters
    ----------
    tracker
        Address of the tracker, ``HOST:PORT``.
    key
        Key of the board. If all boards with that key are taken, the call waits for one.
    wait
        Seconds to wait for the tracker and for a server of such boards to come up.
    patience
        Seconds to wait for a board that is free; None to wait without a limit.

    Raises
    ------
    InputError
        There is no tracker, or no board with that key is served.
    LinkClosedError
        No board became free in time.
    """
    end = time.monotonic() + wait
    connection = connect_tracker(tracker, wait)
    while True:
        try:
            served = {server["key"] for server in connection.summary()["server_info"]}
        except OSError as error:
            # A tracker that is just ending accepts connections; another one may take its place.
            if time.monotonic() >= end:
                raise _no_tracker(tracker, error) from error
            connection = connect_tracker(tracker, max(0.0, end - time.monotonic()))
            continue
        if f"server:{key}" in served or time.monotonic() >= end:
            break
        time.sleep(_RETRY_SECONDS)
    if f"server:{key}" not in served:
        known = ", ".join(sorted(name.partition(":")[2] for name in served)) or "none"
        raise InputError(
            f"no board is served as {quoted(key)} at {tracker}; served there: {known}; serve it "
            f"with tvmtiny serve MODEL --board BOARD --tracker {tracker} --key {key}"
        )
    arguments = [CONSTRUCTOR, BRIDGE_PROGRAM]
    # The tracker answers a request once a board is free.
    connection._sock.settimeout(patience)
    try:
        return _with_room(
            lambda: connection.request(key, max_retry=1, session_constructor_args=arguments)
        )
    except RuntimeError as error:
        if patience is None or "timed out" not in str(error):
            raise
        raise LinkClosedError(
            f"{key} at {tracker}", f"no board was free within {patience:g} s"
        ) from error


def served_boards(tracker: str, key: str, wait: float = 0.0) -> int:
    """Return how many boards with a key are served at a tracker, free or taken.

    Parameters
    ----------
    wait
        Seconds to wait for the tracker to come up.

    Raises
    ------
    InputError
        There is no tracker.
    """
    connection = connect_tracker(tracker, wait)
    try:
        served = connection.summary()["server_info"]
        return sum(server["key"] == f"server:{key}" for server in served)
    except OSError as error:
        raise _no_tracker(tracker, error) from error
    finally:
        connection.close()


def connect_tracker(tracker: str, wait: float = 0.0) -> rpc.TrackerSession:
    """Connect to a tracker.

    Parameters
    ----------
    tracker
        Address of the tracker, ``HOST:PORT``.
    wait
        Seconds to wait for the tracker to come up.

    Raises
    ------
    InputError
        There is no tracker at that address.
    """
    host, port = split_address(tracker)
    if not 0 <= wait < math.inf:
        raise InputError(f"cannot wait for {wait:g} seconds; give 0 or more")
    end = time.monotonic() + wait
    while True:
        try:
            # TVM's own connect retries for a minute.
            socket.create_connection((host, port), _TRACKER_SECONDS).close()
            return rpc.connect_tracker(host, port)
        except OSError as error:
            if time.monotonic() >= end:
                raise _no_tracker(tracker, error) from error
        time.sleep(_RETRY_SECONDS)


def _no_tracker(tracker: str, error: OSError) -> InputError:
    host, port = split_address(tracker)
    return InputError(
        f"cannot reach a tracker at {tracker}: {error.strerror or error}; start one with "
        f"python -m tvm.exec.rpc_tracker --host {host} --port {port} --port-end {port + 1}"
    )


def split_address(address: str) -> tuple[str, int]:
    """Split ``HOST:PORT``.

    Raises
    ------
    InputError
        The address has another form.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise InputError(f"{quoted(address)} is not an address; give HOST:PORT")
    return host, int(port)


#: Seconds between two attempts to reach a tracker or find a board.
_RETRY_SECONDS = 0.2
#: Seconds in which a tracker must accept a connection.
_TRACKER_SECONDS = 5.0
#: Seconds to wait for a killed process to exit.
_REAP_SECONDS = 5.0


class Remote:
    """A TVM session whose errors are translated to those of tvmtiny.

    Parameters
    ----------
    open_session
        Opens the session.
    url
        Name of the other end, for error messages.
    owns_bridge
        Whether the bridge is a child of this process.
    problem
        Called when the port has closed; returns why the board has exited, or None if unknown.
    describe_fault
        Makes the error for a processor fault from the reported registers.
    """

    def __init__(
        self,
        open_session: Callable[[], rpc.RPCSession],
        url: str,
        owns_bridge: bool,
        problem: Callable[[], str | None],
        describe_fault: Callable[[Mapping[str, int]], DeviceFaultError],
    ) -> None:
        self._url = url
        self._problem = problem
        self._describe_fault = describe_fault
        self._owns_bridge = owns_bridge
        self._bridge: int | None = None
        self.broken = False
        try:
            with self.translated():
                self.session = open_session()
            self._statistics = self.function("tvmtiny.bridge.statistics")
            if owns_bridge:
                self._bridge = int(self.statistics()["process"])
        except TvmtinyError:
            self._reap()
            raise

    def statistics(self) -> dict[str, Any]:
        """Return the bridge's view of the link; the most recent frames are described in words."""
        return dict(json.loads(self._statistics()))

    def function(self, name: str) -> Callable[..., Any]:
        """Return a function of the board; its errors are translated.

        Raises
        ------
        DeviceError
            The board has no such function.
        """
        with self.translated():
            try:
                found = self.session.get_function(name)
            except AttributeError:
                raise DeviceError(
                    f"the board at {self._url} has no function {name}; flash firmware that was "
                    "built with this version of tvmtiny"
                ) from None

        def call(*arguments: Any) -> Any:
            with self.translated():
                return found(*arguments)

        return call

    def memory(self, scope: str, count: int) -> tvm.runtime.Tensor:
        """Return model memory on the board, selected by its scope, as `count` bytes."""
        with self.translated():
            return tvm.runtime.empty((count,), "uint8", self.session.cpu(0), scope)

    def write(self, memory: tvm.runtime.Tensor, data: bytes) -> None:
        """Copy bytes to the board."""
        with self.translated():
            memory.copyfrom(np.frombuffer(data, np.uint8))

    def read(self, memory: tvm.runtime.Tensor) -> bytes:
        """Copy bytes from the board."""
        with self.translated():
            return bytes(memory.numpy().tobytes())

    def close(self) -> None:
        """Close the session and its bridge."""
        # Skip the shutdown message if the link is already down.
        with suppress(RuntimeError):
            self.session._sess.get_function("CloseRPCConnection")()
        self._reap()

    def _reap(self) -> None:
        """Wait for the bridge to exit; TVM kills it without reaping it."""
        process, self._bridge = self._bridge, None
        if process is None or not self._owns_bridge:
            return
        with suppress(ProcessLookupError, ChildProcessError):
            ended = os.pidfd_open(process)
            try:
                select.select([ended], [], [], _REAP_SECONDS)
                os.waitpid(process, os.WNOHANG)
            finally:
                os.close(ended)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Translate TVM's exceptions to those of tvmtiny."""
        try:
            yield
        except TvmtinyError:
            raise
        except RuntimeError as error:
            raise self._translate(str(error)) from error
        except BaseException:
            # An interrupt may have left a packet half transferred.
            self.broken = True
            raise

    def _translate(self, text: str) -> TvmtinyError:
        failure = find_failure(text)
        if failure is not None:
            if self._bridge is None:
                self._bridge = failure.process
            if isinstance(failure.error, (LinkClosedError, PortError)):
                reason = self._problem()
                if reason is not None:
                    return LinkClosedError(
                        failure.error.url, reason, frames=getattr(failure.error, "frames", ())
                    )
            return failure.error
        registers = fault_registers(text)
        if registers is not None:
            fault = self._describe_fault(registers)
            with suppress(TvmtinyError):
                fault.frames = tuple(self.statistics()["frames"])
            return fault
        _, mark, said = text.rpartition(_TVM_PREFIX)
        if mark:
            return DeviceError(f"the board at {self._url} refused a call: {' '.join(said.split())}")
        self.broken = True
        reason = self._problem() or f"the bridge ended ({' '.join(text.split())[:200]})"
        return LinkClosedError(self._url, reason)
