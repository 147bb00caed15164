"""From names, files and sizes to boards and targets."""

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

#: Files of boards beside those that ship with tvmtiny, by the boards' names.
BoardFiles = Mapping[str, str | os.PathLike[str]]

#: A board, its name, or the path of its file (as a string it ends in ``.toml``).
BoardLike = Board | str | os.PathLike[str]

_NO_FILES: BoardFiles = MappingProxyType({})

_SIZE = re.compile(r"(?P<count>[0-9]{1,12})(?P<unit>[KMkm]?)", re.ASCII)
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20}


@functools.cache
def boards() -> Mapping[str, Board]:
    """Give every board that ships with tvmtiny by name, sorted.

    Raises
    ------
    BoardFileError
        The package was changed, and a board file in it is not usable.
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
    """Whether `name` is a path of a board file rather than a board's name."""
    return not isinstance(name, str) or name.endswith(SUFFIX)


def find_board(board: BoardLike, files: BoardFiles = _NO_FILES) -> Board:
    """Give a board.

    Parameters
    ----------
    board
        A name, a path of a board file (as a string it ends in ``.toml``), or a board, which is
        given back.
    files
        Files of boards beside those that ship with tvmtiny, by the boards' names. One is read when
        its board is asked for, so that a broken one is in nobody else's way.

    Raises
    ------
    UnknownTargetError
        There is no board of that name; the error suggests the nearest names.
    BoardFileError
        The board's file cannot be read or used.
    """
    if isinstance(board, Board):
        return board
    if is_board_file(board) and board not in files:
        return _read_own(board)
    return find_board_by_name(os.fspath(board), files)


def find_board_by_name(name: str, files: BoardFiles = _NO_FILES) -> Board:
    """Give the board of that name; unlike for `find_board`, text such as ``a.toml`` is no file.

    This is for names that come from elsewhere, such as from a board.

    Parameters
    ----------
    files
        See `find_board`.

    Raises
    ------
    UnknownTargetError
        There is no board of that name; the error suggests the nearest names.
    BoardFileError
        The board's file cannot be read or used.
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
    """Give what code is generated for.

    Parameters
    ----------
    target
        The name of a board or of a CPU, a path of a board file (as a string it ends in ``.toml``),
        a board, or a target, which is given back.
    files
        See `find_board`.

    Raises
    ------
    UnknownTargetError
        The name is neither a board's nor a CPU's; the error suggests the nearest names.
    BoardFileError
        The board's file cannot be read or used.
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
    """Make a board of a CPU and the sizes of its memory, to plan memory before there is a board.

    Parameters
    ----------
    cpu
        The processor; the board has its name.
    ram_bytes, flash_bytes
        Sizes of its two regions, ``ram`` and ``flash``; on Cortex-M 1 to 512 M.

    Raises
    ------
    InputError
        A size is out of range.
    """
    code, data = find_architecture(cpu.architecture).origins
    most = data - code
    for kind, count in (("RAM", ram_bytes), ("flash", flash_bytes)):
        if not 1 <= count <= most:
            raise InputError(f"{count:,} bytes of {kind} are not usable; give 1 to {most:,}")
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
    """Give a board by name or file, or one made of a CPU's name and the sizes of its memory.

    Parameters
    ----------
    ram, flash
        Sizes as `parse_size` reads them: both for a CPU, none for a board.
    files
        See `find_board`.

    Raises
    ------
    UnknownTargetError
        There is neither a board nor a CPU of that name.
    BoardFileError
        The board's file cannot be read or used.
    InputError
        A size is missing, not usable, or given for a board.
    """
    found = resolve(name, files)
    if found.board is not None:
        if ram is not None or flash is not None:
            raise InputError(
                f"{found.name} is a board and has its own memory; give sizes of RAM and flash for "
                f"a CPU only, such as {found.cpu.name}"
            )
        return found.board
    if ram is None or flash is None:
        missing = [word for word, size in (("--ram", ram), ("--flash", flash)) if size is None]
        raise InputError(
            f"{found.name} is a CPU, whose memory is not known; give {' and '.join(missing)}, too, "
            "such as --ram 256K --flash 1M, or name a board"
        )
    return board_of_cpu(found.cpu, parse_size(ram), parse_size(flash))


def own_boards(files: BoardFiles) -> tuple[dict[str, Board], tuple[BoardFileError, ...]]:
    """Read all files of boards.

    Returns
    -------
    tuple
        The boards by name, and the errors of those that cannot be read or used.
    """
    found, errors = {}, []
    for name in files:
        try:
            found[name] = find_board_by_name(name, files)
        except BoardFileError as error:
            errors.append(error)
    return found, tuple(errors)


def parse_size(text: str) -> int:
    """Read a number of bytes: ``65536``, ``64K`` or ``1M``, where K is 1,024 and M 1,024 K.

    Raises
    ------
    InputError
        The text is no such number.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise InputError(
            f"{quoted(text)} is no size; give a whole number of bytes, or of K (1,024) or M "
            "(1,048,576): 65536, 64K, 1M"
        )
    return int(match["count"]) * _UNITS[match["unit"].upper()]


def _read_own(path: str | os.PathLike[str]) -> Board:
    """Read a user's board, which may not be taken for one that ships."""
    found = read_board_file(path)
    if boards().get(found.name, found) != found or found.name in cpus():
        _refuse_name(found, "which tvmtiny has already", "another name")
    return found


def _check_name(board: Board, name: str, who: str) -> None:
    if board.name != name:
        _refuse_name(board, f"but {who} says {quoted(name)}", "one name in both places")


def _refuse_name(board: Board, problem: str, allowed: str) -> None:
    raise BoardFileError(board.file, "name", f"is {quoted(board.name)}, {problem}", allowed)
