"""Read TOML written by users: small regular UTF-8 files, validated as a whole."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["TomlFileError", "parse_toml", "read_toml"]

#: Limit on the size of a file; a file of options or of a board has a few hundred bytes.
_MOST_BYTES = 1 << 20

#: Limit on nested tables and lists; Python's recursion limit would only strike on display.
_MOST_LEVELS = 32

#: TOML guarantees 64-bit integers; Python refuses to print some longer ones.
_INTEGERS = range(-(1 << 63), 1 << 63)


class TomlFileError(Exception):
    """A file or text is not usable.

    The message gives the reason in words that follow the file's name, such as ``is not a file``.
    """


def read_toml(path: Path) -> dict[str, Any]:
    """Read and parse a file.

    A byte-order mark, which some editors write, is removed.

    Raises
    ------
    TomlFileError
        The path is not a regular file (a pipe could block a command), cannot be read, exceeds one
        mebibyte, or is not UTF-8; or `parse_toml` rejects its text.
    """
    try:
        if not path.is_file():
            raise TomlFileError("is not a file" if os.path.lexists(path) else "does not exist")
        if path.stat().st_size > _MOST_BYTES:
            raise TomlFileError(f"has more than {_MOST_BYTES:,} bytes")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise TomlFileError(f"cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise TomlFileError("is not text in UTF-8") from error
    return parse_toml(text)


def parse_toml(text: str) -> dict[str, Any]:
    """Parse a text.

    Raises
    ------
    TomlFileError
        The text is not TOML, nests more than 32 tables or lists, or contains an integer of more
        than 64 bits or a string with a zero byte, which no file name or option can have.
    """
    try:
        found = tomllib.loads(text)
    except RecursionError as error:
        raise TomlFileError("is not valid TOML: its tables are nested too deeply") from error
    except tomllib.TOMLDecodeError as error:
        raise TomlFileError(f"is not valid TOML: {error}") from error
    except ValueError as error:
        # Python limits the number of digits of an integer.
        raise TomlFileError("has an integer of more than 64 bits") from error
    level: list[Any] = [found]
    for _ in range(_MOST_LEVELS):
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                inner += [*value, *value.values()]
            elif isinstance(value, list):
                inner += value
            elif isinstance(value, int) and value not in _INTEGERS:
                raise TomlFileError("has an integer of more than 64 bits")
            elif isinstance(value, str) and "\0" in value:
                raise TomlFileError("has a string with a zero byte")
        if not inner:
            return found
        level = inner
    raise TomlFileError("is not valid TOML: its tables are nested too deeply")
