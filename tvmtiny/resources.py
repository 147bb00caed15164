"""Folders that ship with tvmtiny beside its code: tuned records, the Zephyr application."""

from __future__ import annotations

from pathlib import Path

__all__ = ["shipped"]

_PACKAGE = Path(__file__).resolve().parent


def shipped(name: str) -> Path:
    """Where the folder `name` is: in an installed package, or beside it in a source tree.

    The folder need not exist.
    """
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name
