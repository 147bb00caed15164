"""What is known of a board that Zephyr runs on."""

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

#: In front of the names of Zephyr's boards.
PREFIX = "zephyr:"

_NAMES = "a list of Zephyr's names of the board, newest first"


@dataclass(frozen=True)
class ZephyrBoard:
    """A board of Zephyr.

    Attributes
    ----------
    names
        Zephyr's names of it, newest first.
    cpu
        What code is generated for.
    board
        The entry of the table of boards; None for a board that Zephyr alone knows.
    machine
        QEMU's name of it; None for a real board.
    compile_options
        Options for compiling the models beside Zephyr's own.
    """

    names: tuple[str, ...]
    cpu: Cpu
    board: Board | None = None
    machine: str | None = None
    compile_options: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its name within tvmtiny."""
        return f"{PREFIX}{self.names[-1]}" if self.board is None else self.board.name

    @property
    def target(self) -> Target:
        """What to compile for."""
        return Target(self.cpu, self.board)

    @classmethod
    def of(cls, board: Board) -> ZephyrBoard:
        """Read the options of a board.

        Raises
        ------
        BoardFileError
            One is missing, not known or not usable.
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
            # They become words of a Kconfig fragment and of a command of CMake.
            flags = values.texts("compile_options", r"-[A-Za-z0-9_=+,.-]+", "options of GCC")
        return cls(names, board.cpu, board, machine, flags)


def find_zephyr_board(
    name: BoardLike,
    cpu: str | None = None,
    files: BoardFiles | None = None,
) -> ZephyrBoard:
    """Give the board of that name.

    Parameters
    ----------
    name
        A name of the table of boards, with or without its prefix, another name of Zephyr's, the
        file of a board, or a board.
    cpu
        Its processor; needed where the table does not have the board.
    files
        See `tvmtiny.targets.find_board`.

    Raises
    ------
    UnknownTargetError
        There is no such board in the table and no CPU was named, or there is no such CPU.
    BoardFileError
        The board's file is not usable.
    InputError
        The board has another CPU or is none of Zephyr, as its file says.
    """
    if not isinstance(name, str) or name in (files or {}) or is_board_file(name):
        board = find_board(name, files or {})
        if board.platform != "zephyr":
            raise InputError(
                f"{board.name} is no board of Zephyr; give one whose file has the platform zephyr"
            )
        return _with_cpu(ZephyrBoard.of(board), cpu)
    short = name.removeprefix(PREFIX)
    for board in boards().values():
        if board.platform != "zephyr":
            continue
        known = ZephyrBoard.of(board)
        # Two boards of the table can be the same one to Zephyr; only the file's name tells them.
        if board.name != f"{PREFIX}{short}" and (short not in known.names or known.compile_options):
            continue
        return _with_cpu(known, cpu)
    if cpu is None:
        try:
            find_board(f"{PREFIX}{short}")
        except UnknownTargetError as error:
            raise InputError(
                f"{error}; for any other board of Zephyr name its processor, too: --cpu with one "
                f"of {', '.join(cpus())}"
            ) from None
    if cpu is None or cpu not in cpus():
        raise UnknownTargetError(str(cpu), tuple(cpus()), nearest(str(cpu), cpus()), "CPU")
    return ZephyrBoard((short,), cpus()[cpu])


def _with_cpu(board: ZephyrBoard, cpu: str | None) -> ZephyrBoard:
    if cpu not in (None, board.cpu.name):
        raise InputError(f"{board.name} has a {board.cpu.name}, not a {cpu}; leave --cpu out")
    return board
