"""Find the descendants of a process and wait for them to exit."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

__all__ = ["descendants", "still_running"]


def descendants(process: int) -> list[int]:
    """Open process descriptors of all descendants of a process, parents first."""
    found = []
    with suppress(OSError):
        for task in Path(f"/proc/{process}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                with suppress(OSError):
                    found.append(os.pidfd_open(child))
                found += descendants(child)
    return found


def still_running(descriptors: Iterable[int], seconds: float) -> list[int]:
    """Wait up to `seconds` for processes; close descriptors of exited ones, return the others."""
    running = list(descriptors)
    end = time.monotonic() + seconds
    while running:
        poll = select.poll()
        for descriptor in running:
            poll.register(descriptor, select.POLLIN)
        ended = {found for found, _ in poll.poll(max(0.0, 1000 * (end - time.monotonic())))}
        for descriptor in ended:
            os.close(descriptor)
        running = [descriptor for descriptor in running if descriptor not in ended]
        if not ended:
            break
    return running
