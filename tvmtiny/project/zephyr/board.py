"""What is known of a board that Zephyr runs on."""

from __future__ import annotations

from dataclasses import dataclass

from tvmtiny.errors import InputError, UnknownTargetError
from tvmtiny.targets import Board, Cpu, Target, boards, cpus, find_board

__all__ = ["PREFIX", "ZephyrBoard", "find_zephyr_board"]

#: In front of the names of Zephyr's boards.
PREFIX = "zephyr:"


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
        ValueError
            One is missing or not of the right kind.
        """
        names = board.options.get("names")
        machine = board.options.get("machine")
        flags = board.options.get("compile_options", [])
        for key, value in (("names", names), ("compile_options", flags)):
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                raise ValueError(f"board {board.name}: option {key} must be a list of strings")
        if not names or not isinstance(machine, str | None):
            raise ValueError(f"board {board.name}: options need a name, and machine a string")
        return cls(tuple(names), board.cpu, board, machine, tuple(flags))


def find_zephyr_board(name: str, cpu: str | None = None) -> ZephyrBoard:
    """Give the board of that name.

    Parameters
    ----------
    name
        A name of the table of boards, with or without its prefix, or another name of Zephyr's.
    cpu
        Its processor; needed where the table does not have the board.

    Raises
    ------
    UnknownTargetError
        There is no such board in the table and no CPU was named, or there is no such CPU.
    InputError
        The table says that the board has another CPU.
    """
    short = name.removeprefix(PREFIX)
    for board in boards().values():
        if board.platform != "zephyr":
            continue
        known = ZephyrBoard.of(board)
        # Two boards of the table can be the same one to Zephyr; only the file's name tells them.
        if board.name != f"{PREFIX}{short}" and (short not in known.names or known.compile_options):
            continue
        if cpu not in (None, known.cpu.name):
            raise InputError(f"{board.name} has a {known.cpu.name}, not a {cpu}; leave --cpu out")
        return known
    if cpu is None:
        try:
            find_board(f"{PREFIX}{short}")
        except UnknownTargetError as error:
            raise InputError(
                f"{error}; for any other board of Zephyr name its processor, too: --cpu with one "
                f"of {', '.join(cpus())}"
            ) from None
    if cpu is None or cpu not in cpus():
        raise UnknownTargetError(name=str(cpu), known=tuple(cpus()))
    return ZephyrBoard((short,), cpus()[cpu])
