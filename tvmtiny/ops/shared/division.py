"""Integer quotients and remainders with numpy, as ``runtime/core/tvmtiny_division.h`` has them."""

from __future__ import annotations

import numpy as np


def truncated_quotient(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Divide int32 arrays that broadcast, rounded towards zero.

    Returns
    -------
    np.ndarray
        int32; 0 where the divisor is 0, and -2^31 for -2^31 divided by -1.
    """
    a, b = x.astype(np.int64), y.astype(np.int64)
    size = np.abs(a) // np.maximum(np.abs(b), 1)
    return np.asarray(np.where(b == 0, 0, np.sign(a) * np.sign(b) * size).astype(np.int32))


def floored_remainder(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Remainders, with the divisor's sign, of int32 or int64 arrays that broadcast; 0 for 0."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.where((y == 0) | (y == -1), 0, np.mod(x, np.where(y == 0, 1, y))))
