"""Find and run compilers, keeping everything that they print in log files."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tvmtiny.errors import BuildError, ToolMissingError
from tvmtiny.host.files import write_text
from tvmtiny.host.foreground_process import foreground
from tvmtiny.host.tools import CLibrary, Tool

__all__ = [
    "CompileJob",
    "compile_all",
    "find_tool",
    "first_error_line",
    "run_tool",
]

_ERROR = re.compile(
    r"\berror\b|undefined reference|multiple definition|overflowed by|cannot find|"
    r"will not fit|No such file",
    re.IGNORECASE,
)


def find_tool(tool: Tool) -> str:
    """Return the path of an installed program.

    Raises
    ------
    ToolMissingError
        The program is not installed; the error names the package.
    """
    path = shutil.which(tool.name)
    if path is None:
        raise ToolMissingError(tool=tool.name, package=tool.package, why=tool.purpose)
    return path


def first_error_line(log: str) -> str:
    """Return the line of a compiler's output that names the first error."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    for line in lines:
        if _ERROR.search(line):
            return line
    return lines[-1] if lines else "no output"


def run_tool(
    command: Sequence[str], directory: Path, log_path: Path, library: CLibrary | None = None
) -> str:
    """Run a compiler or linker.

    Parameters
    ----------
    command
        Program and arguments.
    directory
        Working directory. Relative file names keep paths of this machine out of the program.
    log_path
        File that receives the command line and everything that the command prints.
    library
        The compiler's C library.

    Returns
    -------
    str
        Output of the command.

    Raises
    ------
    BuildError
        The command failed.
    ToolMissingError
        The command failed because `library` is not installed.
    """
    with foreground(command, output=subprocess.PIPE, directory=directory) as process:
        printed, _ = process.communicate()
    output = printed.decode("utf-8", "replace")
    write_text(log_path, f"{' '.join(command)}\n{output}")
    if process.returncode == 0:
        return output
    if library is not None and library.is_missing(output):
        raise ToolMissingError(
            tool=f"{library.name}, the C library of {library.compiler.name},",
            package=library.package,
            why=library.compiler.purpose,
        )
    raise BuildError(
        command=tuple(command),
        log_path=log_path,
        first_error_line=first_error_line(output),
    )


@dataclass(frozen=True)
class CompileJob:
    """The compilation of one source file.

    Attributes
    ----------
    command
        Program and arguments.
    log_path
        File that receives the compiler's output.
    """

    command: tuple[str, ...]
    log_path: Path


def compile_all(
    jobs: Sequence[CompileJob], directory: Path, workers: int = 2, library: CLibrary | None = None
) -> None:
    """Run several compilations in parallel.

    Parameters
    ----------
    directory, library
        See `run_tool`.
    workers
        Number of compilations that run at the same time.

    Raises
    ------
    BuildError
        A compilation failed. The first failed one in the order of `jobs` is reported, so that the
        message is deterministic.
    ToolMissingError
        `library` is not installed.
    """
    with ThreadPoolExecutor(max_workers=workers) as pool:
        futures = [
            pool.submit(run_tool, job.command, directory, job.log_path, library) for job in jobs
        ]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
