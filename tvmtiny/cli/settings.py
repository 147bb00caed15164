"""From the options of a command to a board, a target, a model and an artifact: one way for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tvmtiny.cli.console import NOTE
from tvmtiny.options import COMPILE_OPTIONS

if TYPE_CHECKING:
    from tvmtiny.codegen.artifact import Artifact
    from tvmtiny.frontend import Model
    from tvmtiny.targets import Board, BoardFiles, Target

__all__ = ["Settings", "model_path"]


@dataclass(frozen=True)
class Settings:
    """The options that all commands share which compile.

    Attributes
    ----------
    load
        Keyword arguments of `tvmtiny.frontend.load`.
    compile
        Keyword arguments of `tvmtiny.compiler.compile`.
    boards
        Files of the boards that the project's ``tvmtiny.toml`` names.
    front
        Keyword arguments of `tvmtiny.preprocessing.apply_front_end`.
    """

    load: Mapping[str, Any]
    compile: Mapping[str, Any]
    boards: BoardFiles
    front: Mapping[str, Any] = field(default_factory=dict)

    def changed(self) -> dict[str, Any]:
        """The entries of `compile` that are not at their defaults."""
        defaults = {option.name: option.default for option in COMPILE_OPTIONS}
        return {key: value for key, value in self.compile.items() if value != defaults[key]}

    def board(self, name: str) -> Board:
        """Give the board that ``--board`` names, which may be a file.

        Raises
        ------
        UnknownTargetError
            There is no such board.
        BoardFileError
            Its file is not usable.
        """
        from tvmtiny.project.registry import check_board
        from tvmtiny.targets import find_board

        board = find_board(name, self.boards)
        check_board(board)
        return board

    def board_with_memory(self, name: str, ram: str | None, flash: str | None) -> Board:
        """Give a board as `board` does, or one made of a CPU and the sizes of its memory.

        Raises
        ------
        UnknownTargetError, BoardFileError
            See `board`.
        InputError
            A size is missing, not usable, or given for a board.
        """
        from tvmtiny.project.registry import check_board
        from tvmtiny.targets import board_with_memory

        board = board_with_memory(name, ram, flash, self.boards)
        check_board(board)
        return board

    def own_boards(self) -> tuple[Board, ...]:
        """Give the boards that the project names, as far as their files are usable."""
        from tvmtiny.targets import own_boards

        return tuple(own_boards(self.boards)[0].values())

    def target(self, name: str) -> Target:
        """Give the board or the CPU that ``--target`` names, which may be a board's file.

        Raises
        ------
        UnknownTargetError
            There is neither.
        BoardFileError
            The board's file is not usable.
        """
        from tvmtiny.project.registry import check_board
        from tvmtiny.targets import resolve

        target = resolve(name, self.boards)
        if target.board is not None:
            check_board(target.board)
        return target

    def read(self, model: str, tell: Callable[[str], None], name: str | None = None) -> Model:
        """Read a model, and put a front end before it where one is asked for.

        Parameters
        ----------
        model
            A file, or the name of a shipped model.
        tell
            Called with a few words first.
        name
            Prefix of the generated code; by default the file's name.

        Raises
        ------
        InputError
            The file cannot be read or holds no usable model, or an option is not known.
        """
        from tvmtiny.importers import load

        tell(f"reading {model}")
        loaded = load(model_path(model), name=name, **self.load)
        if any(self.front.values()):
            from tvmtiny.preprocessing import apply_front_end

            loaded = apply_front_end(loaded, **self.front)
        for note in loaded.notes:
            tell(f"{NOTE}{note}")
        return loaded

    def read_all(
        self, models: Sequence[str], names: Sequence[str], tell: Callable[[str], None]
    ) -> list[Model]:
        """Read models, see `read`.

        Parameters
        ----------
        names
            One for each model, or none at all.

        Raises
        ------
        InputError
            There are more names than models or fewer, or a model is not usable.
        """
        from tvmtiny.errors import InputError

        if names and len(names) != len(models):
            raise InputError(
                f"--name is given {len(names)} times for {len(models)} models; give it once a "
                "model, in their order, or not at all"
            )
        chosen: Sequence[str | None] = names or [None] * len(models)
        return [self.read(model, tell, name) for model, name in zip(models, chosen, strict=True)]

    def artifact(self, model: Model, target: Target, tell: Callable[[str], None]) -> Artifact:
        """Compile a model.

        Parameters
        ----------
        target
            A CPU or a board.
        tell
            Called with a few words first.

        Raises
        ------
        InputError
            An option is not usable.
        RamBudgetError
            The arena does not fit the budget.
        """
        from tvmtiny.compiler import compile

        tell(f"compiling {model.name} for {target.name}")
        return compile(model, target, **self.compile)


def model_path(model: str) -> str:
    """The path of a shipped model by name, or `model` itself."""
    from tvmtiny import models

    return str(models.path(model)) if model in models.names() else model
