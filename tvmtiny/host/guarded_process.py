"""Programs that run beside the host, and that must not outlive it."""

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

__all__ = ["start_guarded", "stop_guarded"]

_GUARD = Path(__file__).with_name("guard.py")
#: Seconds that what a killed program has started may take to end.
_END_SECONDS = 5.0


def start_guarded(
    command: Sequence[str],
    *,
    output: int | IO[Any],
    directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
    descriptors: Sequence[int] = (),
    remove: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program that is killed when this process ends, even when that is killed.

    Parameters
    ----------
    command
        The program, as an absolute path, and its arguments.
    output
        Where its output goes.
    directory, environment
        By default those of this process.
    descriptors
        Open files that it inherits.
    remove
        A directory without subdirectories that is removed when this process does not live to do so.

    Returns
    -------
    subprocess.Popen
        The program itself. It leads a session of its own, so that an interrupt from the keyboard
        does not reach it.
    """
    park_while_leaving()
    return subprocess.Popen(
        # Isolated and without site: it starts in a few milliseconds.
        [sys.executable, "-I", "-S", str(_GUARD), str(os.getpid()), str(remove or ""), *command],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        cwd=directory,
        env=environment,
        pass_fds=tuple(descriptors),
        start_new_session=True,
    )


def stop_guarded(process: subprocess.Popen[bytes]) -> None:
    """Kill a program and all that it has started, and wait for its end."""
    # One that has ended was waited for, so that its number may be another's; its guard saw to the
    # rest.
    if process.poll() is None:
        others = descendants(process.pid)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for descriptor in still_running(others, _END_SECONDS):
            os.close(descriptor)
