"""Exit on SIGINT, SIGTERM and SIGHUP at once, leaving nothing behind.

An exception raised in a signal handler can surface anywhere: inside an import, which turns it into
an ImportError; inside a finalizer, which swallows it; or between creating a file and recording it.
These handlers therefore raise nothing. They stop the processes that this process has started,
delete its unfinished files, and exit with the code that shells expect.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tvmtiny.host import unfinished
from tvmtiny.host.descendants import descendants, still_running

__all__ = ["deferred", "install", "park_while_leaving"]

_WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}
#: Seconds that programs get to exit on their own; a compiler removes its temporary files.
_GRACE_SECONDS = 2.0

_lock = threading.Lock()
_leaving = threading.Event()
_deferring = 0
_pending: int | None = None
_owner = 0


def install() -> None:
    """Install the handlers, except for signals that are ignored.

    Only programs call this; users of the library keep Python's own handlers.
    """
    global _owner
    _owner = os.getpid()
    for number in _WORDS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _handle)


@contextmanager
def deferred() -> Iterator[None]:
    """Defer signals until the context ends, for short steps that must not be split."""
    global _deferring
    with _lock:
        _deferring += 1
    try:
        yield
    finally:
        with _lock:
            _deferring -= 1
        if _pending is not None and not _deferring:
            _leave(_pending)


def park_while_leaving() -> None:
    """Block the calling thread forever once the process is about to exit."""
    if _leaving.is_set():
        threading.Event().wait()


def _handle(number: int, _: object) -> None:
    global _pending
    if _leaving.is_set():
        return
    if os.getpid() != _owner:
        # This is a forked child that has not yet replaced itself by another program.
        os._exit(128 + number)
    if _deferring:
        _pending = number
        return
    _leave(number)


def _leave(number: int) -> None:
    for other in _WORDS:
        with suppress(ValueError):
            signal.signal(other, signal.SIG_IGN)
    _leaving.set()
    # Bypass `sys.stderr`, which may be in the middle of a write. A spinner hides the cursor.
    cursor = b"\r\x1b[K\x1b[?25h" if _is_terminal() else b""
    with suppress(OSError):
        os.write(2, cursor + f"tvmtiny: {_WORDS[signal.Signals(number)]}\n".encode())
    _end_descendants()
    unfinished.remove_all()
    # Repeat for anything that another thread was about to start.
    _end_descendants()
    unfinished.remove_all()
    os._exit(128 + number)


def _is_terminal() -> bool:
    try:
        return os.isatty(2)
    except OSError:
        return False


def _end_descendants() -> None:
    """Terminate all descendants of this process."""
    running = descendants(os.getpid())
    for how in (signal.SIGTERM, signal.SIGKILL):
        for descriptor in running:
            with suppress(OSError):
                signal.pidfd_send_signal(descriptor, how)
        running = still_running(running, _GRACE_SECONDS)
