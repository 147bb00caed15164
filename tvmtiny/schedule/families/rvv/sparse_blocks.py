"""Blocks of two channels and four adjacent inputs, most of whose weights are zero."""

from __future__ import annotations

import numpy as np

from tvmtiny.schedule.families.rvv.strips import Patch
from tvmtiny.schedule.product_blocks import BLOCK

#: Channels of a block.
PAIR = 2

#: Largest distance of a block from the first input of a patch.
REACH = 2**16 - 1


def offsets_of(patch: Patch) -> np.ndarray:
    """Return the distance of each block from the first input.

    If blocks do not divide a run, its last block begins earlier and shares inputs with the one
    before, so that no byte behind the run is read.
    """
    columns = np.minimum(np.arange(0, patch.row_bytes, BLOCK), patch.row_bytes - BLOCK)
    return np.asarray((np.arange(patch.rows)[:, None] * patch.row_pitch + columns).ravel())


def pairs_of(channels: int) -> int:
    """Return the number of pairs of channels; the last channel may be alone."""
    return -(-channels // PAIR)


def padded(rows: np.ndarray) -> np.ndarray:
    """Return rows of channels with a row of zeros if the last channel is alone."""
    gap = [(0, -len(rows) % PAIR), *[(0, 0)] * (rows.ndim - 1)]
    return np.pad(rows, gap)


def fits(patch: Patch) -> bool:
    """Return whether a layer consists of blocks that an offset reaches."""
    return patch.row_bytes >= BLOCK and int(offsets_of(patch).max()) <= REACH


def blocks_of(weights: np.ndarray, patch: Patch) -> np.ndarray:
    """Return the weights of all blocks: int8, ``(pairs, channels, blocks, inputs)``.

    A weight that two blocks of a run share belongs to the first.
    """
    rest = patch.row_bytes % BLOCK
    runs = padded(weights).reshape(-1, patch.rows, patch.row_bytes)
    if rest:
        gap = np.zeros((len(runs), patch.rows, BLOCK - rest), runs.dtype)
        runs = np.concatenate([runs[:, :, :-rest], gap, runs[:, :, -rest:]], axis=2)
    return runs.reshape(len(runs) // PAIR, PAIR, -1, BLOCK)


def kept_of(blocks: np.ndarray) -> np.ndarray:
    """Return which blocks have weights: bool, ``(pairs, blocks)``; each pair has at least one."""
    kept = (blocks != 0).any(axis=(1, 3))
    kept[~kept.any(axis=1), 0] = True
    return np.asarray(kept)
