"""Resolve a command's options to a board, target, model or artifact, uniformly for all commands."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvmtiny.cli.console import NOTE
from tvmtiny.errors.base import quoted
from tvmtiny.options import COMPILE_OPTIONS

if TYPE_CHECKING:
    from tvmtiny.codegen.artifact import Artifact
    from tvmtiny.frontend import Model
    from tvmtiny.targets import Board, BoardFiles, Target

__all__ = ["Settings", "model_path"]


@dataclass(frozen=True)
class Settings:
    """Options shared by all commands that compile.

    Attributes
    ----------
    load
        Keyword arguments of `tvmtiny.frontend.load`; of ``signature``, one for each model, or one
        for all.
    compile
        Keyword arguments of `tvmtiny.compiler.compile`.
    boards
        Board files named by the project's ``tvmtiny.toml``.
    front
        Keyword arguments of `tvmtiny.preprocessing.apply_front_end`.
    """

    load: Mapping[str, Any]
    compile: Mapping[str, Any]
    boards: BoardFiles
    front: Mapping[str, Any] = field(default_factory=dict)

    def changed(self) -> dict[str, Any]:
        """The entries of `compile` that differ from their defaults."""
        defaults = {option.name: option.default for option in COMPILE_OPTIONS}
        return {key: value for key, value in self.compile.items() if value != defaults[key]}

    def board(self, name: str) -> Board:
        """Return the board that ``--board`` names, which may be a file.

        Raises
        ------
        UnknownTargetError
            The board is unknown.
        BoardFileError
            The board file is invalid.
        """
        from tvmtiny.project.registry import check_board
        from tvmtiny.targets import find_board

        board = find_board(name, self.boards)
        check_board(board)
        return board

    def board_with_memory(self, name: str, ram: str | None, flash: str | None) -> Board:
        """Return a board as `board` does, or make one from a CPU and memory sizes.

        Raises
        ------
        UnknownTargetError, BoardFileError
            Raised as by `board`.
        InputError
            A size is missing, invalid, or given for a board.
        """
        from tvmtiny.project.registry import check_board
        from tvmtiny.targets import board_with_memory

        board = board_with_memory(name, ram, flash, self.boards)
        check_board(board)
        return board

    def own_boards(self) -> tuple[Board, ...]:
        """Return the boards that the project names, skipping those whose files are invalid."""
        from tvmtiny.targets import own_boards

        return tuple(own_boards(self.boards)[0].values())

    def target(self, name: str) -> Target:
        """Return the board or CPU that ``--target`` names, which may be a board file.

        Raises
        ------
        UnknownTargetError
            There is no such board or CPU.
        BoardFileError
            The board file is invalid.
        """
        from tvmtiny.project.registry import check_board
        from tvmtiny.targets import resolve

        target = resolve(name, self.boards)
        if target.board is not None:
            check_board(target.board)
        return target

    def without_front_end(self) -> Settings:
        """Return the settings for a model without a front end, whose whole input is given."""
        return replace(self, front={}, compile={**self.compile, "stream": "none"})

    def read(self, model: str, tell: Callable[[str], None], name: str | None = None) -> Model:
        """Read the only model of a command; see `read_all`."""
        return self.read_all([model], [] if name is None else [name], tell)[0]

    def _read(
        self, model: str, tell: Callable[[str], None], name: str | None, signature: str | None
    ) -> Model:
        """Read a model, and prepend a front end if one is requested."""
        from tvmtiny.importers import load

        tell(f"reading {model}")
        loaded = load(model_path(model), name=name, **{**self.load, "signature": signature})
        if any(self.front.values()):
            from tvmtiny.preprocessing import apply_front_end

            loaded = apply_front_end(loaded, **self.front)
        for note in loaded.notes:
            tell(f"{NOTE}{note}")
        return loaded

    def read_all(
        self, models: Sequence[str], names: Sequence[str], tell: Callable[[str], None]
    ) -> list[Model]:
        """Read models, and prepend a front end to each if one is requested.

        Parameters
        ----------
        models
            Files, or names of shipped models.
        names
            Prefixes of the generated code, one for each model, or none for the files' names.
        tell
            Called with a short description first.

        Raises
        ------
        InputError
            The numbers of names or signatures and models differ, a model is invalid, or an option
            is unknown.
        """
        chosen = _each("name", names, len(models))
        given = self.load.get("signature") or ()
        signatures = (
            given * len(models) if len(given) == 1 else _each("signature", given, len(models))
        )
        triples = zip(models, chosen, signatures, strict=True)
        return [self._read(model, tell, name, signature) for model, name, signature in triples]

    def artifact(self, model: Model, target: Target, tell: Callable[[str], None]) -> Artifact:
        """Compile a model.

        Parameters
        ----------
        target
            A CPU or a board.
        tell
            Called with a short description first.

        Raises
        ------
        InputError
            An option is invalid.
        RamBudgetError
            The arena does not fit the budget.
        """
        from tvmtiny.compiler import compile

        tell(f"compiling {model.name} for {target.name}")
        return compile(model, target, **self.compile)


def _each(option: str, given: Sequence[str], models: int) -> Sequence[str | None]:
    """Return the value of an option for each model; None for all if the option is not given."""
    from tvmtiny.errors import InputError

    if given and len(given) != models:
        raise InputError(
            f"--{option} is given {len(given)} times for {models} "
            f"{'model' if models == 1 else 'models'}; give it once per model, in the same order, "
            "or not at all"
        )
    return given or [None] * models


def model_path(model: str) -> str:
    """Return the path of a shipped model given its name, or `model` itself.

    Raises
    ------
    InputError
        A name without a suffix is neither that of a shipped model nor that of a file.
    """
    from tvmtiny import models

    known = models.names()
    if model in known:
        return str(models.path(model))
    path = Path(model)
    if not path.suffix and path.name == model and not os.path.lexists(model):
        from tvmtiny.errors import InputError

        near = difflib.get_close_matches(model.lower(), known, 1)
        meant = f"did you mean {near[0]}? " if near else ""
        raise InputError(
            f"there is no model {quoted(model)}; {meant}give the path of a .tflite file, or the "
            f"name of a shipped model: {', '.join(known)}"
        )
    return model
