"""Description of a Zephyr board."""

from __future__ import annotations

from dataclasses import dataclass

from tvmtiny.errors import InputError, UnknownTargetError
from tvmtiny.targets import (
    Board,
    BoardFiles,
    BoardLike,
    Cpu,
    Target,
    boards,
    cpus,
    find_board,
    is_board_file,
)
from tvmtiny.targets.values import Values, nearest

__all__ = ["PREFIX", "ZephyrBoard", "find_zephyr_board"]

#: Prefix of the names of Zephyr's boards.
PREFIX = "zephyr:"

_NAMES = "a list of Zephyr's names of the board, newest first"


@dataclass(frozen=True)
class ZephyrBoard:
    """A board supported by Zephyr.

    Attributes
    ----------
    names
        Zephyr's names for the board, newest first.
    cpu
        CPU that code is generated for.
    board
        Entry in the table of boards; None for a board that only Zephyr knows.
    machine
        QEMU's name for the board; None for a real board.
    compile_options
        Compiler options for the models in addition to Zephyr's own.
    """

    names: tuple[str, ...]
    cpu: Cpu
    board: Board | None = None
    machine: str | None = None
    compile_options: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the board in tvmtiny."""
        return f"{PREFIX}{self.names[-1]}" if self.board is None else self.board.name

    @property
    def target(self) -> Target:
        """Target to compile for."""
        return Target(self.cpu, self.board)

    @classmethod
    def of(cls, board: Board) -> ZephyrBoard:
        """Parse the options of a board.

        Raises
        ------
        BoardFileError
            An option is missing, unknown or invalid.
        """
        values = Values(board.options, board.file or board.name, "options")
        values.only("names", "machine", "compile_options")
        names = values.texts("names", r"[A-Za-z0-9_][A-Za-z0-9_./@-]*", _NAMES)
        if not names:
            values.refuse("names", "is empty", _NAMES)
        machine: str | None = None
        flags: tuple[str, ...] = ()
        if "machine" in board.options:
            machine = values.text("machine", r"[A-Za-z0-9][A-Za-z0-9._-]*", "a machine of QEMU")
        if "compile_options" in board.options:
            # The options become words of a Kconfig fragment and of a CMake command.
            flags = values.texts("compile_options", r"-[A-Za-z0-9_=+,.-]+", "options of GCC")
        return cls(names, board.cpu, board, machine, flags)


def find_zephyr_board(
    name: BoardLike,
    cpu: str | None = None,
    files: BoardFiles | None = None,
) -> ZephyrBoard:
    """Find a board by its name or file.

    Parameters
    ----------
    name
        A board; a board file; or a name, either from the table of boards (with or without the
        prefix) or another one that Zephyr uses.
    cpu
        Processor of the board; required if the board is not in the table.
    files
        See `tvmtiny.targets.find_board`.

    Raises
    ------
    UnknownTargetError
        The table has no such board and no CPU was given, or the CPU is unknown.
    BoardFileError
        The board file is invalid.
    InputError
        The board has another CPU, or its file is not for Zephyr.
    """
    if not isinstance(name, str) or name in (files or {}) or is_board_file(name):
        board = find_board(name, files or {})
        if board.platform != "zephyr":
            raise InputError(
                f"{board.name} is not a Zephyr board; give a board with the platform zephyr in its "
                "file"
            )
        return _with_cpu(ZephyrBoard.of(board), cpu)
    short = name.removeprefix(PREFIX)
    for board in boards().values():
        if board.platform != "zephyr":
            continue
        known = ZephyrBoard.of(board)
        # Two boards of the table may be one board for Zephyr; then only the name in the table
        # counts.
        if board.name != f"{PREFIX}{short}" and (short not in known.names or known.compile_options):
            continue
        return _with_cpu(known, cpu)
    if cpu is None:
        try:
            find_board(f"{PREFIX}{short}")
        except UnknownTargetError as error:
            raise InputError(
                f"{error}; for any other Zephyr board, give its processor, too: --cpu with one of "
                f"{', '.join(cpus())}"
            ) from None
    if cpu is None or cpu not in cpus():
        raise UnknownTargetError(str(cpu), tuple(cpus()), nearest(str(cpu), cpus()), "CPU")
    return ZephyrBoard((short,), cpus()[cpu])


def _with_cpu(board: ZephyrBoard, cpu: str | None) -> ZephyrBoard:
    if cpu not in (None, board.cpu.name):
        raise InputError(f"{board.name} has a {board.cpu.name}, not a {cpu}; leave --cpu out")
    return board
