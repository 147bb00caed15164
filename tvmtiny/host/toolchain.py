"""Finding and running compilers, with everything they print kept in a log file."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tvmtiny.errors import BuildError, ToolMissingError

__all__ = [
    "CLibrary",
    "CompileJob",
    "Tool",
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

# What GCC says when a C library's headers, spec files or archives are not installed.
_LIBRARY_MISSING = (
    r"cannot read spec file '(?:{specs})'"
    r"|fatal error: (?:stdint|stddef|math|string|limits)\.h: No such file"
    r"|cannot find -l(?:{archives})\b"
)


@dataclass(frozen=True)
class Tool:
    """A program that must be installed.

    Attributes
    ----------
    name
        Its name, such as ``arm-none-eabi-gcc``.
    package
        The package of Debian and Ubuntu that has it.
    purpose
        What it is needed for, such as ``to compile for Arm Cortex-M``.
    """

    name: str
    package: str
    purpose: str


@dataclass(frozen=True)
class CLibrary:
    """The C library of a compiler, where it is a package of its own.

    Attributes
    ----------
    name
        Its name, such as ``newlib``.
    compiler
        The compiler that needs it.
    package
        The package of Debian and Ubuntu that has it.
    specs
        Files of GCC's options that come with it, such as ``nano.specs``.
    archives
        Names of its archives, as in the option ``-l``.
    """

    name: str
    compiler: Tool
    package: str
    specs: tuple[str, ...]
    archives: tuple[str, ...]

    def is_missing(self, output: str) -> bool:
        """Whether a compiler or linker failed, by what it printed, since this is not installed."""
        specs, archives = ("|".join(map(re.escape, x)) for x in (self.specs, self.archives))
        pattern = _LIBRARY_MISSING.format(specs=specs, archives=archives)
        return re.search(pattern, output) is not None


def find_tool(tool: Tool) -> str:
    """Give the path of an installed program.

    Raises
    ------
    ToolMissingError
        It is not installed; the error names the package.
    """
    path = shutil.which(tool.name)
    if path is None:
        raise ToolMissingError(tool=tool.name, package=tool.package, why=tool.purpose)
    return path


def first_error_line(log: str) -> str:
    """Give the line of a compiler's output that says what went wrong first."""
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
        Where to run it. Relative names keep this machine's paths out of the program.
    log_path
        File for the command and everything that it prints.
    library
        The compiler's C library.

    Returns
    -------
    str
        What it printed.

    Raises
    ------
    BuildError
        It failed.
    ToolMissingError
        It failed because `library` is not installed.
    """
    done = subprocess.run(
        list(command),
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    log_path.write_text(f"{' '.join(command)}\n{done.stdout}", encoding="utf-8")
    if done.returncode == 0:
        return done.stdout
    if library is not None and library.is_missing(done.stdout):
        raise ToolMissingError(
            tool=f"{library.name}, the C library of {library.compiler.name},",
            package=library.package,
            why=library.compiler.purpose,
        )
    raise BuildError(
        command=tuple(command),
        log_path=log_path,
        first_error_line=first_error_line(done.stdout),
    )


@dataclass(frozen=True)
class CompileJob:
    """One source file to compile.

    Attributes
    ----------
    command
        Program and arguments.
    log_path
        File for what it prints.
    """

    command: tuple[str, ...]
    log_path: Path


def compile_all(
    jobs: Sequence[CompileJob], directory: Path, workers: int = 2, library: CLibrary | None = None
) -> None:
    """Run several compilations, some at the same time.

    Parameters
    ----------
    directory, library
        See `run_tool`.
    workers
        How many at the same time.

    Raises
    ------
    BuildError
        One failed: the first in the order of `jobs`, so that the message does not depend on chance.
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
