"""The runtime headers that generated code includes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from tvmtiny.resources import shipped
from tvmtiny.schedule.families.registry import families

__all__ = ["header_text", "header_texts"]


@cache
def header_text(name: str) -> str:
    """Return the text of the runtime header `name`, such as ``tvmtiny_math.h``.

    Headers lie in ``runtime/core`` or in the folder of a kernel family; an artifact holds all of
    them in one folder.

    Raises
    ------
    FileNotFoundError
        If no folder has a header of that name.
    """
    for folder in (shipped("runtime") / "core", *(family.header_folder for family in families())):
        file = folder / name
        if file.is_file():
            return file.read_text(encoding="utf-8")
    raise FileNotFoundError(f"neither runtime/core nor a kernel family has a header {name}")


def header_texts(names: Iterable[str]) -> dict[str, str]:
    """Return the texts of runtime headers and of those that they include, by name.

    Raises
    ------
    FileNotFoundError
        If there is no header for one of the names.
    """
    found: dict[str, str] = {}
    wanted = list(names)
    for name in wanted:
        if name not in found:
            found[name] = header_text(name)
            wanted += _included(name)
    return found


@cache
def _included(name: str) -> tuple[str, ...]:
    return tuple(re.findall(r'^#include "(\w+\.h)"$', header_text(name), re.MULTILINE))
