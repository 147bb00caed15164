"""Resolve names, files and memory sizes to boards and targets."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType

from tvmtiny.errors import BoardFileError, InputError, UnknownTargetError
from tvmtiny.errors.base import quoted
from tvmtiny.targets.architectures import find_architecture
from tvmtiny.targets.board_file import SUFFIX, parse_board, read_board_file
from tvmtiny.targets.table import Board, Cpu, Region, Target, cpus
from tvmtiny.targets.values import nearest

__all__ = [
    "BoardFiles",
    "BoardLike",
    "board_of_cpu",
    "board_with_memory",
    "boards",
    "find_board",
    "find_board_by_name",
    "is_board_file",
    "own_boards",
    "parse_size",
    "resolve",
]

#: Additional board files by board name, besides those that ship with tvmtiny.
BoardFiles = Mapping[str, str | os.PathLike[str]]

#: A board, its name, or the path of its file (as a string, it ends in ``.toml``).
BoardLike = Board | str | os.PathLike[str]

_NO_FILES: BoardFiles = MappingProxyType({})

_SIZE = re.compile(r"(?P<count>[0-9]{1,12})(?P<unit>[KMkm]?)", re.ASCII)
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20}


@functools.cache
def boards() -> Mapping[str, Board]:
    """Return all boards that ship with tvmtiny, sorted by name.

    Raises
    ------
    BoardFileError
        The package was modified, and a board file in it is invalid.
    """
    folder = resources.files(__package__).joinpath("boards")
    found = {}
    for prefix, part in (("", folder), ("zephyr/", folder.joinpath("zephyr"))):
        for file in part.iterdir():
            if file.name.endswith(SUFFIX):
                source = prefix + file.name
                board = parse_board(file.read_text(encoding="utf-8"), source)
                _check_name(board, source.removesuffix(SUFFIX).replace("/", ":"), "its file")
                found[board.name] = board
    return dict(sorted(found.items()))


def is_board_file(name: str | os.PathLike[str]) -> bool:
    """Whether `name` is the path of a board file rather than the name of a board."""
    return not isinstance(name, str) or name.endswith(SUFFIX)


def find_board(board: BoardLike, files: BoardFiles = _NO_FILES) -> Board:
    """Find a board.

    Parameters
    ----------
    board
        A name, the path of a board file (as a string, it ends in ``.toml``), or a board, which is
        returned unchanged.
    files
        Additional board files by board name, besides those that ship with tvmtiny. A file is read
        only when its board is requested, so an invalid one does not affect other boards.

    Returns
    -------
    Board
        The board.

    Raises
    ------
    UnknownTargetError
        There is no board of that name; the error suggests similar names.
    BoardFileError
        The board file cannot be read or is invalid.
    """
    if isinstance(board, Board):
        return board
    if is_board_file(board) and board not in files:
        return _read_own(board)
    return find_board_by_name(os.fspath(board), files)


def find_board_by_name(name: str, files: BoardFiles = _NO_FILES) -> Board:
    """Find a board by name only; unlike in `find_board`, text such as ``a.toml`` is not a file.

    Use this for untrusted names, such as those reported by a board.

    Parameters
    ----------
    name
        Name of the board.
    files
        See `find_board`.

    Returns
    -------
    Board
        The board.

    Raises
    ------
    UnknownTargetError
        There is no board of that name; the error suggests similar names.
    BoardFileError
        The board file cannot be read or is invalid.
    """
    if name in files:
        found = _read_own(files[name])
        _check_name(found, name, "the list of board files")
        return found
    if name in boards():
        return boards()[name]
    known = (*files, *boards())
    able = tuple(found.name for found in boards().values() if found.cpu.name == name)
    raise UnknownTargetError(name, known, able or nearest(name, known), "board")


def resolve(target: Target | BoardLike, files: BoardFiles = _NO_FILES) -> Target:
    """Resolve a name, file or board to a target that code can be generated for.

    Parameters
    ----------
    target
        The name of a board or of a CPU, the path of a board file (as a string, it ends in
        ``.toml``), a board, or a target, which is returned unchanged.
    files
        See `find_board`.

    Returns
    -------
    Target
        The CPU, and the board unless only a CPU was given.

    Raises
    ------
    UnknownTargetError
        There is no board or CPU of that name; the error suggests similar names.
    BoardFileError
        The board file cannot be read or is invalid.
    """
    if isinstance(target, Target):
        return target
    if isinstance(target, str) and target in cpus() and target not in files:
        return Target(cpus()[target])
    if not isinstance(target, str) or target in files or is_board_file(target):
        return find_board(target, files).target
    if target in boards():
        return boards()[target].target
    known = (*files, *boards(), *cpus())
    raise UnknownTargetError(target, known, nearest(target, known))


def board_of_cpu(cpu: Cpu, ram_bytes: int, flash_bytes: int) -> Board:
    """Make a board from a CPU and memory sizes, to plan memory before a real board is chosen.

    Parameters
    ----------
    cpu
        Processor, which also gives the board its name.
    ram_bytes, flash_bytes
        Sizes in bytes of the regions ``ram`` and ``flash``; on Cortex-M up to 512 MiB.

    Returns
    -------
    Board
        A board without a platform, for which code can be generated but not run.

    Raises
    ------
    InputError
        A size is out of range.
    """
    code, data = find_architecture(cpu.architecture).origins
    most = data - code
    for kind, count in (("RAM", ram_bytes), ("flash", flash_bytes)):
        if not 1 <= count <= most:
            raise InputError(f"{count:,} bytes of {kind} are not possible; give 1 to {most:,}")
    regions = (
        Region("flash", "flash", code, flash_bytes),
        Region("ram", "ram", data, ram_bytes),
    )
    return Board(cpu.name, cpu.description, cpu, "", regions, "flash", "ram", {})


def board_with_memory(
    name: str,
    ram: str | None = None,
    flash: str | None = None,
    files: BoardFiles = _NO_FILES,
) -> Board:
    """Find a board by name or file, or make one from a CPU's name and memory sizes.

    Parameters
    ----------
    name
        Name or file of a board, or name of a CPU.
    ram, flash
        Sizes in the syntax of `parse_size`: both for a CPU, none for a board.
    files
        See `find_board`.

    Returns
    -------
    Board
        The board.

    Raises
    ------
    UnknownTargetError
        There is no board or CPU of that name.
    BoardFileError
        The board file cannot be read or is invalid.
    InputError
        A size is missing, invalid, or given for a board.
    """
    found = resolve(name, files)
    if found.board is not None:
        if ram is not None or flash is not None:
            raise InputError(
                f"{found.name} is a board with its own memory; give RAM and flash only for a CPU, "
                f"such as {found.cpu.name}"
            )
        return found.board
    # An invalid size is reported before a missing one.
    sizes = {
        word: None if size is None else parse_size(size)
        for word, size in (("--ram", ram), ("--flash", flash))
    }
    ram_bytes, flash_bytes = sizes.values()
    if ram_bytes is None or flash_bytes is None:
        missing = [word for word, size in sizes.items() if size is None]
        raise InputError(
            f"{found.name} is a CPU, whose memory is not known; give {' and '.join(missing)}, too, "
            "such as --ram 256K --flash 1M, or name a board"
        )
    return board_of_cpu(found.cpu, ram_bytes, flash_bytes)


def own_boards(files: BoardFiles) -> tuple[dict[str, Board], tuple[BoardFileError, ...]]:
    """Read all board files.

    Returns
    -------
    tuple
        Boards by name, and the errors of files that cannot be read or are invalid.
    """
    found, errors = {}, []
    for name in files:
        try:
            found[name] = find_board_by_name(name, files)
        except BoardFileError as error:
            errors.append(error)
    return found, tuple(errors)


def parse_size(text: str) -> int:
    """Parse a number of bytes: ``65536``, ``64K`` or ``1M``, where K is 1,024 and M is 1,024 K.

    Parameters
    ----------
    text
        Number with an optional unit.

    Returns
    -------
    int
        Number of bytes.

    Raises
    ------
    InputError
        The text is not a size.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise InputError(
            f"{quoted(text)} is not a size; give a whole number of bytes, K (1,024) or M "
            "(1,048,576), such as 65536, 64K or 1M"
        )
    return int(match["count"]) * _UNITS[match["unit"].upper()]


def _read_own(path: str | os.PathLike[str]) -> Board:
    """Read a user's board file; its name must not be that of a shipped board or CPU."""
    found = read_board_file(path)
    if boards().get(found.name, found) != found or found.name in cpus():
        _refuse_name(found, "which tvmtiny has already", "another name")
    return found


def _check_name(board: Board, name: str, who: str) -> None:
    if board.name != name:
        _refuse_name(board, f"but {who} says {quoted(name)}", "one name in both places")


def _refuse_name(board: Board, problem: str, allowed: str) -> None:
    raise BoardFileError(board.file, "name", f"is {quoted(board.name)}, {problem}", allowed)
