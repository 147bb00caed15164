"""Operands of the kernel of scaled sums, which LSTM and SVDF use: see `lstm_code.sums_code`."""

from __future__ import annotations

import numpy as np

from tvmtiny.schedule.families.mve.assembly import VECTOR
from tvmtiny.schedule.families.mve.tile import block_tiles

#: Sums per vector.
LANES = 8


def sums_vectors(
    weights: np.ndarray, biases: np.ndarray, scale: tuple[int, int]
) -> list[np.ndarray]:
    """Build the stream of each vector of 8 sums.

    Parameters
    ----------
    weights
        int8, ``(sums, inputs)``.
    biases
        int32, ``(sums,)``.
    scale
        Multiplier and shift.

    Returns
    -------
    list of np.ndarray
        int32 each, in the order of ``tvmtiny_mve_lstm.h``; missing sums are 0.
    """
    missing = -len(weights) % LANES
    padded = np.pad(weights, ((0, missing), (0, -weights.shape[1] % VECTOR)))
    offsets = np.pad(biases, (0, missing))
    multiplier, shift = scale
    last = np.array([multiplier, max(shift, 0), min(shift, 0), int(shift < 0)], "<i4")
    order = [c for tile in block_tiles(0, LANES) for c in tile]
    found = []
    for first in range(0, len(padded), LANES):
        rows = [first + c for c in order]
        groups = padded[rows].reshape(LANES, -1, VECTOR).transpose(1, 0, 2).astype(np.int8)
        data = offsets[rows].astype("<i4").tobytes() + groups.tobytes() + last.tobytes()
        found.append(np.frombuffer(data, "<i4").astype(np.int32))
    return found
