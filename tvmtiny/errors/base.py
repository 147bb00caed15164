"""The base of all exceptions, and what their messages share."""

from __future__ import annotations

import re
from typing import Any, ClassVar


def restore(cls: type[TvmtinyError], args: tuple[Any, ...], fields: dict[str, Any]) -> Any:
    """Make an error again on the other side of a pickle."""
    error = cls.__new__(cls, *args)
    error.__dict__.update(fields)
    return error


def one_line(text: object) -> str:
    """Collapse white space, so that text from elsewhere cannot break the one-line rule."""
    return " ".join(str(text).split())


def visible(text: object) -> str:
    """Escape what a terminal would obey or not show, such as control characters and line breaks.

    Names of files and tensors can hold any character.
    """
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(text)
    )


#: Characters of a word in an error, such as a path, and of a line of it.
_LONGEST_WORD, _LONGEST_LINE = 300, 1000
#: Characters of a value in it, quotes included.
_LONGEST_VALUE = 100


def cut_middle(text: str, most: int) -> str:
    """A text in at most `most` characters; what is too much is left out of its middle."""
    if len(text) <= most:
        return text
    end = (most - 3) // 2
    return f"{text[: most - 3 - end]}...{text[len(text) - end :]}"


def quoted(value: object) -> str:
    """What a user, a model or a board gave, as Python writes it, in a bearable length."""
    return cut_middle(repr(value), _LONGEST_VALUE)


def bearable(line: str) -> str:
    """A line of an error without whole words of thousands of characters, which nobody reads."""
    words = re.sub(rf"\S{{{_LONGEST_WORD + 1},}}", lambda m: cut_middle(m[0], _LONGEST_WORD), line)
    return cut_middle(words, _LONGEST_LINE)


#: Where a name may be cut: between words, and not inside of one.
_BETWEEN_WORDS = re.compile(r"(?<=[^\W_])(?=[\W_])|(?<=[\W_])(?=[^\W_])|(?<=[a-z0-9])(?=[A-Z])")


def short_name(name: str, most: int = 28) -> str:
    """A name in at most `most` characters, cut between words where any word is short enough.

    Characters that a terminal would obey are escaped. Of names that a converter has joined with
    semicolons the first one stays, and of a name within scopes its end:
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
    """Base of every error that tvmtiny raises on purpose."""

    exit_code: ClassVar[int] = 1

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception's own reduction calls the class with `args`, which keyword fields never reach;
        # errors have to survive the trip from a worker process.
        return restore, (type(self), self.args, dict(self.__dict__))


class InputError(TvmtinyError):
    """Something that the user gave is not usable."""

    exit_code = 2
