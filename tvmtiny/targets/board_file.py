"""Board files in TOML: those that ship with tvmtiny, and those of users."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tvmtiny.errors import BoardFileError
from tvmtiny.errors.base import quoted
from tvmtiny.host.toml_files import TomlFileError, parse_toml, read_toml
from tvmtiny.targets.table import Board, Region, cpus
from tvmtiny.targets.values import Values

__all__ = ["SUFFIX", "board_entry", "make_board", "parse_board", "read_board_file"]

#: Suffix that marks a name as that of a file.
SUFFIX = ".toml"

REGION_KINDS = ("flash", "ram")

#: Size of the address space of every CPU.
_ADDRESSES = 1 << 32

# Board names become parts of file names and of comments in C; region names become words of a linker
# script.
_BOARD_NAME = r"(zephyr:)?[A-Za-z0-9](?![^:]*\.toml$)[A-Za-z0-9_.+-]{0,63}"
_BOARD_NAMES = "1 to 64 letters, digits, _ . + and -, a letter or digit first, not .toml at the end"
_REGION_NAME = r"[A-Za-z_][A-Za-z0-9_]{0,63}"
_REGION_NAMES = "1 to 64 letters, digits and _, the first no digit"


def read_board_file(path: str | os.PathLike[str]) -> Board:
    """Read a board from a file.

    Raises
    ------
    BoardFileError
        The file cannot be read, is not TOML, or has an invalid key or value.
    """
    file = os.fspath(path)
    try:
        return make_board(read_toml(Path(path)), file)
    except TomlFileError as problem:
        raise BoardFileError(file, "", str(problem), "a TOML file of a board") from problem


def parse_board(text: str, file: str) -> Board:
    """Read a board from the text of a file.

    Parameters
    ----------
    text
        Content of the file, in TOML.
    file
        Name of the file in error messages.

    Raises
    ------
    BoardFileError
        The text is not TOML, or has an invalid key or value.
    """
    try:
        return make_board(parse_toml(text), file)
    except TomlFileError as problem:
        raise BoardFileError(file, "", str(problem), "a TOML file of a board") from problem


def make_board(entry: Mapping[str, Any], file: str) -> Board:
    """Create a board from the content of a file.

    Parameters
    ----------
    entry
        Keys and values of the board file.
    file
        Name of the file in error messages.

    Raises
    ------
    BoardFileError
        A key is missing or unknown, or a value is invalid or contradicts another.
    """
    values = Values(entry, file)
    values.only(
        *("name", "description", "cpu", "platform"),
        *("code_region", "data_region", "regions", "options"),
    )
    name = values.text("name", _BOARD_NAME, _BOARD_NAMES)
    cpu = cpus()[values.choice("cpu", cpus())]
    regions = tuple(_region(item) for item in values.tables("regions"))
    _check_regions(values, regions)
    names = [region.name for region in regions]
    code, data = values.choice("code_region", names), values.choice("data_region", names)
    if regions[names.index(data)].kind != "ram":
        values.refuse(
            "data_region", f"is {quoted(data)}, which is not of kind ram", "a region of kind ram"
        )
    return Board(
        name=name,
        description=values.text("description") if "description" in entry else "",
        cpu=cpu,
        # Platforms are known only above this package, which checks the name when it is used.
        platform=values.text("platform", r"[a-z0-9_-]+", "the name of a platform")
        if "platform" in entry
        else "",
        regions=regions,
        code_region=code,
        data_region=data,
        options=values.table("options").entries if "options" in entry else {},
        file=file,
    )


#: Timing of a region: default and upper limit of each value.
_TIMING = {"wait_states": (0, 1000), "line_bytes": (4, 1024), "cache_bytes": (0, 2**24)}


def board_entry(board: Board) -> dict[str, Any]:
    """Return the content of a board's file, from which `make_board` recreates the board."""
    return {
        "name": board.name,
        **({"description": board.description} if board.description else {}),
        "cpu": board.cpu.name,
        **({"platform": board.platform} if board.platform else {}),
        "code_region": board.code_region,
        "data_region": board.data_region,
        "regions": [
            {
                "name": r.name,
                "kind": r.kind,
                "origin": r.origin,
                "length": r.length,
                **{
                    name: getattr(r, name)
                    for name, (default, _) in _TIMING.items()
                    if getattr(r, name) != default
                },
            }
            for r in board.regions
        ],
        "options": dict(board.options),
    }


def _region(values: Values) -> Region:
    values.only("name", "kind", "origin", "length", *_TIMING)
    origin = values.number("origin", 0, _ADDRESSES - 1)
    return Region(
        values.text("name", _REGION_NAME, _REGION_NAMES),
        values.choice("kind", REGION_KINDS),
        origin,
        values.number("length", 1, _ADDRESSES - origin),
        *(
            values.number(name, int(default > 0), most) if name in values.entries else default
            for name, (default, most) in _TIMING.items()
        ),
    )


def _check_regions(values: Values, regions: tuple[Region, ...]) -> None:
    names = [region.name for region in regions]
    for name in names:
        if names.count(name) > 1:
            values.refuse("regions", f"share the name {name}", "a different name for each")
    ordered = sorted(regions, key=lambda region: region.origin)
    for low, high in itertools.pairwise(ordered):
        if low.end > high.origin:
            values.refuse(
                "regions",
                f"{low.name} and {high.name} overlap from {high.origin:#x}",
                "regions that do not overlap",
            )
