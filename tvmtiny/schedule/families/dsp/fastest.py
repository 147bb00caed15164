"""The default rule of CONV_2D and FULLY_CONNECTED for speed: the fewest estimated cycles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tvmtiny.schedule.families.dsp import packing
from tvmtiny.schedule.implementation import Decisions
from tvmtiny.schedule.matrix_layer import Layer, split_groups

#: Cycles on Cortex-M4 (Arm DDI 0439, 3.3.1) around the groups of one tile, by outputs of a step:
#: constants, products with multipliers, saturation, stores, and the end of the loop; for kernels
#: that move their pointers, and for those with a single patch.
_MOVING = {(3, 2): 31, (2, 2): 25, (1, 4): 29}
_SINGLE = {(4, 2): 37, (3, 2): 29, (2, 2): 23, (1, 4): 27, (2, 4): 50}

#: Initial sums are copied for each pixel except the last, if the loop has several iterations.
_MOVES = 2

#: Cycles per iteration of a loop over groups: LDR, CMP and a taken branch.
_TURN = 6

#: Cycles of a kernel's call, entry and exit, which save ten registers.
_CALL = 45

#: Cycles to expand four inputs, and additional cycles per gathered patch.
_EXPANSION = {"w4": 10, "w8": 10, "w16": 8, "p8": 8}
_GATHER = 40

#: Limits on unrolled groups of a single patch; each takes 70 to 112 bytes of code.
_LEAST_SINGLE, _MOST_SINGLE = 16, 32

#: The limit on groups of two patches with alternating words, from the reach of offsets.
MOST_PAIRS = 200


def _cycles(
    layer: Layer, tile: packing.TileShape, weight_format: str, overhead: int, turns: int
) -> float:
    """The cost of all steps of a tile."""
    steps = layer.groups * -(-layer.pixels // tile.pixels)
    tiles = steps * -(-layer.group_channels // tile.channels)
    parts = 1 + (layer.group_channels % tile.channels > 0)
    count = packing.groups(layer.depth)
    patches = 0.0
    if not tile.direct:
        gather = 0 if layer.geometry is None else _GATHER
        patches = steps * tile.pixels * (count * _EXPANSION[weight_format] + gather)
    each = count * tile.cycles[weight_format] + overhead + turns * _TURN
    return tiles * each + steps * parts * _CALL + patches


def paired_patches(layer: Layer, unroll: int) -> Iterator[Way]:
    """The cost of two patches with alternating words, for weights of two channels in a halfword.

    Parameters
    ----------
    unroll
        A value of that decision; all groups are unrolled in any case.
    """
    count, tile = packing.groups(layer.depth), packing.BLOCK_TILES["2x4"]
    if (
        count > _MOST_SINGLE
        or layer.geometry is None
        or layer.groups > 1
        or layer.pixels < tile.pixels
        or layer.channels < tile.channels
    ):
        return
    way: Decisions = {"sketch": "patches", "tile": tile.shape, "weights": "p8", "unroll": unroll}
    tiles = -(-layer.pixels // tile.pixels) * -(-layer.channels // tile.channels)
    yield Way(patches_cycles(layer, tile, way), tiles * (count * tile.instructions["p8"] + 10), way)


def patches_cycles(layer: Layer, tile: packing.TileShape, decisions: Decisions) -> float:
    """The cost of tiles whose patches alternate word by word, or are read directly."""
    weight_format = str(decisions["weights"])
    if weight_format == "p8":
        return _cycles(layer, tile, weight_format, _SINGLE[tile.pixels, tile.channels], 0)
    count = packing.turns(layer.depth, weight_format)
    _, _, loops = split_groups(count, int(decisions["unroll"]))
    overhead = _MOVING[tile.pixels, tile.channels]
    if weight_format == "w16" and tile.shape == "2x2":
        # The output pointer is on the stack.
        overhead += 3
    return _cycles(layer, tile, weight_format, overhead, loops)


def single_cycles(layer: Layer, decisions: Decisions) -> float:
    """The cost of tiles with consecutive patches; patches of rectangles are gathered faster."""
    tile = packing.BLOCK_TILES[str(decisions["tile"])]
    turns = packing.groups(layer.depth) // int(decisions["unroll"])
    overhead = _SINGLE[tile.pixels, tile.channels]
    if turns > 1:
        overhead += _MOVES * tile.pixels
    return _cycles(layer, tile, str(decisions["weights"]), overhead, turns if turns > 1 else 0)


@dataclass(frozen=True)
class Way:
    """Decisions for a layer, and their estimated cost."""

    cycles: float
    instructions: int
    decisions: Decisions


def single_patches(layer: Layer) -> Iterator[Way]:
    """Tiles whose patches are single pixels, unrolled as far as code stays small."""
    count = packing.groups(layer.depth)
    unroll = max(n for n in range(1, min(count, _MOST_SINGLE) + 1) if count % n == 0)
    if (unroll < count and unroll < _LEAST_SINGLE) or layer.geometry is not None:
        return
    for tile in packing.BLOCK_TILES.values():
        if tile.pixels <= layer.pixels and tile.channels <= layer.channels:
            steps = -(-layer.pixels // tile.pixels)
            tiles = steps * -(-layer.channels // tile.channels)
            weights = "w8" if "w8" in tile.cycles else "p8"
            instructions = tiles * (count * tile.instructions[weights] + 5 * tile.pixels)
            way: Decisions = {
                "sketch": "block",
                "tile": tile.shape,
                "weights": weights,
                "unroll": unroll,
            }
            yield Way(single_cycles(layer, way), instructions, way)
