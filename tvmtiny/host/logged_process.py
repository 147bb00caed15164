"""Running a program with everything that it prints in a log file."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["run_logged"]


def run_logged(
    command: Sequence[str], log_path: Path, environment: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Run a program to its end.

    Parameters
    ----------
    command
        Program and arguments.
    log_path
        File for the command and what it prints.
    environment
        Its environment; by default this process's.

    Returns
    -------
    tuple of int and str
        Exit code, and what it printed.
    """
    log_path.parent.mkdir(parents=True, exist_ok=True)
    heading = f"{' '.join(command)}\n"
    with log_path.open("w+", encoding="utf-8", errors="replace") as log:
        log.write(heading)
        log.flush()
        # A session of its own, so that an interrupt ends what the program has started, too.
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=None if environment is None else dict(environment),
            start_new_session=True,
        )
        try:
            code = process.wait()
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait()
    return code, log_path.read_text(encoding="utf-8", errors="replace").removeprefix(heading)
