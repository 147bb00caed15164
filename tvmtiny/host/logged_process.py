"""Running a program with everything that it prints in a log file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tvmtiny.host.files import writing
from tvmtiny.host.watched_process import watched

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
        with writing(log_path):
            log.write(heading)
            log.flush()
        with watched(command, output=log, environment=environment) as process:
            code = process.wait()
    return code, log_path.read_text(encoding="utf-8", errors="replace").removeprefix(heading)
