"""Locate folders that ship beside tvmtiny's code: tuned records, the Zephyr application."""

from __future__ import annotations

from pathlib import Path

__all__ = ["shipped"]

#: Folder of the package.
PACKAGE = Path(__file__).resolve().parent


def shipped(name: str) -> Path:
    """Return the folder `name`, inside an installed package or beside it in a source tree.

    The folder need not exist.
    """
    inside = PACKAGE / name
    return inside if inside.is_dir() else PACKAGE.parent / name
