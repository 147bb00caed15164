"""Which families of operators share a program of the host, and thereby a process of the tests."""

from __future__ import annotations

from zlib import crc32

#: Few enough to save most starts of compilers, and enough for processes to share the work.
_BATCHES = 6


def batch(family: str) -> int:
    """The number of the batch that a family belongs to."""
    return crc32(family.encode()) % _BATCHES
