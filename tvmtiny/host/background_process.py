"""Programs that run beside the host and must not outlive it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from tvmtiny.host.descendants import descendants, still_running
from tvmtiny.host.interrupts import park_while_leaving

__all__ = ["start_background", "stop_background"]

_GUARD = Path(__file__).with_name("background_guard.py")
#: Seconds to wait for descendants of a killed program to exit.
_END_SECONDS = 5.0


def start_background(
    command: Sequence[str],
    *,
    output: int | IO[Any],
    directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
    descriptors: Sequence[int] = (),
    remove: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program that is killed when this process ends, even if this process is killed.

    Parameters
    ----------
    command
        Absolute path of the program, and its arguments.
    output
        File or descriptor for the program's output.
    directory, environment
        Working directory and environment; by default those of this process.
    descriptors
        File descriptors that the program inherits.
    remove
        Directory without subdirectories to remove if this process ends without doing so itself.

    Returns
    -------
    subprocess.Popen
        The program itself. It leads its own session, so a keyboard interrupt does not reach it.
    """
    park_while_leaving()
    return subprocess.Popen(
        # Isolated mode without the site module starts in a few milliseconds.
        [sys.executable, "-I", "-S", str(_GUARD), str(os.getpid()), str(remove or ""), *command],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        cwd=directory,
        env=environment,
        pass_fds=tuple(descriptors),
        start_new_session=True,
    )


def stop_background(process: subprocess.Popen[bytes]) -> None:
    """Kill a program and all its descendants, and wait for them to exit."""
    # A program that has exited is already reaped: its process ID may have been reused, and its
    # guard has killed the descendants.
    if process.poll() is None:
        others = descendants(process.pid)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for descriptor in still_running(others, _END_SECONDS):
            os.close(descriptor)
