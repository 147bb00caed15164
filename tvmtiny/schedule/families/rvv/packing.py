"""Operands of the kernels with sums: constants and weights as one stream, lane by lane."""

from __future__ import annotations

import numpy as np

from tvmtiny.schedule.requantize import SHIFTS
from tvmtiny.schedule.scaling import Scaling

#: Shifts that VNCLIP supports.
USABLE_SHIFTS = tuple(shift for shift in SHIFTS if 1 <= shift <= 31)


def usable(scaling: Scaling | None) -> Scaling | None:
    """Return `scaling`, or None if the kernels do not support it."""
    if scaling is None:
        return None
    # Rounding by sign uses the sign of the product, which a multiplier of 0 would lose.
    return None if scaling.signed and np.any(scaling.multiplier == 0) else scaling


def vectors(scaling: Scaling, gains: np.ndarray | None = None) -> list[np.ndarray]:
    """Return gains, initial accumulators, multipliers, and steps and offsets of signed rounding."""
    found = [gains, scaling.initial, scaling.multiplier, scaling.step, scaling.offset]
    return [vector for vector in found if vector is not None]


def pack(weights: np.ndarray, constants: list[np.ndarray]) -> np.ndarray:
    """Return the stream: int32.

    Parameters
    ----------
    weights
        Weights: int8, ``(taps, lanes)``.
    constants
        Vectors with an entry for each lane.
    """
    flat = np.ascontiguousarray(weights).ravel()
    words = np.pad(flat, (0, -flat.size % 4)).view("<i4")
    return np.concatenate([*(vector.astype("<i4") for vector in constants), words]).astype(np.int32)
