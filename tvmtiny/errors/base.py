"""Base class of all exceptions, and helpers for their messages."""

from __future__ import annotations

import re
from typing import Any, ClassVar


def restore(cls: type[TvmtinyError], args: tuple[Any, ...], fields: dict[str, Any]) -> Any:
    """Reconstruct an unpickled error."""
    error = cls.__new__(cls, *args)
    error.__dict__.update(fields)
    return error


def one_line(text: object) -> str:
    """Collapse white space, so that foreign text cannot break the one-line rule."""
    return " ".join(str(text).split())


def visible(text: object) -> str:
    """Escape characters that a terminal would interpret or not show, such as control characters.

    Names of files and tensors can contain any character.
    """
    shown = str(text)
    if shown.isprintable():
        return shown
    hidden = {c for c in shown if not c.isprintable()}
    return shown.translate({ord(c): c.encode("unicode_escape").decode("ascii") for c in hidden})


#: Limits on the characters of a word in a message, such as a path, and of a line.
_LONGEST_WORD, _LONGEST_LINE = 300, 1000
#: Limit on the characters of a quoted value in a message, including the quotes.
_LONGEST_VALUE = 100


def cut_middle(text: str, most: int) -> str:
    """Shorten a text to at most `most` characters by leaving out its middle."""
    if len(text) <= most:
        return text
    end = (most - 3) // 2
    return f"{text[: most - 3 - end]}...{text[len(text) - end :]}"


def quoted(value: object) -> str:
    """Format a value given by a user, a model or a board like Python's repr, limited in length."""
    return cut_middle(repr(value), _LONGEST_VALUE)


def bearable(line: str) -> str:
    """Shorten a line of a message, and words of thousands of characters in it."""
    words = re.sub(rf"\S{{{_LONGEST_WORD + 1},}}", lambda m: cut_middle(m[0], _LONGEST_WORD), line)
    return cut_middle(words, _LONGEST_LINE)


#: Positions between words at which a name may be cut.
_BETWEEN_WORDS = re.compile(r"(?<=[^\W_])(?=[\W_])|(?<=[\W_])(?=[^\W_])|(?<=[a-z0-9])(?=[A-Z])")


def short_name(name: str, most: int = 28) -> str:
    """Shorten a name to at most `most` characters, cutting between words where possible.

    Characters that a terminal would interpret are escaped. If a converter has joined several names
    with semicolons, the first is kept; of a name with scopes, the end is kept:
    ``.../conv2d_1/Relu;...``.
    """
    name = visible(name)
    if len(name) <= most:
        return name
    if most <= 6:
        return name[:most]
    first, joined, _ = name.partition(";")
    end = ";..." if joined else ""
    if len(first) + len(end) <= most:
        return first + end
    for scope in re.finditer("/", first):
        if 3 + len(first) - scope.start() + len(end) <= most:
            return f"...{first[scope.start() :]}{end}"
    places = [place.start() for place in _BETWEEN_WORDS.finditer(name)]
    cut = max((place for place in places if place <= most - 3), default=most - 3)
    return f"{name[:cut].rstrip('._/:;')}..."


class TvmtinyError(Exception):
    """Base class of every error that tvmtiny raises on purpose."""

    exit_code: ClassVar[int] = 1

    def __reduce__(self) -> tuple[Any, ...]:
        # The default reduction calls the class with `args`, which do not include keyword fields.
        # Errors must survive being pickled by a worker process.
        return restore, (type(self), self.args, dict(self.__dict__))


class InputError(TvmtinyError):
    """Something that the user gave is not usable."""

    exit_code = 2
