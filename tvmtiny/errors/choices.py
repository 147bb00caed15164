"""Enumerations whose members a user names."""

from __future__ import annotations

from enum import Enum
from typing import TypeVar

from tvmtiny.errors.base import InputError, quoted

Choice = TypeVar("Choice", bound=Enum)


def parse_choice(kind: type[Choice], name: Choice | str, problem: str) -> Choice:
    """Return the member of `kind` that has the value `name`.

    Parameters
    ----------
    problem
        Message for other names; ``{}`` stands for the name, and the known names follow.

    Raises
    ------
    InputError
        If there is no such member.
    """
    try:
        return kind(name)
    except ValueError:
        known = ", ".join(str(member.value) for member in kind)
        raise InputError(f"{problem.format(quoted(name))}; known: {known}") from None
