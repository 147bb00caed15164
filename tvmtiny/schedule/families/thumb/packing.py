"""Operands of ``tvmtiny_thumb_pairs.h`` and ``tvmtiny_thumb_single.h``: one stream each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tvmtiny.schedule.requantize import Scaling

#: Lengths of chunks for which there is code, the longest first.
CHUNKS = (8, 6, 4, 3, 2, 1)

#: What the sum of a chunk starts with; without it, its lower half is between minus and plus this.
START = 2**15 - 1


def provable(weights: np.ndarray, chunk: int) -> np.ndarray:
    """Of which channels the products of `chunk` inputs fit 16 bits, whatever the inputs are.

    Parameters
    ----------
    weights
        int8, ``(channels, depth)``.

    Returns
    -------
    np.ndarray
        bool, ``(channels,)``.
    """
    depth = weights.shape[1]
    wide = np.pad(weights.astype(np.int64), ((0, 0), (0, -depth % chunk)))
    chunks = wide.reshape(len(weights), -1, chunk)
    positive = np.maximum(chunks, 0).sum(axis=2)
    negative = np.maximum(-chunks, 0).sum(axis=2)
    highest = 127 * positive + 128 * negative
    lowest = 128 * positive + 127 * negative
    return np.asarray((np.maximum(highest, lowest) <= START).all(axis=1))


def by_chunk(weights: np.ndarray, longest: int, fewest: int) -> dict[int, list[int]]:
    """Channels by the length of their chunks, each as long as was proven.

    Parameters
    ----------
    longest
        One of `CHUNKS`.
    fewest
        Channels that are worth code for a length of their own; fewer take a shorter one.
    """
    left = np.ones(len(weights), bool)
    found: dict[int, list[int]] = {}
    for chunk in (c for c in CHUNKS if c <= longest):
        able = left & provable(weights, chunk)
        if chunk == 1 or able.sum() >= fewest:
            found[chunk] = np.flatnonzero(able).tolist()
            left &= ~able
    return {chunk: channels for chunk, channels in found.items() if channels}


def pack_pairs(
    weights: np.ndarray, scaling: Scaling, channels: Sequence[int], chunk: int
) -> np.ndarray:
    """The stream of some channels: int32, flat.

    Parameters
    ----------
    weights
        int8, ``(channels, depth)``, of all channels.
    """
    depth = weights.shape[1]
    count = -(-depth // chunk)
    rows = _words(weights[channels], 4 * (-(-count * chunk // 4)))
    start = np.full((len(channels), 1), -count * START, np.int64)
    parts = [start, rows, scaling.initial[channels, None], *_constants(scaling, channels)]
    stream = np.concatenate([*parts, np.array(channels)[:, None]], axis=1)
    return stream.astype(np.int32).ravel()


def pack_single(weights: np.ndarray, scaling: Scaling, tile: int) -> np.ndarray:
    """The stream of all channels, `tile` at a time: int32, flat.

    Where they do not divide, the last tile repeats channels of the one before.
    """
    channels, depth = weights.shape
    order = [*range(channels - channels % tile)]
    if channels % tile:
        order += range(channels - tile, channels)
    tiles = len(order) // tile
    inputs_first = weights[order].reshape(tiles, tile, depth).transpose(0, 2, 1)
    rows = _words(inputs_first.reshape(tiles, -1), 4 * (-(-tile * depth // 4)))
    initial = scaling.initial[order].reshape(tiles, tile)
    last = np.concatenate(_constants(scaling, order), axis=1).reshape(tiles, -1)
    return np.concatenate([rows, initial, last], axis=1).astype(np.int32).ravel()


def _constants(scaling: Scaling, channels: Sequence[int]) -> list[np.ndarray]:
    """Multiplier and, for rounding by sign, offset and step, each ``(channels, 1)``."""
    every = (scaling.multiplier, scaling.offset, scaling.step)
    return [values[channels, None] for values in every if values is not None]


def _words(rows: np.ndarray, length: int) -> np.ndarray:
    """Rows of bytes as rows of words, with zeros up to `length` bytes."""
    padded = np.pad(rows, ((0, 0), (0, length - rows.shape[1])))
    return np.ascontiguousarray(padded).view("<i4")
