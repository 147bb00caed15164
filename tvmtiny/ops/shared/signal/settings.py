"""Settings of front ends among the options of nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

Settings = TypeVar("Settings")


def read_settings(kind: type[Settings], options: Mapping[str, Any]) -> Settings:
    """Return the settings of a dataclass, given a node's options, which hold others as well."""
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**{key: value for key, value in options.items() if key in known})
