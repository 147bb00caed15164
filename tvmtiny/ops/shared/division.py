"""Integer quotients and remainders in numpy, as in ``runtime/core/tvmtiny_division.h``."""

from __future__ import annotations

import numpy as np


def truncated_quotient(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Divide int32 arrays that broadcast, rounding towards zero.

    Returns
    -------
    np.ndarray
        int32; 0 if the divisor is 0, and -2^31 for -2^31 divided by -1.
    """
    a, b = x.astype(np.int64), y.astype(np.int64)
    size = np.abs(a) // np.maximum(np.abs(b), 1)
    return np.asarray(np.where(b == 0, 0, np.sign(a) * np.sign(b) * size).astype(np.int32))


def floored_remainder(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return remainders of int32 or int64 arrays, with the divisor's sign; 0 for a divisor of 0."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.where((y == 0) | (y == -1), 0, np.mod(x, np.where(y == 0, 1, y))))
