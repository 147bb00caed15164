"""Counts of functions of the C library, which compilers call for loops that fill or copy bytes."""

from __future__ import annotations

import numpy as np

from tvmtiny.estimation.kernels.counting import Part, Site

__all__ = ["memcpy_of_few", "memset"]


def memset(site: Site, address: np.ndarray, count: np.ndarray) -> Part:
    """Count newlib's ``memset``: bytes up to a word, 16 bytes at a time, words, bytes.

    Parameters
    ----------
    site
        The call that leads to the calls of ``memset``.
    address
        Bytes from a multiple of four to the first byte, for each call of ``memset``.
    count
        Bytes to set, for each call.
    """
    head = np.minimum(-address % 4, count)
    left = count - head
    words = left % 16 // 4
    events = {
        "call": np.ones_like(count),
        "aligned": address % 4 == 0,
        "head bytes": head,
        # The loop ends within the first word.
        "cut": (address % 4 > 0) & (left == 0),
        "long": left >= 4,
        "16 bytes": left // 16,
        "loop": left >= 16,
        "words": words,
        "word loop": words > 0,
        "bytes": left % 4,
        "rest": left % 4 > 0,
    }
    weight = site.call.weight
    found = {name: float(value.sum()) * weight for name, value in events.items()}
    return Part("memset", "memset", found, fixed=True)


def memcpy_of_few(calls: float, count: int) -> Part:
    """Count newlib's ``memcpy`` of less than 16 bytes, which are copied one by one."""
    return Part("memcpy", "memcpy", {"call": calls, "bytes": calls * count}, fixed=True)
