"""The base of all exceptions, and what their messages share."""

from __future__ import annotations

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
