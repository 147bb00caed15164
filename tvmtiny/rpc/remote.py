"""A `tvm.rpc.RPCSession` to a board whose errors are those of tvmtiny."""

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
    "split_address",
]

#: TVM's constructor of a session over the pipes of a process that it starts.
CONSTRUCTOR = "rpc.CreatePipeClient"

#: What a server of a lab has in its PATH: the bridge with the port of its board.
BRIDGE_PROGRAM = "tvmtiny-board-bridge"

#: What TVM says where its table of sessions is full.
_NO_ROOM = "maximum number of RPC session"

#: What TVM puts in front of the text of an exception, at each hop.
_TVM_PREFIX = "Error caught from RPC call:"


def bridge_command(url: str, timeout: float, connect_timeout: float, baudrate: int) -> list[str]:
    """Give the command of the bridge to a port, without the two numbers that TVM appends.

    Parameters
    ----------
    timeout
        Seconds until a call counts as hung.
    connect_timeout
        Seconds that the board has to answer at all.

    Raises
    ------
    ToolMissingError
        The Python interpreter cannot be started again.
    """
    options = [f"--timeout={timeout!r}", f"--connect-timeout={connect_timeout!r}"]
    options.append(f"--baudrate={baudrate}")
    # Not by -m, which would take a package of that name in the current directory.
    root = str(PACKAGE.parent)
    start = (
        f"import sys; sys.path[0] = {root!r}; import tvmtiny.rpc.bridge as b; b.main(sys.argv[1:])"
    )
    return [check_program(sys.executable), "-c", start, *options, "--", url]


def check_program(path: str) -> str:
    """Give the path of the Python interpreter, once it is known to be one.

    Where the program does not exist, TVM's child would go on as a copy of this process.

    Raises
    ------
    ToolMissingError
        It cannot be started.
    """
    if not path or not os.access(path, os.X_OK):
        raise ToolMissingError(
            "the Python interpreter", "python3", "to start the bridge to a board"
        )
    return path


def _with_room(create: Callable[[], Any]) -> Any:
    """Make a session, after freeing those that nobody can reach where TVM has no room for one.

    TVM has 32, and keeps one until Python collects what refers to it.
    """
    try:
        return create()
    except Exception as error:
        if _NO_ROOM not in str(error):
            raise
    gc.collect()
    return create()


def open_pipe(url: str, timeout: float, connect_timeout: float, baudrate: int) -> rpc.RPCSession:
    """Open a session to the board at a port of this machine."""
    create = tvm.get_global_func(CONSTRUCTOR)
    command = bridge_command(url, timeout, connect_timeout, baudrate)
    return rpc.RPCSession(_with_room(lambda: create(*command)))


def open_tracker(tracker: str, key: str, wait: float = 0.0) -> rpc.RPCSession:
    """Request a board at a tracker.

    Parameters
    ----------
    tracker
        ``HOST:PORT``.
    key
        Which board. When all of them are taken, it waits for one.
    wait
        Seconds that the tracker and a server of such boards have to come up.

    Raises
    ------
    InputError
        There is no tracker, or no board of that key is served.
    """
    end = time.monotonic() + wait
    connection = connect_tracker(tracker, wait)
    while True:
        served = {server["key"] for server in connection.summary()["server_info"]}
        if f"server:{key}" in served or time.monotonic() >= end:
            break
        time.sleep(_RETRY_SECONDS)
    if f"server:{key}" not in served:
        known = ", ".join(sorted(name.partition(":")[2] for name in served)) or "none"
        raise InputError(
            f"no board is served as {quoted(key)} at {tracker}; served there: {known}; start one "
            f"with tvmtiny serve MODEL --board BOARD --tracker {tracker} --key {key}"
        )
    arguments = [CONSTRUCTOR, BRIDGE_PROGRAM]
    return _with_room(
        lambda: connection.request(key, max_retry=1, session_constructor_args=arguments)
    )


def connect_tracker(tracker: str, wait: float = 0.0) -> rpc.TrackerSession:
    """Connect to a tracker.

    Parameters
    ----------
    tracker
        ``HOST:PORT``.
    wait
        Seconds that it has to come up.

    Raises
    ------
    InputError
        There is none.
    """
    host, port = split_address(tracker)
    if not 0 <= wait < math.inf:
        raise InputError(f"{wait:g} seconds are no time to wait; give 0 or more")
    end = time.monotonic() + wait
    while True:
        try:
            # TVM itself tries for a minute.
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
        It is something else.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise InputError(f"{quoted(address)} is not an address; give HOST:PORT")
    return host, int(port)


#: Seconds between two attempts to find what is waited for.
_RETRY_SECONDS = 0.2
#: Seconds in which a tracker must accept a connection.
_TRACKER_SECONDS = 5.0
#: Seconds that a killed process may take to end.
_REAP_SECONDS = 5.0


class Remote:
    """A session, and how its errors are told.

    Parameters
    ----------
    open_session
        Opens it.
    url
        What it leads to, for errors.
    owns_bridge
        Whether the bridge is a child of this process.
    problem
        Says why the board has gone, where that is known; called when its port has.
    describe_fault
        Makes the error of a fault from the registers.
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
        """What the bridge knows of the link; the frames are the last ones, in words."""
        return dict(json.loads(self._statistics()))

    def function(self, name: str) -> Callable[..., Any]:
        """Get a function of the board whose errors are translated.

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
        """Get bytes of the board: memory of the model by its scope."""
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
        """End the session and its bridge."""
        # What is broken or gone needs no goodbye.
        with suppress(RuntimeError):
            self.session._sess.get_function("CloseRPCConnection")()
        self._reap()

    def _reap(self) -> None:
        """Wait for the end of the bridge, which TVM kills and then forgets."""
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
        """Turn TVM's exceptions into those of tvmtiny."""
        try:
            yield
        except TvmtinyError:
            raise
        except RuntimeError as error:
            raise self._translate(str(error)) from error
        except BaseException:
            # An interrupt may have cut the conversation short.
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
