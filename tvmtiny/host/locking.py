"""One process at a time for what is written bit by bit."""

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
    """Keep other processes from a file while the context lasts.

    Parameters
    ----------
    path
        The file; a hidden one beside it, which is there meanwhile, holds the number of the process.
        It need not exist, nor need its folder.

    Raises
    ------
    InputError
        Another process has it.
    OutputPathError
        There can be no file.
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
                f"{path} is being written by process {_holder(lock)}: wait for its end, or give "
                "another place"
            ) from error
        except OSError as error:
            raise OutputPathError(path=path, reason=error.strerror or str(error)) from error
        yield
    finally:
        if descriptor is not None:
            # Nobody else gets it before it has gone.
            unfinished.remove(lock)
            os.close(descriptor)
        unfinished.remove_parents(parents)


def _acquire(lock: Path) -> int:
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Who had it may have removed it meanwhile.
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
