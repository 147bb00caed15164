"""Settings of front ends as frozen dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

from tvmtiny.errors import InputError
from tvmtiny.errors.base import quoted

_Settings = TypeVar("_Settings")


def set_fields(
    front_end: str, defaults: _Settings, values: Mapping[str, Any], hidden: tuple[str, ...] = ()
) -> _Settings:
    """Return settings with other values.

    Parameters
    ----------
    front_end
        Name of the front end, for messages.
    defaults
        The settings, a dataclass of numbers, booleans and texts.
    values
        Values by name.
    hidden
        Names of fields that no option sets.

    Raises
    ------
    InputError
        If there is no such setting, or a value has the wrong type.
    """
    known = [f.name for f in fields(defaults) if f.name not in hidden]  # type: ignore[arg-type]
    made = {}
    for key, value in values.items():
        if key not in known:
            raise InputError(f"{front_end} has no setting {quoted(key)}; known: {', '.join(known)}")
        kind = type(getattr(defaults, key))
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
            raise InputError(f"{front_end} needs {names[kind]} for {key}, not {quoted(value)}")
        made[key] = value
    return replace(defaults, **made)  # type: ignore[type-var]
