"""CONV_2D and FULLY_CONNECTED around tile kernels: choice of the kernel, and sketches."""

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
from tvmtiny.schedule.families.dsp.default_tile import (
    UNROLL_LIMITS,
    can_be_direct,
    default_tile,
    default_unroll,
    tile_instructions,
    tile_of,
    unroll_limits,
    usable,
)
from tvmtiny.schedule.families.dsp.dense import (
    dense_instead,
    dense_sketches,
    dense_ways,
    implement_dense,
    smaller_dense,
)
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
from tvmtiny.schedule.families.dsp.patches import patches_function
from tvmtiny.schedule.families.dsp.rest import rest_of
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
    weight_zero_points,
)
from tvmtiny.schedule.scaling import Scaling

#: Within this factor, cycles of two weight formats count as equal, and fewer instructions decide.
_ALIKE = 1.04

#: Patches in pairs must take fewer cycles than this share of those of other kernels, because they
#: take a quarter more instructions, which are read from flash.
_PAIRED = 0.94

#: Sparse kernels must take fewer instructions than this share of those of dense kernels.
_WORTH = 0.97

#: Sketches that store sums.
_SUMS = ("sums", "sums_direct")


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
    whole = geometry.flat and parts == 1
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
    chosen = dict(decisions) if decisions else default_tile(node, layer, goal)
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
    if chosen["sketch"] == "dense":
        scaling = _scale(node, oracle, "p8")
        return None if scaling is None else implement_dense(node, layer, scaling, chosen)
    if decisions is None and chosen["weights"] == "w8":
        narrow = _implement_narrow(node, layer, oracle, goal)
        if narrow is not None:
            return narrow
        for better in dense_instead(layer, tile_of(chosen), chosen, goal):
            found = _implement(node, layer, oracle, goal, better.decisions)
            if found is not None:
                return found
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
    tile, weight_format = tile_of(chosen), str(chosen["weights"])
    if tile.channels > layer.group_channels or weight_format not in tile.instructions:
        return None
    if weight_format == "p8" and (layer.groups > 1 or packing.groups(layer.depth) > MOST_PAIRS):
        return None
    if tile.direct and not can_be_direct(layer, weight_format):
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
        rest = replace(rest, unroll=default_unroll(layer, rest.tile, weight_format, goal))
    function = patches_function(
        node, layer, tile, weight_format, scaling, stream.size, chosen, together, rest
    )
    return Implementation(
        function,
        (node.input(0), stream),
        chosen,
        tile_instructions(layer, tile, weight_format, rest),
        cycles=round(patches_cycles(layer, tile, chosen)),
    )


def _implement_sparse(
    node: Node, layer: Layer, scaling: Scaling, decisions: Decisions, together: Near | None
) -> Implementation:
    tile, arrangement = tile_of(decisions), arranged(layer, together)
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
    tile = tile_of(dense)
    instructions = tile_instructions(layer, tile, str(dense["weights"]))
    others = [Way(patches_cycles(layer, tile, dense), instructions, dense)]
    if packing.storable(layer.weights, "p8"):
        others += dense_ways(layer, Goal.BALANCED)[:1]
    fewer = all(
        way.instructions < _WORTH * other.instructions and way.cycles < other.cycles
        for other in others
    )
    return way.decisions if fewer else None


def _implement_narrow(
    node: Node, layer: Layer, oracle: Oracle, goal: Goal
) -> Implementation | None:
    """Return the layer with 4-bit weights; None if they do not fit 4 bits or take too long."""
    if not fits_nibbles(layer):
        return None
    chosen = default_tile(node, layer, goal, weight_format="w4")
    if chosen is None:
        return None
    worth = worth_nibbles(layer, tile_of(chosen), goal)
    return _implement(node, layer, oracle, goal, chosen) if worth else None


def _together(node: Node, layer: Layer, decisions: Decisions) -> Near | None:
    """Return how the patches of a tile are expanded together; None if they are not."""
    if decisions["sketch"] not in ("patches", "sparse"):
        return None
    return near(node, layer, tile_of(decisions), str(decisions["weights"]))


def _scale(
    node: Node, oracle: Oracle, weight_format: str, together: Near | None = None
) -> Scaling | None:
    if np.any(weight_zero_points(node)):
        return None
    return scale(node, oracle, weight_format, "" if together is None else together.kind)


def _implement_sums(
    node: Node, layer: Layer, oracle: Oracle, decisions: Decisions
) -> Implementation | None:
    tile = tile_of(decisions)
    if (
        layer.groups > 1
        or not usable(tile, layer.pixels, layer.channels, packing.MOST_SUMS_PITCH)
        or (tile.direct and not can_be_direct(layer, str(decisions["weights"])))
    ):
        return None
    return implement_sums(node, layer, oracle, tile, decisions, int(weight_zero_points(node)[0]))


def _decide_sums(node: Node, layer: Layer, oracle: Oracle, goal: Goal) -> Implementation | None:
    """The default rule if no constants are exact."""
    chosen = default_tile(node, layer, goal, packing.MOST_SUMS_PITCH)
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
        chosen = default_tile(node, layer, Goal.SPEED, weight_format=weight_format)
        if chosen is not None:
            tile = tile_of(chosen)
            instructions = tile_instructions(layer, tile, weight_format)
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
    ways += dense_ways(layer, Goal.SPEED)
    return [way.decisions for way in sorted(ways, key=lambda way: way.cycles)]


def smaller_convolution(node: Node, decisions: Decisions) -> Iterator[Decisions]:
    """Decisions with smaller patches, the fastest first."""
    if decisions["sketch"] in _SUMS:
        return
    if decisions["sketch"] == "winograd":
        for tile in sorted(packing.TILES.values(), key=lambda t: -t.pixels):
            if not tile.direct:
                unroll = UNROLL_LIMITS[0]
                yield {"sketch": "patches", "tile": tile.shape, "weights": "w16", "unroll": unroll}
        return
    if decisions["sketch"] == "dense":
        layer = plain_layer(node)
        if layer is not None and not str(decisions["tile"]).endswith("direct"):
            yield from smaller_dense(layer)
        return
    if decisions["sketch"] == "sparse":
        for other in packing.SPARSE_TILES.values():
            if other.pixels < sparse_tile(decisions).pixels:
                yield {**decisions, "tile": other.shape}
        if node.output.shape[-1] >= 4:
            yield {"sketch": "direct", "tile": "1x4", "weights": "w8", "unroll": UNROLL_LIMITS[0]}
        return
    block = decisions["sketch"] == "block"
    tile = packing.BLOCK_TILES[str(decisions["tile"])] if block else tile_of(decisions)
    unrolled: dict[str, int | str] = {"unroll": UNROLL_LIMITS[0]} if block else {}
    for other in sorted(packing.TILES.values(), key=lambda t: (-t.pixels, t.direct)):
        fits = other.channels <= node.output.shape[-1]
        if fits and (block or other.pixels < tile.pixels or (other.direct and not tile.direct)):
            sketch = "direct" if other.direct else "patches"
            changed: dict[str, int | str] = {"sketch": sketch, "tile": other.shape, **unrolled}
            kept = ("weights",) if block else ("weights", "unroll")
            changed = {**{name: decisions[name] for name in kept}, **changed}
            yield {**changed, "weights": "w8"} if changed["weights"] == "p8" else changed


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
            and usable(tile, pixels, channels)
            and tile.channels <= channels // parts
        ]
        if tiles and not (direct and depth % packing.GROUP):
            formats: tuple[str, ...] = ("w8",) if direct else ("w8", "w16")
            if narrow and not direct:
                formats = ("w4", *formats)
            shapes = [tile.shape for tile in tiles]
            paired = packing.BLOCK_TILES["2x4"]
            if not direct and parts == 1 and usable(paired, pixels, channels):
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
        sketches += dense_sketches(layer)
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
            if tile.direct == direct and usable(tile, pixels, channels, packing.MOST_SUMS_PITCH)
        ]
        if tiles and not (direct and depth % packing.GROUP):
            weights = Decision("weights", formats)
            found.append(Sketch(name, (Decision("tile", tuple(tiles)), weights, unrolls)))
    return found
