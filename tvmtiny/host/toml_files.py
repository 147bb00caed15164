"""Reading TOML that a user wrote: small regular files in UTF-8, checked as a whole."""

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

#: A file of options or of a board has some hundred bytes.
_MOST_BYTES = 1 << 20

#: Tables and lists within each other. Python's own limit would be met while a value is shown.
_MOST_LEVELS = 32

#: TOML promises integers of 64 bits. Python could neither show nor compare some longer ones.
_INTEGERS = range(-(1 << 63), 1 << 63)


class TomlFileError(Exception):
    """A file or a text is not usable.

    The message says why and follows the name of the file, as in ``is no file``.
    """


def read_toml(path: Path) -> dict[str, Any]:
    """Read a file.

    A mark of the byte order, which some editors write, is taken away.

    Raises
    ------
    TomlFileError
        The path is no regular file (a pipe could keep a command waiting), cannot be read, has more
        than a mebibyte, is no UTF-8, or `parse_toml` refuses its text.
    """
    try:
        if not path.is_file():
            raise TomlFileError("is no file" if os.path.lexists(path) else "does not exist")
        if path.stat().st_size > _MOST_BYTES:
            raise TomlFileError(f"has more than {_MOST_BYTES:,} bytes")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise TomlFileError(f"cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise TomlFileError("is not text in UTF-8") from error
    return parse_toml(text)


def parse_toml(text: str) -> dict[str, Any]:
    """Read a text.

    Raises
    ------
    TomlFileError
        The text is no TOML, nests more than 32 tables or lists, has an integer of more than 64
        bits, or a string with a zero byte, which no file name or option can have.
    """
    try:
        found = tomllib.loads(text)
    except RecursionError as error:
        raise TomlFileError("is no valid TOML: its tables are nested too deeply") from error
    except tomllib.TOMLDecodeError as error:
        raise TomlFileError(f"is no valid TOML: {error}") from error
    except ValueError as error:
        # Python's limit for the digits of an integer.
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
    raise TomlFileError("is no valid TOML: its tables are nested too deeply")
