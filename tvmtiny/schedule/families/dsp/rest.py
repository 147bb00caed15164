"""Compute pixels that whole tiles of three leave by tiles of two, instead of some pixels twice."""

from __future__ import annotations

from tvmtiny.ops import Node
from tvmtiny.ops.shared.sliding_window import whole_height
from tvmtiny.schedule.families.dsp import packing
from tvmtiny.schedule.families.dsp.near import Near, near
from tvmtiny.schedule.families.dsp.patches import Rest
from tvmtiny.schedule.implementation import FLASH_WEIGHT, Decisions, Goal
from tvmtiny.schedule.matrix_layer import Layer, split_groups

#: Bytes of code of an additional tile around its groups: its frame, and the expansion of patches.
_CODE = 600

#: A layer that computes some rows at a time leaves pixels in each part; at this share of the layer,
#: they justify code. A whole layer leaves at most two pixels, which justify code only for speed.
_WORTH_IN_ROWS = 0.01


def counted_steps(pixels: int, tile: packing.TileShape) -> tuple[int, int]:
    """Number of whole steps of a tile, and of the steps of a smaller tile after them.

    Without smaller steps, the last whole step may overlap the previous one.
    """
    left = pixels % tile.pixels
    if tile.shape != "3x2" or pixels < 5 or not left:
        return -(-pixels // tile.pixels), 0
    # A single pixel is computed together with the three previous ones.
    return (pixels // 3, 1) if left == 2 else (pixels // 3 - 1, 2)


def rest_tile(
    node: Node, layer: Layer, tile: packing.TileShape, decisions: Decisions, goal: Goal
) -> packing.TileShape | None:
    """The tile for the pixels that whole tiles leave; None if no tile justifies its code."""
    weight_format = str(decisions["weights"])
    count = packing.turns(layer.depth, weight_format)
    whole, behind = counted_steps(layer.pixels, tile)
    if not behind or goal is Goal.SIZE:
        return None
    smaller = packing.TILES["2x2"]
    each = tile.instructions[weight_format] * count + 4 * tile.pixels * tile.channels
    less = smaller.instructions[weight_format] * count + 4 * smaller.pixels * smaller.channels
    overlapping = -(-layer.pixels // tile.pixels) * each
    saved = (overlapping - whole * each - behind * less) / overlapping
    first, unroll, _ = split_groups(count, int(decisions["unroll"]))
    code = _CODE + 4 * (first + unroll) * smaller.instructions[weight_format]
    needed = FLASH_WEIGHT[goal] * code / layer.weights.size
    if whole_height(node) != node.output.shape[1]:
        needed = _WORTH_IN_ROWS
    elif goal is not Goal.SPEED:
        return None
    return smaller if saved > needed else None


def rest_of(
    node: Node,
    layer: Layer,
    tile: packing.TileShape,
    decisions: Decisions,
    goal: Goal,
    together: Near | None,
) -> Rest | None:
    """Return a way to compute the pixels that whole tiles leave; None if the last tile overlaps.

    Parameters
    ----------
    together
        How whole tiles expand their patches; smaller tiles must use the same order of weights.
    """
    smaller = rest_tile(node, layer, tile, decisions, goal)
    if smaller is None:
        return None
    nearby = near(node, layer, smaller, str(decisions["weights"]))
    kinds = {"taps" if way is None else way.kind for way in (together, nearby)}
    if kinds != {"taps"} and (kinds != {"nines"} or None in (together, nearby)):
        return None
    steps = counted_steps(layer.pixels, tile)[1]
    return Rest(smaller, steps, int(decisions["unroll"]), nearby)
