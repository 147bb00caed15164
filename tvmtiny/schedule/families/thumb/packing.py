"""Operands of the kernels for convolutions and dense layers: one stream each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np

from tvmtiny.schedule.matrix_layer import split_groups
from tvmtiny.schedule.requantize import Scaling

#: Lengths of chunks for which there is code, the longest first.
CHUNKS = (8, 6, 4, 3, 2, 1)

#: What the sum of a chunk starts with; without it, its lower half is between minus and plus this.
START = 2**15 - 1

#: Up to this part of the channels, so many inputs are unrolled at most.
_SMALL_SHARE, _SHORT = 0.125, 4


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


def provable_bytes(weights: np.ndarray, chunk: int) -> np.ndarray:
    """Like `provable`, of weights less the smallest one of their channel; no chunk is short."""
    channels, depth = weights.shape
    if depth % chunk:
        return np.zeros(channels, bool)
    above = weights.astype(np.int64) - weights.min(axis=1, keepdims=True)
    highest = 128 * above.reshape(channels, -1, chunk).sum(axis=2)
    return np.asarray((highest <= START).all(axis=1))


def by_chunk(
    weights: np.ndarray,
    proof: Callable[[np.ndarray, int], np.ndarray],
    longest: int,
    most: int,
    cost: Callable[[int], float],
) -> dict[int, list[int]]:
    """Channels by the length of their chunks, which was proven: those that cost least.

    Parameters
    ----------
    weights
        int8, ``(channels, depth)``.
    proof
        `provable` or `provable_bytes`.
    longest
        One of `CHUNKS`.
    most
        Different lengths, each of which has code of its own.
    cost
        Of a channel, by the length of its chunks.
    """
    able = {chunk: proof(weights, chunk) for chunk in CHUNKS if chunk <= longest}
    costs = {chunk: np.where(proven, cost(chunk), np.inf) for chunk, proven in able.items()}
    choices = [c for n in range(1, most + 1) for c in combinations(costs, n)]

    def total(lengths: tuple[int, ...]) -> float:
        return float(np.min([costs[chunk] for chunk in lengths], axis=0).sum())

    best = min(choices, key=lambda lengths: (total(lengths), len(lengths)))
    taken = np.argmin([costs[chunk] for chunk in best], axis=0)
    found = {chunk: np.flatnonzero(taken == i).tolist() for i, chunk in enumerate(best)}
    return {chunk: channels for chunk, channels in found.items() if channels}


def split_chunks(count: int, chunk: int, unroll: int, share: float) -> tuple[int, int, int]:
    """How `count` chunks are unrolled: see `tvmtiny.schedule.matrix_layer.split_groups`.

    Parameters
    ----------
    unroll
        Inputs that are unrolled at most.
    share
        The part of the channels that have chunks of this length; code for few of them is short.
    """
    return split_groups(count, max(2, (unroll if share > _SMALL_SHARE else _SHORT) // chunk))


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


def pack_quads(
    weights: np.ndarray, scaling: Scaling, channels: Sequence[int], chunk: int
) -> np.ndarray:
    """The stream of some channels, four at a time: int32, flat.

    Where there are not four, the last channel is repeated.

    Parameters
    ----------
    weights
        int8, ``(channels, depth)``, of all channels.
    """
    depth = weights.shape[1]
    order = [*channels, *[channels[-1]] * (-len(channels) % 4)]
    smallest = weights[order].astype(np.int64).min(axis=1, keepdims=True)
    above = (weights[order] - smallest).reshape(-1, 4, depth)
    words = (above << np.array([0, 8, 16, 24])[:, None]).sum(axis=1)
    columns = [256 * smallest, scaling.initial[order, None], *_constants(scaling, order)]
    last = np.concatenate([*columns, np.array(order)[:, None]], axis=1)
    start = np.full((len(words), 1), -(depth // chunk) * START, np.int64)
    parts = [start, words, last.reshape(len(words), -1)]
    return np.concatenate(parts, axis=1).astype(np.uint32).view(np.int32).ravel()


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
