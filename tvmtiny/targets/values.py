"""Tables of a board file, with validation of values as they are read."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from tvmtiny.errors import BoardFileError

__all__ = ["Values", "nearest"]

#: Limit on the length of a text in a board file.
_MOST_CHARACTERS = 200


@dataclass(frozen=True)
class Values:
    """A TOML table.

    Attributes
    ----------
    entries
        Keys and values of the table.
    file
        Name of the file in error messages.
    path
        Keys that lead to the table, such as ``options.uart``; empty for the whole file.
    """

    entries: Mapping[str, Any]
    file: str
    path: str = ""

    def only(self, *known: str) -> None:
        """Raise unless all keys are `known`.

        Raises
        ------
        BoardFileError
            There is an unknown key; the error suggests a similar one.
        """
        for key in self.entries:
            if key not in known:
                near = nearest(key, known)
                hint = f" (did you mean {near[0]}?)" if near else ""
                self.refuse(key, f"is not a known key{hint}", f"the keys {', '.join(known)}")

    def refuse(self, key: str, problem: str, allowed: str) -> NoReturn:
        """Raise the error for one of the keys."""
        # A quoted key of the file may contain any characters.
        shown = key if re.fullmatch(r"[\w.\[\]-]+", key, re.ASCII) else repr(key)
        place = f"{self.path}.{shown}" if self.path else shown
        raise BoardFileError(self.file, place, problem, allowed)

    def text(
        self,
        key: str,
        pattern: str = r".+",
        allowed: str = f"one line of text, at most {_MOST_CHARACTERS} characters",
    ) -> str:
        """Return a text that matches a regular expression as a whole."""
        value = self._value(key, allowed)
        if not self._is_text(value, pattern):
            self.refuse(key, f"is {_shown(value)}", allowed)
        return str(value)

    def choice(self, key: str, known: Collection[str]) -> str:
        """Return a text that is one of `known`."""
        value = self._value(key, ", ".join(known))
        if not isinstance(value, str) or value not in known:
            near = nearest(str(value), known)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            self.refuse(key, f"is {_shown(value)}{hint}", ", ".join(known))
        return value

    def number(self, key: str, least: int, most: int) -> int:
        """Return an integer in a range that includes both limits."""
        allowed = f"whole numbers from {least:,} to {most:,}"
        value = self._value(key, allowed)
        # bool is a subclass of int in Python, but not a number in TOML.
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            self.refuse(key, f"is {_shown(value)}", allowed)
        return value

    def texts(self, key: str, pattern: str, allowed: str) -> tuple[str, ...]:
        """Return a list of texts that match a regular expression."""
        value = self._value(key, allowed)
        if not isinstance(value, list) or not all(self._is_text(item, pattern) for item in value):
            self.refuse(key, f"is {_shown(value)}", allowed)
        return tuple(value)

    def table(self, key: str) -> Values:
        """Return a table inside this one."""
        value = self._value(key, "a table")
        if not isinstance(value, Mapping):
            self.refuse(key, f"is {_shown(value)}", "a table")
        return Values(value, self.file, f"{self.path}.{key}" if self.path else key)

    def tables(self, key: str) -> tuple[Values, ...]:
        """Return the tables of a list."""
        allowed = f"one or more tables [[{key}]]"
        value = self._value(key, allowed)
        if not isinstance(value, list) or not value:
            self.refuse(key, f"is {_shown(value)}", allowed)
        for number, item in enumerate(value):
            if not isinstance(item, Mapping):
                self.refuse(f"{key}[{number}]", f"is {_shown(item)}", "a table")
        return tuple(
            Values(item, self.file, f"{self.path}{key}[{number}]")
            for number, item in enumerate(value)
        )

    def _value(self, key: str, allowed: str) -> Any:
        if key not in self.entries:
            self.refuse(key, "is missing", allowed)
        return self.entries[key]

    @staticmethod
    def _is_text(value: object, pattern: str) -> bool:
        return (
            isinstance(value, str)
            and value.isprintable()
            and len(value) <= _MOST_CHARACTERS
            and re.fullmatch(pattern, value, re.ASCII) is not None
        )


def nearest(name: str, known: Collection[str]) -> tuple[str, ...]:
    """Return the names most similar to `name`, best first; upper case and ``_`` do not matter.

    If none is similar, names that contain `name` are returned, such as ``cortex-m4`` for ``m4``.
    """
    lowered = name.lower().replace("_", "-")
    spelled = {word.lower().replace("_", "-"): word for word in known}
    near = difflib.get_close_matches(lowered, spelled, 3, 0.5)
    if not near and len(lowered) > 1:
        near = [word for word in spelled if lowered in word][:3]
    return tuple(spelled[word] for word in near)


def _shown(value: object) -> str:
    """Format a value for a message: quoted, escaped, and shortened if it is long."""
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
