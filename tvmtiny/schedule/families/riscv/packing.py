"""Operands of the kernels for convolutions and dense layers: one stream for each kernel."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tvmtiny.schedule.product_blocks import join_constants
from tvmtiny.schedule.scaling import Scaling

#: Channels of a tile in `pack_words`, and of the tiles in `pack_bytes`.
WORDS_TILE = 8
BYTES_TILES = (4, 8, 12)


def fill_tiles(
    classes: dict[int, list[int]], tile: int, proven: Callable[[int], np.ndarray]
) -> dict[int, list[int]]:
    """Arrange channels of each chunk length in whole tiles.

    Channels that do not fill a tile move to shorter chunks for which they are proven: these are not
    always parts of the longer ones. Where channels do not fill the last tile, the last one is
    repeated.

    Parameters
    ----------
    proven
        Returns whether chunks of a length are proven for each channel.
    """
    filled: dict[int, list[int]] = {}
    left: list[tuple[int, int]] = []
    for chunk in sorted(classes, reverse=True):
        able = proven(chunk)
        moved = [channel for channel, _ in left if able[channel]]
        left = [(channel, longer) for channel, longer in left if not able[channel]]
        channels = [*moved, *classes[chunk]]
        whole = len(channels) // tile * tile
        left += [(channel, chunk) for channel in channels[whole:]]
        if whole:
            filled[chunk] = channels[:whole]
    for chunk in sorted({chunk for _, chunk in left}):
        rest = [channel for channel, own in left if own == chunk]
        filled[chunk] = [*filled.get(chunk, []), *rest, *rest[-1:] * (-len(rest) % tile)]
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
    return join_constants(words, scaling, channels)


def pack_words(weights: np.ndarray, scaling: Scaling, channels: Sequence[int]) -> np.ndarray:
    """Return the stream of ``tvmtiny_riscv_words.h``: int32, flat; see `pack_pairs`."""
    tiles, depth = len(channels) // WORDS_TILE, weights.shape[1]
    pairs = weights[channels].astype(np.int64).reshape(tiles, WORDS_TILE // 2, 2, depth)
    words = (pairs[:, :, 0] + 65536 * pairs[:, :, 1]).transpose(0, 2, 1).reshape(tiles, -1)
    return join_constants(words.astype(np.uint32).view(np.int32), scaling, channels)


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
    return join_constants(words, scaling, channels, np.where(lower, -(chunks << 23), 0))
