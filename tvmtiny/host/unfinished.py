"""Registry of temporary files: work folders and outputs that are not yet complete.

A path is recorded before the file or folder is created and forgotten after it is deleted, so that
everything an interrupted run would leave behind is known at any time. Recorded paths are deleted
when the process ends, including by `tvmtiny.host.interrupts`.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = [
    "begin",
    "begin_parents",
    "forget",
    "note",
    "remove",
    "remove_all",
    "remove_parents",
    "work_folder",
    "work_folder_for",
]

_ROUNDS = 5

#: Recorded paths with the process that created them; a forked child inherits the registry.
_begun: dict[Path, int] = {}
#: Folders created as parents of an output, innermost first; they are removed if left empty.
_parents: dict[Path, int] = {}


def begin(folder: Path, prefix: str) -> Path:
    """Choose and record a unique new path in a folder for a temporary file or folder.

    Parameters
    ----------
    prefix
        Start of the name; a random part follows.
    """
    path = Path(os.path.abspath(folder)) / f"{prefix}{os.urandom(6).hex()}"  # noqa: PTH100
    note(path)
    return path


def note(path: Path) -> None:
    """Record a file or folder that is to be deleted."""
    _begun[path] = os.getpid()


def begin_parents(folder: Path) -> tuple[Path, ...]:
    """Record the missing parents of a folder before they are created."""
    found = [parent for parent in folder.absolute().parents if not os.path.lexists(parent)]
    _parents.update(dict.fromkeys(found, os.getpid()))
    return tuple(found)


def remove_parents(parents: Sequence[Path]) -> None:
    """Forget recorded parents, and remove those that are empty."""
    for parent in parents:
        with suppress(OSError):
            parent.rmdir()
        _parents.pop(parent, None)


def forget(path: Path) -> None:
    """Forget a path, so that its file or folder is kept."""
    _begun.pop(path, None)


def remove(path: Path) -> None:
    """Delete a file or folder if it exists; it stays recorded if that fails."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        if not os.path.lexists(path):
            forget(path)


def remove_all() -> None:
    """Delete everything that this process has recorded."""
    # Repeat, because other threads may still be writing there.
    for _ in range(_ROUNDS):
        for path in [path for path, process in list(_begun.items()) if process == os.getpid()]:
            remove(path)
    remove_parents([path for path, process in list(_parents.items()) if process == os.getpid()])


def work_folder_for(purpose: str) -> Path:
    """Create a private temporary folder, which the caller removes."""
    path = begin(Path(tempfile.gettempdir()), f"tvmtiny-{purpose}-")
    path.mkdir(0o700)
    return path


@contextmanager
def work_folder(purpose: str, keep_after: tuple[type[BaseException], ...] = ()) -> Iterator[Path]:
    """Create a private temporary folder for the duration of the context.

    Parameters
    ----------
    purpose
        Part of the folder's name.
    keep_after
        Errors whose messages refer to a file in the folder; after one of these, the folder is kept.
    """
    path = work_folder_for(purpose)
    try:
        yield path
    except keep_after:
        forget(path)
        raise
    finally:
        if path in _begun:
            remove(path)


atexit.register(remove_all)
