"""``tvmtiny.toml``: what a project's commands use where the command line says nothing.

A table is named after a command and has the command's options, with underscores; what ``[compile]``
says of how models are compiled holds for every command that compiles::

    [compile]
    optimize = "speed"
    flash_budget = 65536

    [run]
    board = "mps2-an386"
    check = true

``[boards]`` names board files, by paths that start at the file's own folder::

    [boards]
    lab = "hardware/lab.toml"
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin

from tvmtiny.errors import InputError
from tvmtiny.options import COMPILE_OPTIONS, LOAD_OPTIONS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

#: Looked for in the directory where the command is run.
FILE_NAME = "tvmtiny.toml"

#: The section for all commands that compile.
_SHARED = "compile"

#: The section for boards, beside the options of the command of that name.
_BOARDS = "boards"


@dataclass(frozen=True)
class Config:
    """What a configuration file says.

    Attributes
    ----------
    options
        Values of options, by command and option.
    boards
        Paths of board files by the boards' names. They are read when their boards are asked for.
    """

    options: dict[str, dict[str, Any]] = field(default_factory=dict)
    boards: dict[str, Path] = field(default_factory=dict)


def read_config(path: Path, commands: Mapping[str, Mapping[str, type]]) -> Config:
    """Read a configuration file.

    Parameters
    ----------
    commands
        Options by command: names with underscores, and the kind of value that each takes.

    Raises
    ------
    InputError
        The file cannot be read, is no TOML, or has a section, key or value that is not known.
    """
    try:
        with path.open("rb") as file:
            found = tomllib.load(file)
    except OSError as error:
        raise InputError(
            f"cannot read the configuration {path}: {error.strerror or error}; give a TOML file "
            "that is there"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is no valid TOML: {error}; mend that line") from error
    values: dict[str, dict[str, Any]] = {}
    boards: dict[str, Path] = {}
    for section, entries in found.items():
        if section not in commands or not isinstance(entries, dict):
            raise InputError(
                f"{path}: there is no command {section!r}{_nearest(section, commands)}; "
                "sections are named after commands"
            )
        if section == _BOARDS:
            named = {key: entries[key] for key in entries if key not in commands[section]}
            boards = {name: _board_file(path, name, file) for name, file in named.items()}
            entries = {key: value for key, value in entries.items() if key not in named}
        for key, value in entries.items():
            _check(path, section, key, value, commands[section])
        values[section] = dict(entries)
    shared = {option.name for option in (*LOAD_OPTIONS, *COMPILE_OPTIONS)}
    for command, options in commands.items():
        inherited = {
            key: [value] if options[key] is list and not isinstance(value, list) else value
            for key, value in values.get(_SHARED, {}).items()
            if key in shared and key in options
        }
        if inherited:
            values[command] = {**inherited, **values.get(command, {})}
    return Config(values, boards)


def _board_file(path: Path, name: str, file: object) -> Path:
    """Where a board's file is; whether it is usable is seen when the board is asked for."""
    if not isinstance(file, str) or not file:
        raise InputError(
            f"{path}: the board {name!r} is {file!r}; give the path of its file, such as "
            '"hardware/lab.toml"'
        )
    return path.parent / file


def known_options(group: Any) -> dict[str, dict[str, type]]:
    """The options of every command of `group`, as `read_config` wants them.

    Parameters
    ----------
    group
        Typer's command with sub-commands.
    """
    found: dict[str, dict[str, type]] = {}
    for name, command in group.commands.items():
        parameters = [p for p in getattr(command, "params", ()) if p.param_type_name == "option"]
        found[name] = {p.name: _kind(p.type_descriptor.annotation) for p in parameters}
    return found


def _kind(annotation: Any) -> type:
    """The type of TOML value that an option takes."""
    members = [member for member in get_args(annotation) if member is not NoneType]
    if get_origin(annotation) is list:
        return list
    if members:
        return _kind(members[0])
    return annotation if annotation in (bool, int, float) else str


def _check(path: Path, section: str, key: str, value: Any, options: Mapping[str, type]) -> None:
    if key not in options:
        raise InputError(
            f"{path}: {section} has no option {key!r}{_nearest(key, options)}; "
            f"tvmtiny {section} --help lists them"
        )
    wanted = options[key]
    if wanted is float and isinstance(value, int):
        wanted = int
    # A boolean is an int to Python, but not to people.
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        raise InputError(
            f"{path}: {key} of {section} is {value!r}; give a value of type {wanted.__name__}"
        )


def _nearest(word: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(word, known, 1)
    return f" (did you mean {near[0]!r}?)" if near else ""
