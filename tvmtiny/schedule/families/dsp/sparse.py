"""Weights that are mostly zero, in blocks of two channels and four inputs.

The kernels of ``tvmtiny_dsp_sparse.h`` read the same patches as the dense tile kernels, but only
for blocks with weights.
"""

from __future__ import annotations

import numpy as np

from tvmtiny.ops import Node
from tvmtiny.schedule.families.dsp import packing
from tvmtiny.schedule.families.dsp.fastest import Way
from tvmtiny.schedule.families.dsp.near import Near, arranged, near
from tvmtiny.schedule.implementation import Decision, Decisions, Sketch
from tvmtiny.schedule.matrix_layer import Layer
from tvmtiny.schedule.scaling import Scaling

#: Cycles and instructions on Cortex-M4 (Arm DDI 0439, 3.3.1) around the blocks of a tile, by its
#: pixels: constants, multipliers, saturation, stores, the ends of loops.
_AROUND = {3: (46, 34), 2: (36, 25), 1: (26, 17)}

#: Cycles and instructions to expand four inputs of a patch; neighbouring patches share the work.
_EXPANSION, _NEAR_EXPANSION = (10, 7), (6, 4)

#: Cycles and instructions of a step for calls and patches.
_STEP = (85, 60)

#: Steps to blocks are signed halfwords of bytes.
_MOST_BYTES = 2**15 - 1


def sparse_tile(decisions: Decisions) -> packing.TileShape:
    """The tile that the decisions name."""
    return packing.SPARSE_TILES[str(decisions["tile"])]


def sparse_sketches(layer: Layer) -> tuple[Sketch, ...]:
    """The sketch of a layer with enough blocks of zeros to take less flash."""
    if layer.groups > 1 or layer.channels % 2 or not packing.storable(layer.weights, "w8"):
        return ()
    mask = block_mask(layer.weights)
    blocks = np.maximum(mask.sum(axis=1), 2)
    stored = (8 * blocks + 4 * (blocks // 2 + 1)).sum()
    tiles = tuple(tile.shape for tile in _tiles(layer)) if stored < 8 * mask.size else ()
    decisions = (Decision("tile", tiles), Decision("weights", ("w8",)))
    return (Sketch("sparse", decisions),) if tiles else ()


def sparse_way(node: Node, layer: Layer) -> Way | None:
    """Choose the tile with the fewest estimated cycles; None for a layer that is not sparse."""
    ways = []
    for sketch in sparse_sketches(layer):
        for shape in sketch.decisions[0].values:
            decisions: Decisions = {"sketch": "sparse", "tile": shape, "weights": "w8"}
            tile = packing.SPARSE_TILES[str(shape)]
            ways.append(sparse_cost(layer, tile, near(node, layer, tile, "w8"), decisions))
    return min(ways, key=lambda way: way.cycles, default=None)


def _tiles(layer: Layer) -> list[packing.TileShape]:
    return [
        tile
        for tile in packing.SPARSE_TILES.values()
        if tile.pixels <= layer.pixels
        and (tile.pixels == 1 or tile.pixels * layer.channels <= packing.MOST_PITCH)
        and 4 * packing.patch_words(layer.depth, tile.pixels, "w8") <= _MOST_BYTES
    ]


def sparse_cost(
    layer: Layer, tile: packing.TileShape, together: Near | None, decisions: Decisions
) -> Way:
    """The estimated cost of a tile."""
    weights = arranged(layer, together).weights
    blocks = int(np.maximum(block_mask(weights).sum(axis=1), 2).sum())
    steps = -(-layer.pixels // tile.pixels)
    groups = steps * tile.pixels * packing.groups(weights.shape[1])

    def total(unit: int, block: int) -> int:
        each = blocks * block + layer.channels // 2 * _AROUND[tile.pixels][unit]
        expansion = (_EXPANSION if together is None else _NEAR_EXPANSION)[unit]
        return steps * (each + _STEP[unit]) + groups * expansion

    return Way(total(0, tile.cycles["w8"]), total(1, tile.instructions["w8"]), decisions)


def block_mask(weights: np.ndarray) -> np.ndarray:
    """Whether each block has weights: bool, ``(pairs of channels, groups of inputs)``."""
    found = packing.grouped(weights)
    return (found.reshape(len(weights) // 2, 2, -1, packing.GROUP) != 0).any(axis=(1, 3))


def pack_sparse(weights: np.ndarray, scaling: Scaling, tile: packing.TileShape) -> np.ndarray:
    """Arrange weights, steps and constants as ``tvmtiny_dsp_sparse.h`` describes.

    Parameters
    ----------
    weights
        int8, ``(channels, depth)``, in the order in which inputs are expanded; an even number of
        channels.

    Returns
    -------
    np.ndarray
        int32.
    """
    found = packing.grouped(weights)
    words = packing.half_words(found)
    size = 8 * tile.pixels
    constants = [scaling.multiplier, scaling.offset, scaling.step]
    last = np.stack([c for c in constants if c is not None], axis=1)
    parts: list[np.ndarray] = []
    for pair, kept in enumerate(block_mask(weights)):
        channels = slice(2 * pair, 2 * pair + 2)
        positions = np.nonzero(kept)[0]
        body = words[channels, positions].T
        missing = 2 - len(positions)
        if missing > 0:
            first = positions[0] if len(positions) else 0
            positions = np.pad(positions, (0, missing), constant_values=first)
            body = np.pad(body, ((0, missing), (0, 0)))
        # The first block is stored after all others; the step to it is the only negative one.
        positions, body = np.roll(positions, -1), np.roll(body, -1, axis=0)
        ends = np.concatenate([[0], (positions[:-1] + 1) * size])
        steps = positions * size - ends
        halves = np.zeros(len(steps) + 1 + (len(steps) + 1) % 2, np.int64)
        halves[0], halves[1 : len(steps) + 1] = 2 * len(halves) - 2, steps
        parts += [
            packing.words(halves[::2], halves[1::2]),
            scaling.initial[channels],
            body.ravel(),
            last[channels].ravel(),
        ]
    return np.concatenate(parts).astype(np.int32)
