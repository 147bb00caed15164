"""Writing files so that an interrupted run leaves no half-written one."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from tvmtiny.errors import OutputPathError

__all__ = ["make_directory", "write_bytes", "write_text"]


def make_directory(directory: Path) -> None:
    """Create a directory and its parents where they do not exist.

    Raises
    ------
    OutputPathError
        It cannot be created, or is a file.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputPathError(path=directory, reason=error.strerror or str(error)) from error


def write_text(path: Path, text: str) -> None:
    """Write a file in UTF-8; see `write_bytes`."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file under a temporary name and rename it.

    Raises
    ------
    OutputPathError
        The file cannot be written.
    """
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
            raise
    except OSError as error:
        raise OutputPathError(path=path, reason=error.strerror or str(error)) from error
