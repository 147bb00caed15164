"""What is on the disk for a while only: temporary files, work folders, outputs that are begun.

A name is noted before the file or folder exists, and forgotten after it has gone, so that at any
moment everything that an interrupted run would leave behind is known. It is removed when the
process ends, also by `tvmtiny.host.interrupts`.
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

#: By the process that began them: one that was forked has the notes, too.
_begun: dict[Path, int] = {}
#: Folders that were made for something, innermost first; they go where nothing came to be in them.
_parents: dict[Path, int] = {}


def begin(folder: Path, prefix: str) -> Path:
    """Choose a new name in a folder for a file or folder that is to be removed.

    Parameters
    ----------
    prefix
        Of the name; what follows is drawn.
    """
    path = Path(os.path.abspath(folder)) / f"{prefix}{os.urandom(6).hex()}"  # noqa: PTH100
    note(path)
    return path


def note(path: Path) -> None:
    """Note a file or folder that is to be removed."""
    _begun[path] = os.getpid()


def begin_parents(folder: Path) -> tuple[Path, ...]:
    """Note the folders above one that do not exist, before they are made."""
    found = [parent for parent in folder.absolute().parents if not os.path.lexists(parent)]
    _parents.update(dict.fromkeys(found, os.getpid()))
    return tuple(found)


def remove_parents(parents: Sequence[Path]) -> None:
    """Forget such folders; those in which there is nothing are removed."""
    for parent in parents:
        with suppress(OSError):
            parent.rmdir()
        _parents.pop(parent, None)


def forget(path: Path) -> None:
    """Let something stay."""
    _begun.pop(path, None)


def remove(path: Path) -> None:
    """Remove a file or folder, if it is there; what cannot be removed stays noted."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        if not os.path.lexists(path):
            forget(path)


def remove_all() -> None:
    """Remove everything that this process has begun."""
    # More than once, as other threads may be about to write there.
    for _ in range(_ROUNDS):
        for path in [path for path, process in list(_begun.items()) if process == os.getpid()]:
            remove(path)
    remove_parents([path for path, process in list(_parents.items()) if process == os.getpid()])


def work_folder_for(purpose: str) -> Path:
    """Create a folder for files that nobody is to see; the caller removes it."""
    path = begin(Path(tempfile.gettempdir()), f"tvmtiny-{purpose}-")
    path.mkdir(0o700)
    return path


@contextmanager
def work_folder(purpose: str, keep_after: tuple[type[BaseException], ...] = ()) -> Iterator[Path]:
    """A folder for files that nobody is to see, which lasts as long as the context.

    Parameters
    ----------
    purpose
        A part of its name.
    keep_after
        Errors whose messages point to a file in there: after one of them, the folder stays.
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
