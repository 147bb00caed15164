"""Trackers of TVM that start at once."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tvmtiny.rpc.remote import connect_tracker

SECONDS = 60.0

#: The code that ``python -m tvm.exec.rpc_tracker`` runs in a worker that imports TVM again. The
#: previous tracker may still hold the port.
_TRACKER = """
import sys, time
from tvm.rpc.tracker import PopenTrackerServerState
port = int(sys.argv[1])
while True:
    try:
        state = PopenTrackerServerState("127.0.0.1", port, port + 1)
        break
    except ValueError:
        time.sleep(0.05)
state.thread.join()
"""


def free_port() -> int:
    """A port on which no process listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def until_it_listens(port: int) -> None:
    """Try to connect: a program names its port before it listens there."""
    end = time.monotonic() + SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            assert time.monotonic() < end
            time.sleep(0.05)


@contextmanager
def running_tracker(programs: Path, port: int | None = None) -> Iterator[str]:
    """The address of a tracker that ends with the context.

    Parameters
    ----------
    programs
        The folder of `warm_program`.
    """
    port = free_port() if port is None else port
    command = [programs / "python", "-c", _TRACKER, str(port)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        try:
            connect_tracker(f"127.0.0.1:{port}", SECONDS).close()
            yield f"127.0.0.1:{port}"
        finally:
            process.kill()
