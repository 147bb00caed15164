"""CONV_2D and FULLY_CONNECTED around tile kernels: choice of the kernel, and the default rule."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import prod

import numpy as np

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.conv_2d import groups
from tvmtiny.ops.shared.primfunc_attributes import OPERATOR_ATTR
from tvmtiny.ops.shared.sliding_window import window
from tvmtiny.schedule.families.dsp import packing
from tvmtiny.schedule.families.dsp.block import block_sketches, implement_block
from tvmtiny.schedule.families.dsp.fastest import (
    MOST_PAIRS,
    Way,
    paired_patches,
    patches_cycles,
    single_cycles,
    single_patches,
)
from tvmtiny.schedule.families.dsp.layer import scale
from tvmtiny.schedule.families.dsp.near import Near, arranged, near
from tvmtiny.schedule.families.dsp.nibble import fits_nibbles, is_simple, worth_nibbles
from tvmtiny.schedule.families.dsp.patches import Rest, patches_function
from tvmtiny.schedule.families.dsp.rest import counted_steps, rest_of, rest_tile
from tvmtiny.schedule.families.dsp.sparse import (
    pack_sparse,
    sparse_cost,
    sparse_sketches,
    sparse_tile,
    sparse_way,
)
from tvmtiny.schedule.families.dsp.sums_layer import implement_sums
from tvmtiny.schedule.families.dsp.winograd import (
    implement_winograd,
    winograd_cycles,
    winograd_sketches,
)
from tvmtiny.schedule.implementation import (
    FLASH_WEIGHT,
    Decision,
    Decisions,
    Goal,
    Implementation,
    Sketch,
)
from tvmtiny.schedule.matrix_layer import (
    Layer,
    as_convolution,
    plain_layer,
    split_groups,
    weight_zero_points,
)
from tvmtiny.schedule.requantize import Scaling

#: Limits on unrolled groups that the default rule tries, and additional ones for a tuner and the
#: rule for speed.
_UNROLL_LIMITS = (4, 8, 12, 16)
_MORE_UNROLL_LIMITS = (2, 6, 20, 24, 36)

#: Within this factor, cycles of two weight formats count as equal, and fewer instructions decide.
_ALIKE = 1.04

#: Patches in pairs must take fewer cycles than this share of those of other kernels, because they
#: take a quarter more instructions, which are read from flash.
_PAIRED = 0.94

#: Sparse kernels must take fewer instructions than this share of those of dense kernels.
_WORTH = 0.97

#: Sketches that store sums.
_SUMS = ("sums", "sums_direct")

#: Instructions that expand a group of one pixel.
_EXPANSION = 7

#: Instructions per iteration of the loop over groups.
_TURN = 3

#: Cycles and instructions around the groups of one tile step, roughly, for comparing tiles.
_TILE_OVERHEAD = 20

#: Outputs of neighbouring pixels must be within reach of STRB's immediate.
_MOST_PITCH = 2047

#: Sums of neighbouring pixels must be within reach of STR's immediate.
_MOST_SUMS_PITCH = 1020


def implement_convolution(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement CONV_2D in int8; None if the micro-kernels cannot be used."""
    weights = node.input(1)
    assert weights.data is not None
    channels, height, width, _ = weights.shape
    geometry, parts = window(node, (height, width)), groups(node)
    if np.any(weight_zero_points(node)):
        return None
    flat = weights.data.reshape(channels, -1)
    pixels = node.output.shape[0] * prod(geometry.output)
    whole = geometry.trivial and parts == 1
    layer = Layer(flat, pixels, None if whole else geometry, node.input(0).zero_point, parts)
    return _implement(node, layer, oracle, goal, decisions)


def implement_multiplied(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement DEPTHWISE_CONV_2D with several filters per channel as a CONV_2D in groups."""
    made = implement_convolution(as_convolution(node), oracle, goal, decisions)
    if made is None:
        return None
    return replace(made, function=made.function.with_attr(OPERATOR_ATTR, node.operator))


def implement_fully_connected(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement FULLY_CONNECTED in int8; None if the micro-kernels cannot be used."""
    weights = node.input(1)
    assert weights.data is not None
    layer = Layer(weights.data, node.input(0).elements // weights.shape[1], None, 0)
    return _implement(node, layer, oracle, goal, decisions)


def _implement(
    node: Node,
    layer: Layer,
    oracle: Oracle,
    goal: Goal,
    decisions: Decisions | None,
) -> Implementation | None:
    if decisions is None and goal is Goal.SPEED:
        for way in _fastest(node, layer):
            found = _implement(node, layer, oracle, goal, way)
            if found is not None:
                return found
    chosen = dict(decisions) if decisions else _decide(node, layer, goal)
    if chosen is None:
        return None
    if decisions is None:
        sparse = _sparse_instead(node, layer, chosen)
        found = None if sparse is None else _implement(node, layer, oracle, goal, sparse)
        if found is not None:
            return found
    if chosen["sketch"] == "winograd":
        scaling = _scale(node, oracle, "w16")
        return None if scaling is None else implement_winograd(node, layer, scaling, chosen)
    if decisions is None and chosen["weights"] == "w8":
        narrow = _implement_narrow(node, layer, oracle, goal)
        if narrow is not None:
            return narrow
    if chosen["sketch"] in _SUMS:
        return _implement_sums(node, layer, oracle, chosen)
    if chosen["weights"] == "w4" and not fits_nibbles(layer):
        return None
    together = _together(node, layer, chosen)
    scaling = _scale(node, oracle, str(chosen["weights"]), together)
    if scaling is None and together is not None:
        together, scaling = None, _scale(node, oracle, str(chosen["weights"]))
    if scaling is None and decisions is None and chosen["weights"] == "w8":
        chosen["weights"] = "w16"
        together = _together(node, layer, chosen)
        scaling = _scale(node, oracle, "w16", together)
    if scaling is None:
        return None if decisions else _decide_sums(node, layer, oracle, goal)
    if chosen["sketch"] == "block" and not is_simple(layer):
        return None
    if chosen["sketch"] == "block":
        made = implement_block(node, layer, scaling, chosen)
        return made and replace(made, cycles=round(single_cycles(layer, chosen)))
    tile, weight_format = _tile(chosen), str(chosen["weights"])
    if tile.channels > layer.group_channels or weight_format not in tile.instructions:
        return None
    if weight_format == "p8" and (layer.groups > 1 or packing.groups(layer.depth) > MOST_PAIRS):
        return None
    if tile.direct and not _can_be_direct(layer, weight_format):
        return None
    if chosen["sketch"] == "sparse":
        return _implement_sparse(node, layer, scaling, chosen, together)
    layer = arranged(layer, together)
    if weight_format == "p8":
        stream = packing.pack_pairs(layer.weights, scaling, tile)
    else:
        stream = packing.pack_groups(layer.weights, scaling, tile, weight_format, layer.groups)
    rest = rest_of(node, layer, tile, chosen, goal, together)
    if rest is not None:
        rest = replace(rest, unroll=_unroll(layer, rest.tile, weight_format, goal))
    function = patches_function(
        node, layer, tile, weight_format, scaling, stream.size, chosen, together, rest
    )
    return Implementation(
        function,
        (node.input(0), stream),
        chosen,
        _instructions(layer, tile, weight_format, rest),
        cycles=round(patches_cycles(layer, tile, chosen)),
    )


def _implement_sparse(
    node: Node, layer: Layer, scaling: Scaling, decisions: Decisions, together: Near | None
) -> Implementation:
    tile, arrangement = _tile(decisions), arranged(layer, together)
    stream = pack_sparse(arrangement.weights, scaling, tile)
    function = patches_function(
        node, arrangement, tile, "w8", scaling, stream.size, decisions, together
    )
    way = sparse_cost(layer, tile, together, decisions)
    return Implementation(
        function, (node.input(0), stream), decisions, way.instructions, cycles=round(way.cycles)
    )


def _sparse_instead(node: Node, layer: Layer, dense: Decisions) -> Decisions | None:
    """Sparse kernels, if enough zeros make them the faster ones."""
    way = None if fits_nibbles(layer) else sparse_way(node, layer)
    if way is None:
        return None
    tile = _tile(dense)
    instructions = _instructions(layer, tile, str(dense["weights"]))
    fewer = way.instructions < _WORTH * instructions
    return way.decisions if fewer and way.cycles < patches_cycles(layer, tile, dense) else None


def _implement_narrow(
    node: Node, layer: Layer, oracle: Oracle, goal: Goal
) -> Implementation | None:
    """Return the layer with 4-bit weights; None if they do not fit 4 bits or take too long."""
    if not fits_nibbles(layer):
        return None
    chosen = _decide(node, layer, goal, weight_format="w4")
    if chosen is None:
        return None
    worth = worth_nibbles(layer, _tile(chosen), goal)
    return _implement(node, layer, oracle, goal, chosen) if worth else None


def _together(node: Node, layer: Layer, decisions: Decisions) -> Near | None:
    """How the patches of a tile are expanded together; None if they are not."""
    if decisions["sketch"] not in ("patches", "sparse"):
        return None
    return near(node, layer, _tile(decisions), str(decisions["weights"]))


def _scale(
    node: Node, oracle: Oracle, weight_format: str, together: Near | None = None
) -> Scaling | None:
    if np.any(weight_zero_points(node)):
        return None
    return scale(node, oracle, weight_format, "" if together is None else together.kind)


def _implement_sums(
    node: Node, layer: Layer, oracle: Oracle, decisions: Decisions
) -> Implementation | None:
    tile = _tile(decisions)
    if (
        layer.groups > 1
        or not _usable(tile, layer.pixels, layer.channels, _MOST_SUMS_PITCH)
        or (tile.direct and not _can_be_direct(layer, str(decisions["weights"])))
    ):
        return None
    return implement_sums(node, layer, oracle, tile, decisions, int(weight_zero_points(node)[0]))


def _decide_sums(node: Node, layer: Layer, oracle: Oracle, goal: Goal) -> Implementation | None:
    """The default rule if no constants are exact."""
    chosen = _decide(node, layer, goal, _MOST_SUMS_PITCH)
    if chosen is None:
        return None
    ways = [{**chosen, "sketch": "sums", "weights": w} for w in (chosen["weights"], "w16")]
    one_tile = packing.TILES["1x4"]
    if (
        layer.channels == one_tile.channels
        and chosen["tile"] == one_tile.shape
        and chosen["weights"] == "w8"
    ):
        # Expanding inputs takes longer than reading them once directly.
        ways.insert(0, {**chosen, "sketch": "sums_direct"})
    tried = (_implement_sums(node, layer, oracle, way) for way in ways)
    return next((found for found in tried if found is not None), None)


def _fastest(node: Node, layer: Layer) -> list[Decisions]:
    """Decisions for speed, those with the fewest cycles first."""
    ways = list(single_patches(layer))
    formats: list[Way] = []
    for weight_format in ("w8", "w16"):
        chosen = _decide(node, layer, Goal.SPEED, weight_format=weight_format)
        if chosen is not None:
            tile = _tile(chosen)
            instructions = _instructions(layer, tile, weight_format)
            formats.append(Way(patches_cycles(layer, tile, chosen), instructions, chosen))
    least = min((way.cycles for way in formats), default=0.0)
    alike = [way for way in formats if way.cycles <= least * _ALIKE]
    ways += sorted(alike, key=lambda way: way.instructions)[:1]
    unroll = unroll_limits(packing.groups(layer.depth))[-1]
    ways += (way for way in paired_patches(layer, unroll) if way.cycles < least * _PAIRED)
    sparse = sparse_way(node, layer)
    if sparse is not None:
        ways.append(sparse)
    transformed = winograd_cycles(node)
    if transformed is not None:
        ways.append(Way(transformed, 0, {"sketch": "winograd"}))
    return [way.decisions for way in sorted(ways, key=lambda way: way.cycles)]


def _instructions(
    layer: Layer, tile: packing.TileShape, weight_format: str, rest: Rest | None = None
) -> int:
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


def smaller_convolution(node: Node, decisions: Decisions) -> Iterator[Decisions]:
    """Decisions with smaller patches, the fastest first."""
    if decisions["sketch"] in _SUMS:
        return
    if decisions["sketch"] == "winograd":
        for tile in sorted(packing.TILES.values(), key=lambda t: -t.pixels):
            if not tile.direct:
                unroll = _UNROLL_LIMITS[0]
                yield {"sketch": "patches", "tile": tile.shape, "weights": "w16", "unroll": unroll}
        return
    if decisions["sketch"] == "sparse":
        for other in packing.SPARSE_TILES.values():
            if other.pixels < sparse_tile(decisions).pixels:
                yield {**decisions, "tile": other.shape}
        if node.output.shape[-1] >= 4:
            yield {"sketch": "direct", "tile": "1x4", "weights": "w8", "unroll": _UNROLL_LIMITS[0]}
        return
    block = decisions["sketch"] == "block"
    tile = packing.BLOCK_TILES[str(decisions["tile"])] if block else _tile(decisions)
    unrolled: dict[str, int | str] = {"unroll": _UNROLL_LIMITS[0]} if block else {}
    for other in sorted(packing.TILES.values(), key=lambda t: (-t.pixels, t.direct)):
        fits = other.channels <= node.output.shape[-1]
        if fits and (block or other.pixels < tile.pixels or (other.direct and not tile.direct)):
            sketch = "direct" if other.direct else "patches"
            changed: dict[str, int | str] = {"sketch": sketch, "tile": other.shape, **unrolled}
            kept = ("weights",) if block else ("weights", "unroll")
            changed = {**{name: decisions[name] for name in kept}, **changed}
            yield {**changed, "weights": "w8"} if changed["weights"] == "p8" else changed


def _tile(decisions: Decisions) -> packing.TileShape:
    if decisions["sketch"] == "sparse":
        return sparse_tile(decisions)
    if decisions["tile"] == "2x4":
        return packing.BLOCK_TILES["2x4"]
    direct = "_direct" if decisions["sketch"] in ("direct", "sums_direct") else ""
    return packing.TILES[f"{decisions['tile']}{direct}"]


def convolution_sketches(node: Node, oracle: Oracle) -> tuple[Sketch, ...]:
    """Sketches of a CONV_2D or FULLY_CONNECTED around the tile kernels."""
    weights = node.input(1)
    assert weights.data is not None
    channels, depth = weights.shape[0], prod(weights.shape[1:])
    parts = groups(node) if node.operator == "CONV_2D" else 1
    pixels = node.output.elements // channels
    limits = set(unroll_limits(packing.groups(depth)))
    narrow = parts == 1 and packing.storable(weights.data.reshape(channels, -1), "w4")
    if narrow:
        limits |= set(unroll_limits(packing.turns(depth, "w4")))
    unrolls = Decision("unroll", tuple(sorted(limits)))
    sketches = []
    for direct in (False, True):
        tiles = [
            tile
            for tile in packing.TILES.values()
            if tile.direct == direct
            and _usable(tile, pixels, channels)
            and tile.channels <= channels // parts
        ]
        if tiles and not (direct and depth % packing.GROUP):
            formats: tuple[str, ...] = ("w8",) if direct else ("w8", "w16")
            if narrow and not direct:
                formats = ("w4", *formats)
            shapes = [tile.shape for tile in tiles]
            paired = packing.BLOCK_TILES["2x4"]
            if not direct and parts == 1 and _usable(paired, pixels, channels):
                shapes, formats = [*shapes, paired.shape], (*formats, "p8")
            decisions = (
                Decision("tile", tuple(shapes)),
                Decision("weights", formats),
                unrolls,
            )
            sketches.append(Sketch("direct" if direct else "patches", decisions))
    if np.any(weight_zero_points(node)):
        sketches.clear()
    else:
        layer = plain_layer(node)
        sketches += [*block_sketches(node), *winograd_sketches(node)]
        sketches += () if layer is None else sparse_sketches(layer)
    if parts == 1 and _scale(node, oracle, "w8") is None:
        sketches += _sums_sketches(pixels, channels, depth, unrolls)
    return tuple(sketches)


def _sums_sketches(pixels: int, channels: int, depth: int, unrolls: Decision) -> list[Sketch]:
    """The sketches that need no exact constants."""
    found = []
    for name, formats in (("sums", ("w8", "w16")), ("sums_direct", ("w8",))):
        direct = name == "sums_direct"
        tiles = [
            tile.shape
            for tile in packing.TILES.values()
            if tile.direct == direct and _usable(tile, pixels, channels, _MOST_SUMS_PITCH)
        ]
        if tiles and not (direct and depth % packing.GROUP):
            weights = Decision("weights", formats)
            found.append(Sketch(name, (Decision("tile", tuple(tiles)), weights, unrolls)))
    return found


def _usable(
    tile: packing.TileShape, pixels: int, channels: int, most_pitch: int = _MOST_PITCH
) -> bool:
    near = tile.pixels == 1 or tile.pixels * channels <= most_pitch
    return tile.pixels <= pixels and tile.channels <= channels and near


def _can_be_direct(layer: Layer, weight_format: str) -> bool:
    """Whether inputs can be read in whole groups without expanding them first."""
    return layer.geometry is None and layer.depth % packing.GROUP == 0 and weight_format == "w8"


def _decide(
    node: Node,
    layer: Layer,
    goal: Goal,
    most_pitch: int = _MOST_PITCH,
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
        ways: Decisions = {"weights": weight_format, "unroll": _UNROLL_LIMITS[1]}
        smaller = rest_tile(node, layer, tile, ways, goal)
        if smaller is None:
            return step_cost(tile) * -(-layer.pixels // tile.pixels)
        whole, behind = counted_steps(layer.pixels, tile)
        return step_cost(tile) * whole + step_cost(smaller) * behind

    usable = [
        tile
        for tile in packing.TILES.values()
        if not tile.direct
        and _usable(tile, layer.pixels, layer.channels, most_pitch)
        and tile.channels <= layer.group_channels
    ]
    if not usable:
        return None
    tile = min(usable, key=cost)
    unroll = _unroll(layer, tile, weight_format, goal)
    return {"sketch": "patches", "tile": tile.name, "weights": weight_format, "unroll": unroll}


def _unroll(layer: Layer, tile: packing.TileShape, weight_format: str, goal: Goal) -> int:
    """How many groups of a tile to unroll, weighing loop iterations against code size."""
    count = packing.turns(layer.depth, weight_format)
    groups_each = 2 if weight_format == "w4" else 1
    group_instructions = groups_each * tile.instructions[weight_format]

    def unroll_cost(limit: int) -> float:
        first, unroll, loops = split_groups(count, limit)
        slower = _TURN * loops / (group_instructions * count)
        larger = 4 * group_instructions * (first + unroll) / layer.weights.size
        return slower + FLASH_WEIGHT[goal] * larger

    more = _MORE_UNROLL_LIMITS if goal is Goal.SPEED else ()
    best = split_groups(count, min((*_UNROLL_LIMITS, *more), key=unroll_cost))
    return next(u for u in unroll_limits(count) if split_groups(count, u) == best)


def unroll_limits(count: int) -> list[int]:
    """Limits that divide `count` groups in different ways, in ascending order."""
    ways: dict[tuple[int, int, int], int] = {}
    for limit in sorted((*_UNROLL_LIMITS, *_MORE_UNROLL_LIMITS)):
        ways.setdefault(split_groups(count, limit), limit)
    return list(ways.values())
