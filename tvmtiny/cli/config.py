"""``tvmtiny.toml``: a project's defaults for options that the command line does not give.

A table is named after a command and holds that command's options, spelled with underscores. The
table ``[compile]`` also applies to every other command that compiles::

    [compile]
    optimize = "speed"
    flash_budget = 65536

    [run]
    board = "mps2-an386"
    check = true

    [project.create]
    mode = "rpc"

``[boards]`` names board files by paths relative to the configuration file::

    [boards]
    lab = "hardware/lab.toml"
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin

from tvmtiny.errors import InputError
from tvmtiny.errors.base import quoted
from tvmtiny.host.toml_files import TomlFileError, read_toml
from tvmtiny.options import COMPILE_OPTIONS, FRONT_OPTIONS, LOAD_OPTIONS

#: Name of the configuration file, which is looked up in the current directory.
FILE_NAME = "tvmtiny.toml"

#: The section that applies to all commands that compile.
_SHARED = "compile"

#: The section for board files, which also holds the options of the ``boards`` command.
_BOARDS = "boards"

#: Type of the value of each option, by the words of its command.
Options = Mapping[tuple[str, ...], Mapping[str, type]]


@dataclass(frozen=True)
class Config:
    """The content of a configuration file.

    Attributes
    ----------
    options
        Option values by command, then by option; subcommands are keyed as in ``project create``.
    boards
        Paths of board files by board name. A file is read when its board is requested.
    """

    options: dict[str, dict[str, Any]] = field(default_factory=dict)
    boards: dict[str, Path] = field(default_factory=dict)


def read_config(path: Path, commands: Options) -> Config:
    """Read a configuration file.

    Parameters
    ----------
    commands
        The known options; see `known_options`.

    Raises
    ------
    InputError
        The file cannot be read, is not TOML, or has an unknown section, key or value.
    """
    try:
        found = read_toml(path)
    except TomlFileError as problem:
        raise InputError(
            f"the configuration {path} {problem}; give a TOML file such as docs/options.md shows"
        ) from problem
    values: dict[tuple[str, ...], dict[str, Any]] = {}
    boards: dict[str, Path] = {}
    for command, entries in _sections(path, found, commands):
        options = commands[command]
        if command == (_BOARDS,):
            named = {key: entries[key] for key in entries if key not in options}
            boards = {name: _board_file(path, name, file) for name, file in named.items()}
            entries = {key: value for key, value in entries.items() if key not in named}
        for key, value in entries.items():
            _check(path, " ".join(command), key, value, options)
        values[command] = entries
    tables = (*LOAD_OPTIONS, *FRONT_OPTIONS, *COMPILE_OPTIONS)
    shared = {option.name for option in tables}
    inherited = {k: v for k, v in values.get((_SHARED,), {}).items() if k in shared}
    by_word: dict[str, Any] = {}
    for command, options in commands.items():
        own = {
            **{key: value for key, value in inherited.items() if key in options},
            **values.get(command, {}),
        }
        for word in reversed(command[1:]):
            own = {word: own}
        by_word[command[0]] = {**by_word.get(command[0], {}), **own}
    return Config(by_word, boards)


def _sections(
    path: Path, found: Mapping[str, Any], commands: Options
) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Yield the sections of a file by the words of their commands."""
    groups = {command[0] for command in commands if len(command) > 1}
    for section, entries in found.items():
        if section not in groups:
            yield _command(path, (section,), entries, commands), entries
            continue
        if not isinstance(entries, dict):
            _command(path, (section,), entries, commands)
        for inner, inner_entries in entries.items():
            yield _command(path, (section, inner), inner_entries, commands), inner_entries


def _command(
    path: Path, command: tuple[str, ...], entries: object, commands: Options
) -> tuple[str, ...]:
    section = ".".join(command)
    if command in commands and not isinstance(entries, dict):
        raise InputError(
            f"{path}: {quoted(section)} is {quoted(entries)}; give a section, such as [{section}] "
            "on a line of its own with its keys below"
        )
    if command not in commands:
        known = {".".join(words): None for words in commands}
        raise InputError(
            f"{path}: there is no command {quoted(section)}{_nearest(section, known)}; "
            "sections are named after commands, such as [run] or [project.create]"
        )
    return command


def _board_file(path: Path, name: str, file: object) -> Path:
    """Return the path of a board's file, which is validated when the board is requested."""
    if not isinstance(file, str) or not file:
        raise InputError(
            f"{path}: the board {quoted(name)} is {quoted(file)}; give the path of its file, "
            'such as "hardware/lab.toml"'
        )
    return path.parent / file


def known_options(
    group: Any, words: tuple[str, ...] = ()
) -> dict[tuple[str, ...], dict[str, type]]:
    """Return the options of every command of `group`, keyed as `read_config` expects them.

    Parameters
    ----------
    group
        Typer command with subcommands.
    words
        Words of the command line that lead to `group`.
    """
    found: dict[tuple[str, ...], dict[str, type]] = {}
    for name, command in group.commands.items():
        inner = (*words, name)
        if hasattr(command, "commands"):
            found |= known_options(command, inner)
            continue
        parameters = [p for p in getattr(command, "params", ()) if p.param_type_name == "option"]
        found[inner] = {p.name: _kind(p.type_descriptor.annotation) for p in parameters}
    return found


def _kind(annotation: Any) -> type:
    """Return the type of TOML value that an option takes."""
    members = [member for member in get_args(annotation) if member is not NoneType]
    if get_origin(annotation) is list:
        return list
    if members:
        return _kind(members[0])
    return annotation if annotation in (bool, int, float) else str


def _check(path: Path, section: str, key: str, value: Any, options: Mapping[str, type]) -> None:
    if key not in options:
        raise InputError(
            f"{path}: {section} has no option {quoted(key)}{_nearest(key, options)}; "
            f"tvmtiny {section} --help lists them"
        )
    wanted = options[key]
    kinds: tuple[type, ...] = (int, float) if wanted is float else (wanted,)
    # bool is a subclass of int in Python, but a switch is not a number.
    if not isinstance(value, kinds) or (isinstance(value, bool) and wanted is not bool):
        raise InputError(
            f"{path}: {key} of {section} is {quoted(value)}; give a value of type {wanted.__name__}"
        )
    if isinstance(value, list) and not all(isinstance(item, str) for item in value):
        raise InputError(f"{path}: {key} of {section} is {quoted(value)}; give a list of strings")


def _nearest(word: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(word, known, 1)
    return f" (did you mean {near[0]!r}?)" if near else ""
