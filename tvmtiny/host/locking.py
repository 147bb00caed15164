"""Exclusive access to a file that is written incrementally."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tvmtiny.errors import InputError, OutputPathError
from tvmtiny.host import interrupts, unfinished

__all__ = ["locked"]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Lock a file against other processes while the context lasts.

    Parameters
    ----------
    path
        The file to lock. Neither the file nor its folder needs to exist. A hidden lock file beside
        it holds the process ID and is removed afterwards.

    Raises
    ------
    InputError
        Another process holds the lock.
    OutputPathError
        The lock file cannot be created.
    """
    lock = path.absolute().with_name(f".{path.name}.lock")
    parents = unfinished.begin_parents(lock)
    descriptor: int | None = None
    try:
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            with interrupts.deferred():
                descriptor = _acquire(lock)
                unfinished.note(lock)
            os.ftruncate(descriptor, 0)
            os.write(descriptor, str(os.getpid()).encode())
        except BlockingIOError as error:
            raise InputError(
                f"{path} is being written by process {_holder(lock)}; wait until it ends, or give "
                "another path"
            ) from error
        except OSError as error:
            raise OutputPathError(path=path, reason=error.strerror or str(error)) from error
        yield
    finally:
        if descriptor is not None:
            # Delete the lock file while the lock is still held.
            unfinished.remove(lock)
            os.close(descriptor)
        unfinished.remove_parents(parents)


def _acquire(lock: Path) -> int:
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The previous holder may have deleted the file after it was opened here.
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), lock.stat()):
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _holder(lock: Path) -> str:
    text = ""
    with suppress(OSError):
        text = lock.read_text()
    return text if text.isdigit() else "that has just begun"
