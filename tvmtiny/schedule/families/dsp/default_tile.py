"""Tiles of dense layers and convolutions: which ones a layer can use, and the default rule."""

from __future__ import annotations

from tvmtiny.ops import Node
from tvmtiny.schedule.families.dsp import packing
from tvmtiny.schedule.families.dsp.patches import Rest
from tvmtiny.schedule.families.dsp.rest import counted_steps, rest_tile
from tvmtiny.schedule.families.dsp.sparse import sparse_tile
from tvmtiny.schedule.implementation import FLASH_WEIGHT, Decisions, Goal
from tvmtiny.schedule.matrix_layer import Layer, split_groups

#: Limits on unrolled groups that the default rule tries, and additional ones for a tuner and the
#: rule for speed.
UNROLL_LIMITS = (4, 8, 12, 16)
_MORE_UNROLL_LIMITS = (2, 6, 20, 24, 36)

#: Instructions that expand a group of one pixel.
_EXPANSION = 7

#: Instructions per iteration of the loop over groups.
_TURN = 3

#: Cycles and instructions around the groups of one tile step, roughly, for comparing tiles.
_TILE_OVERHEAD = 20


def tile_of(decisions: Decisions) -> packing.TileShape:
    """Return the tile that decisions name."""
    if decisions["sketch"] == "sparse":
        return sparse_tile(decisions)
    if decisions["tile"] == "2x4":
        return packing.BLOCK_TILES["2x4"]
    direct = "_direct" if decisions["sketch"] in ("direct", "sums_direct") else ""
    return packing.TILES[f"{decisions['tile']}{direct}"]


def usable(
    tile: packing.TileShape, pixels: int, channels: int, most_pitch: int = packing.MOST_PITCH
) -> bool:
    """Whether a layer has enough pixels and channels for a tile, and its outputs are in reach."""
    near = tile.pixels == 1 or tile.pixels * channels <= most_pitch
    return tile.pixels <= pixels and tile.channels <= channels and near


def can_be_direct(layer: Layer, weight_format: str) -> bool:
    """Whether inputs can be read in whole groups without expanding them first."""
    return layer.geometry is None and layer.depth % packing.GROUP == 0 and weight_format == "w8"


def default_tile(
    node: Node,
    layer: Layer,
    goal: Goal,
    most_pitch: int = packing.MOST_PITCH,
    weight_format: str | None = None,
) -> dict[str, int | str] | None:
    """The default rule: the tile with the fewest estimated cycles."""
    weight_format = weight_format or "w8"
    count = packing.turns(layer.depth, weight_format)
    groups_each = 2 if weight_format == "w4" else 1

    def step_cost(tile: packing.TileShape) -> float:
        overhead = _TILE_OVERHEAD + 3 * tile.pixels * tile.channels
        each = count * groups_each * tile.cycles[weight_format] + overhead
        return each * -(-layer.group_channels // tile.channels)

    def cost(tile: packing.TileShape) -> float:
        ways: Decisions = {"weights": weight_format, "unroll": UNROLL_LIMITS[1]}
        smaller = rest_tile(node, layer, tile, ways, goal)
        if smaller is None:
            return step_cost(tile) * -(-layer.pixels // tile.pixels)
        whole, behind = counted_steps(layer.pixels, tile)
        return step_cost(tile) * whole + step_cost(smaller) * behind

    fitting = [
        tile
        for tile in packing.TILES.values()
        if not tile.direct
        and usable(tile, layer.pixels, layer.channels, most_pitch)
        and tile.channels <= layer.group_channels
    ]
    if not fitting:
        return None
    tile = min(fitting, key=cost)
    unroll = default_unroll(layer, tile, weight_format, goal)
    return {"sketch": "patches", "tile": tile.name, "weights": weight_format, "unroll": unroll}


def default_unroll(layer: Layer, tile: packing.TileShape, weight_format: str, goal: Goal) -> int:
    """Return the groups of a tile to unroll, weighing loop iterations against code size."""
    count = packing.turns(layer.depth, weight_format)
    groups_each = 2 if weight_format == "w4" else 1
    group_instructions = groups_each * tile.instructions[weight_format]

    def unroll_cost(limit: int) -> float:
        first, unroll, loops = split_groups(count, limit)
        slower = _TURN * loops / (group_instructions * count)
        larger = 4 * group_instructions * (first + unroll) / layer.weights.size
        return slower + FLASH_WEIGHT[goal] * larger

    more = _MORE_UNROLL_LIMITS if goal is Goal.SPEED else ()
    best = split_groups(count, min((*UNROLL_LIMITS, *more), key=unroll_cost))
    return next(u for u in unroll_limits(count) if split_groups(count, u) == best)


def unroll_limits(count: int) -> list[int]:
    """Limits that divide `count` groups in different ways, in ascending order."""
    ways: dict[tuple[int, int, int], int] = {}
    for limit in sorted((*UNROLL_LIMITS, *_MORE_UNROLL_LIMITS)):
        ways.setdefault(split_groups(count, limit), limit)
    return list(ways.values())


def tile_instructions(
    layer: Layer, tile: packing.TileShape, weight_format: str, rest: Rest | None = None
) -> int:
    """Estimate the instructions of a layer with a tile, and another one for the last pixels."""
    count = packing.groups(layer.depth)
    kinds = [(tile, -(-layer.pixels // tile.pixels))]
    if rest is not None:
        kinds = [(tile, counted_steps(layer.pixels, tile)[0]), (rest.tile, rest.steps)]
    total = 0
    for shape, steps in kinds:
        tiles = steps * layer.groups * -(-layer.group_channels // shape.channels)
        if not shape.direct:
            total += _EXPANSION * steps * shape.pixels * count * layer.groups
        each = count * shape.instructions[weight_format] + 4 * shape.pixels * shape.channels
        total += tiles * each
    return total
