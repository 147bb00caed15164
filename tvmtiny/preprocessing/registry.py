"""Registry of the front ends, each of which is a folder."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from tvmtiny.errors import InputError
from tvmtiny.errors.base import quoted
from tvmtiny.preprocessing.front_end import FrontEnd


@cache
def front_ends() -> Mapping[str, type[FrontEnd]]:
    """Return the classes of all front ends by name."""
    package = import_module("tvmtiny.preprocessing")
    found = {}
    for module in iter_modules(package.__path__):
        if module.ispkg:
            kind: type[FrontEnd] = import_module(f"{package.__name__}.{module.name}").FRONT_END
            found[kind.name] = kind
    return found


def find_front_end(name: str) -> type[FrontEnd]:
    """Return the class of the front end `name`.

    Raises
    ------
    InputError
        If there is no front end of that name.
    """
    try:
        return front_ends()[name]
    except KeyError:
        known = ", ".join(sorted(front_ends()))
        raise InputError(f"there is no front end {quoted(name)}; known: {known}") from None
