"""Operands of the kernels for convolutions and dense layers: one stream for each kernel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tvmtiny.schedule.product_blocks import BLOCK, visits
from tvmtiny.schedule.product_chunks import START
from tvmtiny.schedule.scaling import Scaling


def provable_bytes(weights: np.ndarray, chunk: int) -> np.ndarray:
    """Apply `provable` to weights minus the smallest one of the channel; all chunks are whole."""
    channels, depth = weights.shape
    if depth % chunk:
        return np.zeros(channels, bool)
    above = weights.astype(np.int64) - weights.min(axis=1, keepdims=True)
    highest = 128 * above.reshape(channels, -1, chunk).sum(axis=2)
    return np.asarray((highest <= START).all(axis=1))


def pack_pairs(
    weights: np.ndarray, scaling: Scaling, channels: Sequence[int], chunk: int
) -> np.ndarray:
    """Return the stream of some channels: int32, flat.

    Parameters
    ----------
    weights
        Weights of all channels: int8, ``(channels, depth)``.
    scaling
        Output constants of all channels.
    channels
        Channels of the stream.
    chunk
        Products of a chunk.
    """
    depth = weights.shape[1]
    count = -(-depth // chunk)
    rows = _words(weights[channels], 4 * (-(-count * chunk // 4)))
    start = np.full((len(channels), 1), -count * START, np.int64)
    parts = [start, rows, scaling.initial[channels, None], *_constants(scaling, channels)]
    stream = np.concatenate([*parts, np.array(channels)[:, None]], axis=1)
    return stream.astype(np.int32).ravel()


def pack_mixed(
    weights: np.ndarray,
    scaling: Scaling,
    channels: Sequence[int],
    chunk: int,
    kept: int,
    kept_chunk: int,
) -> np.ndarray:
    """Return the stream of ``tvmtiny_thumb_mixed.h`` for some channels: int32, flat.

    Parameters
    ----------
    weights, scaling, channels, chunk
        See `pack_pairs`; `chunk` divides the inputs that are words.
    kept
        Inputs that stay bytes; those that are words are a multiple of four.
    kept_chunk
        Products of a chunk of bytes; the last one is filled up with weights of zero.
    """
    words = weights.shape[1] - kept
    rows = _words(weights[channels, :words], words)
    turns = -(-kept // kept_chunk)
    padded = np.pad(weights[channels, words:], ((0, 0), (0, turns * kept_chunk - kept)))
    chunks = padded.reshape(len(channels), turns, kept_chunk)
    # Bytes are 128 more than the inputs, of both pixels of a pair.
    starts = START - 128 * (1 + 2**16) * chunks.sum(axis=2, dtype=np.int64)
    last = _words(chunks.reshape(-1, kept_chunk), 4).reshape(starts.shape)
    records = np.stack([starts, last], axis=2).reshape(len(channels), -1)
    count = words // chunk + turns
    start = np.full((len(channels), 1), -count * START, np.int64)
    parts = [start, rows, records, scaling.initial[channels, None], *_constants(scaling, channels)]
    stream = np.concatenate([*parts, np.array(channels)[:, None]], axis=1)
    return stream.astype(np.int32).ravel()


def pack_sparse(weights: np.ndarray, scaling: Scaling, chunk: int) -> np.ndarray:
    """Return the stream of ``tvmtiny_thumb_sparse.h`` for all channels: int32, flat.

    Parameters
    ----------
    weights
        int8, ``(channels, depth)``, whole blocks.
    scaling
        Output constants of all channels.
    chunk
        Products of a chunk.
    """
    streams = []
    for channel, blocks in enumerate(weights.reshape(len(weights), -1, BLOCK)):
        order, steps = visits((blocks != 0).any(axis=1), 1)
        rows = np.concatenate([steps[:, None], blocks[order]], axis=1).astype(np.int8)
        row = rows.reshape(1, -1)
        start = [[-len(order) * (BLOCK // chunk) * START]]
        last = [scaling.initial[[channel], None], *_constants(scaling, [channel])]
        words = _words(row, 4 * (-(-row.size // 4)))
        streams.append(np.concatenate([start, words, *last, [[channel]]], axis=1))
    return np.concatenate(streams, axis=1).astype(np.int32).ravel()


def pack_quads(
    weights: np.ndarray, scaling: Scaling, channels: Sequence[int], chunk: int
) -> np.ndarray:
    """Return the stream of some channels, four at a time: int32, flat.

    The last channel is repeated to make up a multiple of four.

    Parameters
    ----------
    weights
        Weights of all channels: int8, ``(channels, depth)``.
    scaling
        Output constants of all channels.
    channels
        Channels of the stream.
    chunk
        Products of a chunk.
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
    """Return the stream of all channels, `tile` at a time: int32, flat.

    If the tiles do not divide the channels, the last tile repeats channels of the one before.
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
    """Return multiplier and, for rounding by sign, offset and step, each ``(channels, 1)``."""
    every = (scaling.multiplier, scaling.offset, scaling.step)
    return [values[channels, None] for values in every if values is not None]


def _words(rows: np.ndarray, length: int) -> np.ndarray:
    """Convert rows of bytes to rows of words, with zeros up to `length` bytes."""
    padded = np.zeros((len(rows), length), rows.dtype)
    padded[:, : rows.shape[1]] = rows
    return padded.view("<i4")
