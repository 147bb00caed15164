"""Run a program and keep everything that it prints in a log file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tvmtiny.host.files import writing
from tvmtiny.host.foreground_process import foreground

__all__ = ["run_logged"]


def run_logged(
    command: Sequence[str], log_path: Path, environment: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Run a program until it exits.

    Parameters
    ----------
    command
        Program and arguments.
    log_path
        File that receives the command line and the program's output.
    environment
        Environment of the program; by default that of this process.

    Returns
    -------
    tuple of int and str
        Exit code and output.
    """
    log_path.parent.mkdir(parents=True, exist_ok=True)
    heading = f"{' '.join(command)}\n"
    with log_path.open("w+", encoding="utf-8", errors="replace") as log:
        with writing(log_path):
            log.write(heading)
            log.flush()
        with foreground(command, output=log, environment=environment) as process:
            code = process.wait()
    return code, log_path.read_text(encoding="utf-8", errors="replace").removeprefix(heading)
