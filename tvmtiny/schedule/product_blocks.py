"""Blocks of four inputs whose weights are not all zero, for kernels that skip the others.

A kernel reads one block after the other. Each has a step in front of it, the distance from the
block before, as a byte; the last step is the only negative one, which ends the sum.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tvmtiny.schedule.matrix_layer import Layer
from tvmtiny.schedule.product_chunks import CHUNKS
from tvmtiny.schedule.scaling import Scaling

#: Inputs of a block, and the chunks that divide it.
BLOCK = 4
BLOCK_CHUNKS = tuple(chunk for chunk in reversed(CHUNKS) if BLOCK % chunk == 0)

#: The longest step forwards. Back, the last step reaches one block further than it needs to.
_LONGEST = 127

#: Least gain in estimated instructions over dense kernels; the estimates are that rough.
LEAST_GAIN = 0.1


def kept_blocks(weights: np.ndarray, tile: int) -> np.ndarray:
    """Return which blocks have weights in any channel of a tile: bool, ``(tiles, blocks)``.

    Parameters
    ----------
    weights
        int8, ``(channels, depth)``, whole tiles and blocks.
    """
    blocks = weights.reshape(len(weights) // tile, tile, -1, BLOCK)
    return np.asarray((blocks != 0).any(axis=(1, 3)))


def stored_blocks(layer: Layer, tile: int) -> int:
    """Return the number of blocks to store for all tiles; two are the fewest for a tile."""
    return int(np.maximum(kept_blocks(layer.weights, tile).sum(axis=1), 2).sum())


def has_blocks(layer: Layer, tile: int) -> bool:
    """Return whether the layer is one of whole blocks and tiles, and takes less flash by blocks."""
    if layer.depth % BLOCK or layer.depth < 2 * BLOCK or layer.channels % tile:
        return False
    # A word to align each tile.
    size = stored_blocks(layer, tile) * (1 + BLOCK * tile) + 4 * layer.channels // tile
    return size < layer.weights.size


def visits(kept: np.ndarray, behind: int) -> tuple[np.ndarray, np.ndarray]:
    """Order the blocks of a tile.

    Parameters
    ----------
    kept
        Whether each block has weights: bool, ``(blocks,)``, at least two.
    behind
        0 for steps from the start of the block before, 1 for steps from its end.

    Returns
    -------
    tuple[np.ndarray, np.ndarray]
        Blocks in the order in which they are read, and the step to each. Blocks of zeros fill gaps
        that are longer than a step.
    """
    blocks = np.flatnonzero(kept).tolist()
    while len(blocks) < 2 or blocks[-1] - blocks[-2] > _LONGEST - 1:
        last = blocks[-1] if blocks else 1
        blocks = [*blocks[:-1], *([last - 1, last] if last else [0, 1])]
    order, steps, at = [], [], 0
    for block in (*blocks[:-2], blocks[-1]):
        while block - at > _LONGEST:
            # The block that comes last must not be read twice.
            step = _LONGEST - (at + _LONGEST == blocks[-2])
            order.append(at + step)
            steps.append(step)
            at += step + behind
        order.append(block)
        steps.append(block - at)
        at = block + behind
    return np.array([*order, blocks[-2]]), np.array([*steps, blocks[-2] - at])


def pack_blocks(weights: np.ndarray, scaling: Scaling) -> np.ndarray:
    """Return the stream of blocks of two channels: int32, flat; see ``tvmtiny_blocks.h``.

    Parameters
    ----------
    weights
        int8, ``(channels, depth)``, whole blocks of two channels.
    scaling
        Output constants of all channels.
    """
    streams = []
    for pair, blocks in enumerate(weights.reshape(-1, 2, weights.shape[1] // BLOCK, BLOCK)):
        order, steps = visits((blocks != 0).any(axis=(0, 2)), 0)
        by_input = blocks[:, order].transpose(1, 2, 0).reshape(len(order), -1)
        row = np.concatenate([steps[:, None], by_input], axis=1).astype(np.int8).reshape(1, -1)
        padded = np.pad(row, ((0, 0), (0, -row.size % 4)))
        words = np.ascontiguousarray(padded).view("<i4")
        streams.append(join_constants(words, scaling, range(2 * pair, 2 * (pair + 1))))
    return np.concatenate(streams)


def join_constants(
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
