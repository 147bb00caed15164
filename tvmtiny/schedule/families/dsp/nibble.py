"""Choice of 4-bit weights for CONV_2D and FULLY_CONNECTED."""

from __future__ import annotations

from tvmtiny.schedule.families.dsp import packing
from tvmtiny.schedule.implementation import FLASH_WEIGHT, Goal
from tvmtiny.schedule.matrix_layer import Layer

#: Instructions that expand four inputs of a pixel for weights of 8 bits.
_EXPANSION = 7

#: The same for 4 bits: consecutive inputs, and patches.
_CONSECUTIVE, _PATCHES = 9, 17

#: Instructions around the groups of a tile, by weight format.
_AROUND = {"w4": 47, "w8": 45}

#: Bytes of the constants of a channel.
_CONSTANTS = 8


def fits_nibbles(layer: Layer) -> bool:
    """Whether weights have 4 bits and patches are expanded as a whole, as the kernels require."""
    return is_simple(layer) and packing.storable(layer.weights, "w4")


def is_simple(layer: Layer) -> bool:
    """Whether there are no groups of channels, and no dilation."""
    return layer.groups == 1 and (layer.geometry is None or layer.geometry.dilation == (1, 1))


def worth_nibbles(layer: Layer, tile: packing.TileShape, goal: Goal) -> bool:
    """Whether the smaller weights are worth more instructions, which patches take above all.

    Parameters
    ----------
    layer
        A layer that `fits_nibbles`.
    tile
        The tile.
    goal
        The goal, which weighs flash against instructions.
    """
    count, halves = packing.groups(layer.depth), packing.turns(layer.depth, "w4")
    tiles = -(-layer.channels // tile.channels)

    def cost(weight_format: str, groups: int, expansion: int) -> int:
        each = groups * tile.instructions[weight_format] + _AROUND[weight_format]
        return tiles * each + tile.pixels * count * expansion

    wide = cost("w8", count, _EXPANSION)
    narrow = cost("w4", 2 * halves, _CONSECUTIVE if layer.geometry is None else _PATCHES)
    saved = 1 - (4 * halves + _CONSTANTS) / (4 * count + _CONSTANTS)
    return narrow / wide - 1 < FLASH_WEIGHT[goal] * saved
