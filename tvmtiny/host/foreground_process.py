"""Programs that the host waits for, such as compilers, and that must not outlive it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from tvmtiny.host.interrupts import park_while_leaving

__all__ = ["foreground"]

_GUARD = Path(__file__).with_name("foreground_guard.py")


class _Guard:
    """The process that kills programs left behind by this process; see ``foreground_guard.py``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._host = 0

    def tell(self, line: str) -> None:
        with self._lock:
            # A forked child needs its own watcher.
            if (
                self._process is None
                or self._host != os.getpid()
                or self._process.poll() is not None
            ):
                self._host = os.getpid()
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(_GUARD)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            assert self._process.stdin is not None
            # Bypass the stream's buffer. The program runs even if the watcher has been killed.
            with suppress(OSError):
                os.write(self._process.stdin.fileno(), line.encode())


_guard = _Guard()


@contextmanager
def foreground(
    command: Sequence[str],
    *,
    output: int | IO[Any],
    directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program that ends with the context, and with this process even if that is killed.

    Parameters
    ----------
    command
        Program and arguments.
    output
        File or descriptor for the program's output.
    directory, environment
        Working directory and environment; by default those of this process.

    Returns
    -------
    subprocess.Popen
        The program. It leads its own session, so a keyboard interrupt does not reach it. If the
        context ends first, the program and its process group are terminated.
    """
    park_while_leaving()
    process = subprocess.Popen(
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        cwd=directory,
        env=None if environment is None else dict(environment),
        start_new_session=True,
    )
    _guard.tell(f"+{process.pid}\n")
    try:
        yield process
    finally:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait()
        _guard.tell(f"-{process.pid}\n")
