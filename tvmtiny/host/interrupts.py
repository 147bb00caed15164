"""Leaving on SIGINT, SIGTERM and SIGHUP: at once, and with nothing left.

An exception that a handler raises comes out anywhere: inside an import, which makes an ImportError
of it; inside a finaliser, which swallows it; between the creation of a file and the note of it. So
these handlers raise nothing. They end what this process has started, remove what it has not
finished, and end the process with the code that shells expect.
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
#: Seconds that programs have to end by themselves: a compiler removes its temporary files.
_GRACE_SECONDS = 2.0

_lock = threading.Lock()
_leaving = threading.Event()
_deferring = 0
_pending: int | None = None
_owner = 0


def install() -> None:
    """Handle the signals from now on, but for those that are ignored.

    Only programs call this; whoever uses the library has the handlers of Python.
    """
    global _owner
    _owner = os.getpid()
    for number in _WORDS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _handle)


@contextmanager
def deferred() -> Iterator[None]:
    """Let a signal wait until the context ends: for what takes no time but must not be halved."""
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
    """Keep a thread from starting anything once the process is about to end."""
    if _leaving.is_set():
        threading.Event().wait()


def _handle(number: int, _: object) -> None:
    global _pending
    if _leaving.is_set():
        return
    if os.getpid() != _owner:
        # A process that was forked, and has not become another program yet.
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
    # Not through `sys.stderr`, which may be in the middle of writing; a spinner hides the cursor.
    cursor = b"\r\x1b[K\x1b[?25h" if _is_terminal() else b""
    with suppress(OSError):
        os.write(2, cursor + f"tvmtiny: {_WORDS[signal.Signals(number)]}\n".encode())
    _end_descendants()
    unfinished.remove_all()
    # What another thread was about to start.
    _end_descendants()
    unfinished.remove_all()
    os._exit(128 + number)


def _is_terminal() -> bool:
    try:
        return os.isatty(2)
    except OSError:
        return False


def _end_descendants() -> None:
    """End all that this process has started, and what they have started in turn."""
    running = descendants(os.getpid())
    for how in (signal.SIGTERM, signal.SIGKILL):
        for descriptor in running:
            with suppress(OSError):
                signal.pidfd_send_signal(descriptor, how)
        running = still_running(running, _GRACE_SECONDS)
