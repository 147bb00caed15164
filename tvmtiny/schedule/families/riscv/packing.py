"""Operands of the kernels for convolutions and dense layers: one stream for each kernel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tvmtiny.schedule.product_blocks import BLOCK, visits
from tvmtiny.schedule.requantize import Scaling

#: Channels of a tile in `pack_words` and in `pack_sparse`, and of the tiles in `pack_bytes`.
WORDS_TILE = 8
SPARSE_TILE = 2
BYTES_TILES = (4, 8, 12)


def fill_tiles(classes: dict[int, list[int]], tile: int) -> dict[int, list[int]]:
    """Arrange channels of each chunk length in whole tiles.

    Channels that do not fill a tile move to the next shorter chunks, for which they are proven as
    well. At the end the last channel is repeated.
    """
    filled = {}
    left: list[int] = []
    for chunk in sorted(classes, reverse=True):
        channels = [*left, *classes[chunk]]
        whole = len(channels) // tile * tile
        left = channels[whole:]
        if whole:
            filled[chunk] = channels[:whole]
    if left:
        last = min(classes)
        filled[last] = [*filled.get(last, []), *left, *left[-1:] * (-len(left) % tile)]
    return filled


def pack_pairs(
    weights: np.ndarray, scaling: Scaling, channels: Sequence[int], chunk: int, tile: int
) -> np.ndarray:
    """Return the stream of ``tvmtiny_riscv_pairs.h``: int32, flat.

    Parameters
    ----------
    weights
        Weights of all channels: int8, ``(channels, depth)``.
    scaling
        Output constants of all channels.
    channels
        Channels of the stream, in whole tiles.
    chunk
        Products of a chunk.
    tile
        Channels of a tile.
    """
    tiles, depth = len(channels) // tile, weights.shape[1]
    inputs = -(-depth // chunk) * chunk
    size = 4 * (-(-tile * inputs // 4))
    by_input = weights[channels].reshape(tiles, tile, depth).transpose(0, 2, 1)
    rows = by_input.reshape(tiles, -1)
    padded = np.pad(rows, ((0, 0), (0, size - rows.shape[1])))
    words = np.ascontiguousarray(padded).view("<i4")
    return _join(words, scaling, channels)


def pack_sparse(weights: np.ndarray, scaling: Scaling) -> np.ndarray:
    """Return the stream of ``tvmtiny_riscv_sparse.h`` for all channels: int32, flat.

    Parameters
    ----------
    weights
        int8, ``(channels, depth)``, whole blocks and tiles.
    scaling
        Output constants of all channels.
    """
    streams = []
    for tile, blocks in enumerate(
        weights.reshape(-1, SPARSE_TILE, weights.shape[1] // BLOCK, BLOCK)
    ):
        order, steps = visits((blocks != 0).any(axis=(0, 2)), 0)
        by_input = blocks[:, order].transpose(1, 2, 0).reshape(len(order), -1)
        row = np.concatenate([steps[:, None], by_input], axis=1).astype(np.int8).reshape(1, -1)
        padded = np.pad(row, ((0, 0), (0, -row.size % 4)))
        channels = range(SPARSE_TILE * tile, SPARSE_TILE * (tile + 1))
        streams.append(_join(np.ascontiguousarray(padded).view("<i4"), scaling, channels))
    return np.concatenate(streams)


def pack_words(weights: np.ndarray, scaling: Scaling, channels: Sequence[int]) -> np.ndarray:
    """Return the stream of ``tvmtiny_riscv_words.h``: int32, flat; see `pack_pairs`."""
    tiles, depth = len(channels) // WORDS_TILE, weights.shape[1]
    pairs = weights[channels].astype(np.int64).reshape(tiles, WORDS_TILE // 2, 2, depth)
    words = (pairs[:, :, 0] + 65536 * pairs[:, :, 1]).transpose(0, 2, 1).reshape(tiles, -1)
    return _join(words.astype(np.uint32).view(np.int32), scaling, channels)


def pack_bytes(
    weights: np.ndarray, scaling: Scaling, channels: Sequence[int], chunks: int, tile: int
) -> np.ndarray:
    """Return the stream of ``tvmtiny_riscv_bytes.h``: int32, flat; see `pack_pairs`.

    Parameters
    ----------
    chunks
        Number of chunks of a channel.
    """
    tiles = len(channels) // tile
    by_input = weights[channels].astype(np.int32).reshape(tiles, tile, -1).transpose(0, 2, 1) + 128
    words = by_input.astype(np.uint8).reshape(tiles, -1).view("<i4")
    # The channels of lower products, in whose sums each chunk leaves its rounding.
    lower = np.arange(len(channels)) % 4 < 2
    return _join(words, scaling, channels, np.where(lower, -(chunks << 23), 0))


def _join(
    words: np.ndarray, scaling: Scaling, channels: Sequence[int], extra: np.ndarray | int = 0
) -> np.ndarray:
    """Append number and constants of each channel to the words of weights of each tile.

    Parameters
    ----------
    extra
        Addend of the initial accumulators, modulo 2^32.
    """
    numbers = np.array(channels)
    initial = scaling.initial[numbers].astype(np.int64) + extra
    others = (scaling.multiplier, scaling.offset, scaling.step)
    columns = [numbers, initial, *(values[numbers] for values in others if values is not None)]
    last = np.stack(columns, axis=1).astype(np.uint32).view(np.int32).reshape(len(words), -1)
    return np.concatenate([words, last], axis=1).astype(np.int32).ravel()
