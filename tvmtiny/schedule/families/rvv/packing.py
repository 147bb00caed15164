"""Operands of the kernels with sums: constants and weights as one stream, lane by lane."""

from __future__ import annotations

import numpy as np

from tvmtiny.schedule.requantize import SHIFTS, Scaling

#: Those that VNCLIP takes.
USABLE_SHIFTS = tuple(shift for shift in SHIFTS if 1 <= shift <= 31)


def usable(scaling: Scaling | None) -> Scaling | None:
    """`scaling`, or None where the kernels cannot compute it."""
    if scaling is None:
        return None
    # The sign that rounding asks for is that of the product.
    return None if scaling.signed and np.any(scaling.multiplier == 0) else scaling


def vectors(scaling: Scaling, gains: np.ndarray | None = None) -> list[np.ndarray]:
    """Gains, initial accumulators, multipliers, and for rounding by sign steps and offsets."""
    found = [gains, scaling.initial, scaling.multiplier, scaling.step, scaling.offset]
    return [vector for vector in found if vector is not None]


def pack(weights: np.ndarray, constants: list[np.ndarray]) -> np.ndarray:
    """The stream: int32.

    Parameters
    ----------
    weights
        int8, ``(taps, lanes)``.
    constants
        Vectors with an entry per lane.
    """
    flat = np.ascontiguousarray(weights).ravel()
    words = np.pad(flat, (0, -flat.size % 4)).view("<i4")
    return np.concatenate([*(vector.astype("<i4") for vector in constants), words]).astype(np.int32)
