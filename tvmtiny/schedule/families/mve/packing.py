"""Operands of the kernels of ``tvmtiny_mve_tile.h``: weights and constants as one stream."""

from __future__ import annotations

from itertools import chain

import numpy as np

from tvmtiny.schedule.families.mve.assembly import VECTOR
from tvmtiny.schedule.families.mve.tile import Tile, block_tiles
from tvmtiny.schedule.scaling import Scaling

#: Shifts that VQSHRN supports, in the order in which they are tried.
SHIFTS = (12, 13, 14, 11, 15, 10, 16, 9, 8, 7, 6, 5, 4, 3, 2, 1)


def usable(scaling: Scaling | None, most: int = SHIFTS[6]) -> Scaling | None:
    """Return `scaling`, or None if the kernels cannot compute it.

    Parameters
    ----------
    most
        The largest shift.
    """
    if scaling is None or not 1 <= scaling.shift <= most:
        return None
    # Rounding uses the sign of the product.
    return None if scaling.signed and np.any(scaling.multiplier == 0) else scaling


def constant_vectors(scaling: Scaling) -> list[np.ndarray]:
    """Initial accumulators and multipliers, and offsets and steps for rounding by sign."""
    vectors = [scaling.initial, scaling.multiplier, scaling.offset, scaling.step]
    return [vector for vector in vectors if vector is not None]


def pack_stream(weights: np.ndarray, scaling: Scaling, tile: Tile, together: bool) -> np.ndarray:
    """Arrange weights and requantization constants in the order of the header.

    Parameters
    ----------
    weights
        int8, ``(channels, rows * row_bytes)``.
    together
        Whether the weights of a block are interleaved, for the single kernel.

    Returns
    -------
    np.ndarray
        int32.
    """
    channels = len(weights)
    runs = weights.reshape(channels, tile.rows, tile.row_bytes)
    padding = tile.row_groups * VECTOR - tile.row_bytes
    groups = np.pad(runs, ((0, 0), (0, 0), (0, padding))).reshape(channels, tile.groups, VECTOR)
    vectors = constant_vectors(scaling)
    parts: list[bytes] = []
    for first, width in tile.blocks:
        tiles = block_tiles(first, width)
        constants = [[_lanes(v[t]) for v in vectors] for t in tiles]
        order = [list(chain(*tiles))] if together else tiles
        filters = [groups[o].transpose(1, 0, 2).tobytes() for o in order]
        if together:
            parts += [*filters, *chain(*constants)]
        else:
            for body, last in zip(filters, constants, strict=True):
                parts += [body, *last]
    return np.frombuffer(b"".join(parts), "<i4").astype(np.int32)


def _lanes(values: np.ndarray) -> bytes:
    """Pad up to 4 int32 to a vector."""
    return np.pad(values, (0, 4 - len(values))).astype("<i4").tobytes()
