"""Build Zephyr applications with west, and flash them with west's runners."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tvmtiny.errors import BuildError, CapacityError, InputError
from tvmtiny.host.files import make_directory, write_text
from tvmtiny.project.zephyr.application import Application
from tvmtiny.project.zephyr.source_tree import ZephyrTree

__all__ = [
    "ApplicationBuild",
    "build_application",
    "flash_application",
    "flash_build",
    "memory_table",
]

_USED = re.compile(r"^\s+(\w+):\s+(\d+) (B|KB|MB|GB)\s+(\d+) (B|KB|MB|GB)\s", re.MULTILINE)
_TABLE = "tvmtiny_memory.txt"
_UNITS = {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}
_OVERFLOW = re.compile(r"region [`'](?P<region>\w+)' overflowed by (?P<bytes>\d+) byte")
_LENGTH = re.compile(r"^\s*(\w+)\s*\(\w+\)\s*:\s*ORIGIN\s*=[^,]*,\s*LENGTH\s*=\s*(.+)$", re.M)


@dataclass(frozen=True)
class ApplicationBuild:
    """A built application.

    Attributes
    ----------
    application
        The application that was built.
    directory
        Build directory of west.
    elf, log
        Program, and log of everything that was printed.
    zephyr_version
        Version of the Zephyr tree.
    zephyr_board
        Name of the board in that tree.
    memory
        Used and available bytes of each memory region.
    """

    application: Application
    directory: Path
    elf: Path
    log: Path
    zephyr_version: tuple[int, int, int]
    zephyr_board: str
    memory: Mapping[str, tuple[int, int]] = field(hash=False)


def build_application(
    application: Application,
    tree: ZephyrTree,
    build_directory: Path | None = None,
    definitions: Mapping[str, str] | None = None,
) -> ApplicationBuild:
    """Build an application with west.

    Parameters
    ----------
    application
        The application to build.
    tree
        The Zephyr tree to build with.
    build_directory
        Build directory; by default ``build`` in the application.
    definitions
        CMake variables, such as ``TVMTINY_MODE``.

    Raises
    ------
    UnknownTargetError
        This Zephyr version does not support the board.
    ToolMissingError, BuildError
        West is not installed, or failed.
    CapacityError
        The program does not fit the board.
    """
    directory = build_directory or application.directory / "build"
    # Always pass the mode: CMake's cache would keep that of an earlier build.
    given = {"TVMTINY_MODE": application.mode, **(definitions or {})}
    names = application.board.names
    # A board of the user's own is not in the tree.
    name = names[-1] if "BOARD_ROOT" in given else tree.board_name(names)
    log = directory.parent / f"{directory.name}.log"
    command = ["build", "--pristine=auto", "--board", name, "--build-dir", str(directory)]
    command += [str(application.directory), "--"]
    command += [f"-D{key}={value}" for key, value in given.items()]
    make_directory(directory.parent)
    try:
        output = tree.west(command, log)
    except BuildError as error:
        if too_small := _too_small(application, directory, log):
            raise too_small from error
        raise
    # A native program is an .exe with an ELF file beside it.
    native = directory / "zephyr" / "zephyr.exe"
    program = native if native.exists() else native.with_suffix(".elf")
    memory = memory_table(output)
    table = directory / _TABLE
    if memory:
        write_text(table, "".join(match.group() + "\n" for match in _USED.finditer(output)))
    elif table.exists():
        # A build without changes does not link, and prints no table.
        memory = memory_table(table.read_text(encoding="utf-8"))
    return ApplicationBuild(application, directory, program, log, tree.version, name, memory)


def memory_table(output: str) -> dict[str, tuple[int, int]]:
    """Parse the linker's table of memory usage.

    Parameters
    ----------
    output
        Output of a build.

    Returns
    -------
    dict
        Used and available bytes by region.
    """
    return {
        region: (int(used) * _UNITS[used_unit], int(size) * _UNITS[size_unit])
        for region, used, used_unit, size, size_unit in _USED.findall(output)
        # This region exists only while interrupt tables are generated.
        if region != "IDT_LIST"
    }


def _too_small(application: Application, directory: Path, log: Path) -> CapacityError | None:
    """Parse the linker's message about a memory region that is too small."""
    match = _OVERFLOW.search(log.read_text(encoding="utf-8", errors="replace"))
    if match is None:
        return None
    available = 0
    for script in sorted((directory / "zephyr").glob("linker*.cmd")):
        for region, length in _LENGTH.findall(script.read_text(encoding="utf-8", errors="replace")):
            if region == match["region"]:
                available = _evaluate(length)
    return CapacityError(
        region=match["region"],
        needed=available + int(match["bytes"]),
        available=available,
        board=application.board.name,
    )


def _evaluate(expression: str) -> int:
    """Evaluate a product of numbers, the form in which Zephyr writes the size of a region."""
    product = 1
    for factor in expression.replace("(", " ").replace(")", " ").split("*"):
        text = factor.strip()
        unit = {"K": 1 << 10, "M": 1 << 20}.get(text[-1:], 1)
        try:
            product *= int(text.rstrip("KM"), 0) * unit
        except ValueError:
            return 0
    return product


def flash_application(
    application: Application,
    tree: ZephyrTree,
    runner: str | None = None,
    definitions: Mapping[str, str] | None = None,
) -> ApplicationBuild:
    """Build an application and flash it with west's runner for the board.

    Parameters
    ----------
    application
        The application to flash.
    tree
        The Zephyr tree to build with.
    runner
        Name of west's runner, such as ``jlink``; by default the board's.
    definitions
        As for :func:`build_application`.

    Raises
    ------
    InputError
        The board is emulated.
    UnknownTargetError, ToolMissingError, BuildError, CapacityError
        Raised as by :func:`build_application`, and if the runner fails.
    """
    board = application.board
    if board.machine is not None:
        raise InputError(
            f"{board.name} is emulated and cannot be flashed; run the application with tvmtiny "
            "project run"
        )
    build = build_application(application, tree, definitions=definitions)
    flash_build(build, tree, runner)
    return build


def flash_build(build: ApplicationBuild, tree: ZephyrTree, runner: str | None = None) -> None:
    """Flash a built application; see :func:`flash_application`."""
    command = ["flash", "--build-dir", str(build.directory)]
    if runner is not None:
        command += ["--runner", runner]
    tree.west(command, build.directory.parent / "flash.log")
