"""FULLY_CONNECTED and 1x1 CONV_2D of one pixel around ``tvmtiny_dsp_dense.h``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tvmtiny.ops import Node
from tvmtiny.schedule import nest
from tvmtiny.schedule.families.dsp import packing
from tvmtiny.schedule.families.dsp.fastest import Way
from tvmtiny.schedule.implementation import (
    FLASH_WEIGHT,
    Decision,
    Decisions,
    Goal,
    Implementation,
    Sketch,
)
from tvmtiny.schedule.matrix_layer import Layer, patch_distance, split_groups
from tvmtiny.schedule.overlap import Overlap
from tvmtiny.schedule.scaling import Scaling

HEADERS = (
    "tvmtiny_dsp.h",
    "tvmtiny_dsp_patch.h",
    "tvmtiny_dsp_tile.h",
    "tvmtiny_dsp_dense.h",
)

#: Channels of a tile, and of the tiles that follow those of six.
_FOUR, _SIX = 4, 6

#: The most groups of a stream that is addressed by offsets, and of a patch of a layer.
_MOST_OFFSETS, _MOST_GROUPS = 160, 4096

#: Instructions of the kernels of ``tvmtiny_dsp_tile.h`` for one pixel: of a tile's constants and
#: outputs, of an iteration, of a call, and of the expansion of a group.
_TILE_AROUND, _TILE_TURN, _TILE_CALL, _EXPANSION = 19, 3, 14, 7

#: Instructions or cycles per weight, roughly.
_PER_WEIGHT = 0.8

#: The most pairs of groups in an iteration of the few tiles of four channels behind tiles of six:
#: with a patch, and without.
_MOST_STEP = (4, 1)

#: Pairs of groups in an iteration, apart from all of them.
_UNROLLS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16)

#: The most instructions of an iteration, unless the goal is speed.
_MOST_SHORT = 200


@dataclass(frozen=True)
class _Costs:
    """Cycles on Cortex-M4 (Arm DDI 0439, 3.3.1), or instructions, of the parts of a kernel.

    Attributes
    ----------
    pair, group
        Two groups of inputs of a tile, and one.
    tile
        The constants and outputs of a tile.
    signed
        An output that is rounded by sign, in addition.
    open, turn
        The iterations of a tile, and one of them, in addition.
    total
        The sum of the products of a group's inputs, and its expansion.
    prepare
        A call of the function that does this.
    call
        Call, entry and exit.
    """

    pair: int
    group: int
    tile: int
    signed: int
    open: int
    turn: int
    total: float
    prepare: int
    call: int


@dataclass(frozen=True)
class _Tile:
    """A kernel: channels of a tile, whether it reads inputs without a patch, and its costs."""

    channels: int
    direct: bool
    cycles: _Costs
    instructions: _Costs

    @property
    def name(self) -> str:
        """The name in decisions."""
        return f"1x{self.channels}{'_direct' * self.direct}"


_TILES = {
    tile.name: tile
    for tile in (
        _Tile(
            _FOUR,
            False,
            _Costs(35, 18, 39, 6, 0, 6, 8.8, 45, 50),
            _Costs(23, 12, 24, 3, 0, 3, 5.8, 32, 22),
        ),
        _Tile(
            _SIX,
            False,
            _Costs(50, 25, 48, 6, 6, 8, 8.8, 45, 50),
            _Costs(46, 23, 43, 3, 5, 5, 5.8, 32, 22),
        ),
        _Tile(
            _FOUR,
            True,
            _Costs(38, 19, 39, 6, 0, 6, 6.3, 45, 50),
            _Costs(28, 14, 24, 3, 0, 3, 5.2, 32, 22),
        ),
        _Tile(
            _SIX,
            True,
            _Costs(53, 27, 53, 6, 0, 6, 6.3, 45, 50),
            _Costs(39, 20, 33, 3, 0, 3, 5.2, 32, 22),
        ),
    )
}


@dataclass(frozen=True)
class _Plan:
    """Sizes that follow from decisions.

    Attributes
    ----------
    sixes, fours
        Tiles of six and of four channels.
    first, unroll, loops
        Groups that are unrolled, and the pairs of groups of each of the iterations that follow.
    step
        The pairs of groups of an iteration of tiles of four channels.
    """

    tile: _Tile
    sixes: int
    fours: int
    first: int
    unroll: int
    loops: int
    step: int

    @property
    def kernels(self) -> Iterator[tuple[int, _Tile, int]]:
        """Numbers of tiles, their kernels, and the pairs of groups of an iteration."""
        if self.sixes:
            yield self.sixes, self.tile, self.unroll
        if self.fours:
            yield self.fours, _four(self.tile), self.step

    @property
    def code_bytes(self) -> int:
        """The size of the kernel, roughly."""
        body = sum(
            tile.instructions.group * self.first
            + tile.instructions.pair * unroll
            + tile.instructions.tile
            + tile.instructions.call
            for _, tile, unroll in self.kernels
        )
        return 4 * body

    def total(self, layer: Layer, cycles: bool, signed: bool = False) -> float:
        """Sum up the cycles or the instructions of a layer."""
        around = self.tile.cycles if cycles else self.tile.instructions
        total = around.prepare + around.total * packing.groups(layer.depth)
        if self.tile.channels == _FOUR and layer.channels % _FOUR:
            total += around.call
        pairs = self.unroll * self.loops
        for count, tile, unroll in self.kernels:
            costs = tile.cycles if cycles else tile.instructions
            total += costs.call
            each = costs.tile + costs.group * self.first + costs.pair * pairs
            if pairs > unroll:
                each += costs.open + costs.turn * (pairs // unroll)
            each += signed * costs.signed * tile.channels
            total += count * each
        return total


@dataclass(frozen=True)
class _Part:
    """A call: the kernel, pairs of groups of an iteration, iterations, and channels in order."""

    tile: _Tile
    unroll: int
    loops: int
    channels: list[int]


def _parts(plan: _Plan, channels: int) -> list[_Part]:
    """Return the calls for a layer with `channels` channels."""
    pairs, first, found = plan.unroll * plan.loops, 0, []
    for count, tile, unroll in plan.kernels:
        end = min(first + count * tile.channels, channels)
        whole = end - (end - first) % tile.channels
        loops = pairs // unroll if unroll else 0
        found.append(_Part(tile, unroll, loops, list(range(first, whole))))
        if whole < end:
            # If tiles do not divide the channels, the last tile overlaps the previous one.
            found.append(_Part(tile, unroll, loops, list(range(end - tile.channels, end))))
        first = end
    return found


def _four(tile: _Tile) -> _Tile:
    """Return the kernel of four channels with the same inputs."""
    return _TILES[f"1x4{'_direct' * tile.direct}"]


def _plan(layer: Layer, decisions: Decisions) -> _Plan | None:
    """Return the sizes; None if the kernel does not support the layer."""
    tile, unroll = _TILES[str(decisions["tile"])], int(decisions["unroll"])
    count, channels = packing.groups(layer.depth), layer.channels
    if (
        layer.pixels > 1
        or layer.geometry is not None
        or layer.groups > 1
        or channels < tile.channels
        or count > _MOST_GROUPS
        or (tile.direct and layer.depth % packing.GROUP)
    ):
        return None
    sixes, fours = 0, -(-channels // _FOUR)
    if tile.channels == _SIX:
        if channels % 2 or channels == 8:
            return None
        # Two or no tiles of four channels, or one, leave a multiple of six.
        fours = (channels % _SIX) // 2 * 2 % 3
        sixes = (channels - _FOUR * fours) // _SIX
    pairs = count // 2
    unroll = min(unroll, pairs)
    loops = pairs // unroll if unroll else 0
    step = unroll
    if tile.channels == _SIX:
        most = _MOST_STEP[tile.direct]
        step = max((n for n in range(1, most + 1) if unroll * loops % n == 0), default=1)
    plan = _Plan(tile, sixes, fours, count - 2 * unroll * loops, unroll, loops, step)
    if tile.name == "1x6" and loops < 2 and count > _MOST_OFFSETS:
        return None
    return plan


def _ways(layer: Layer) -> Iterator[tuple[dict[str, int | str], _Plan]]:
    """Yield all different decisions for a layer."""
    pairs = packing.groups(layer.depth) // 2
    for name in _TILES:
        found = set()
        for unroll in (*(u for u in _UNROLLS if u < pairs), max(pairs, 1)):
            if unroll > _UNROLLS[-1]:
                continue
            way: dict[str, int | str] = {"sketch": "dense", "tile": name, "unroll": unroll}
            plan = _plan(layer, way)
            if plan is not None and (plan.first, plan.unroll, plan.loops) not in found:
                found.add((plan.first, plan.unroll, plan.loops))
                yield way, plan


def dense_sketches(layer: Layer | None) -> tuple[Sketch, ...]:
    """Sketches of a layer, which has no weight zero points."""
    ways = [] if layer is None else [way for way, _ in _ways(layer)]
    if not ways:
        return ()
    decisions = (
        Decision(name, tuple(dict.fromkeys(way[name] for way in ways)))
        for name in ("tile", "unroll")
    )
    return (Sketch("dense", tuple(decisions)),)


def _best(layer: Layer, goal: Goal, direct: bool) -> list[tuple[Way, int]]:
    """Return the best decisions for each kernel and the bytes of its code, the best one first."""
    found = [
        (Way(plan.total(layer, True), round(plan.total(layer, False)), way), plan.code_bytes)
        for way, plan in _ways(layer)
        if plan.tile.direct == direct
        and (goal is Goal.SPEED or plan.unroll * plan.tile.instructions.pair <= _MOST_SHORT)
    ]
    best: dict[str, tuple[Way, int]] = {}
    for way, code in sorted(found, key=lambda made: _weigh(layer, goal, *made)):
        best.setdefault(str(way.decisions["tile"]), (way, code))
    return list(best.values())


def _weigh(layer: Layer, goal: Goal, way: Way, code: int) -> float:
    """Return the cost per weight of the layer; code counts as `FLASH_WEIGHT` says."""
    figure = way.cycles if goal is Goal.SPEED else way.instructions
    return (figure + FLASH_WEIGHT[goal] * _PER_WEIGHT * code) / layer.weights.size


def dense_ways(layer: Layer, goal: Goal) -> list[Way]:
    """Return the best way of each kernel with a patch, the best one first."""
    return [way for way, _ in _best(layer, goal, False)]


def dense_instead(
    layer: Layer, tile: packing.TileShape, decisions: Decisions, goal: Goal
) -> list[Way]:
    """Return the ways that are better than a tile kernel for a goal other than speed."""
    if goal is Goal.SPEED or layer.pixels > 1 or layer.groups > 1 or layer.geometry is not None:
        return []
    count = packing.groups(layer.depth)
    first, unroll, loops = split_groups(count, int(decisions["unroll"]))
    group = tile.instructions[str(decisions["weights"])]
    tiles = -(-layer.channels // tile.channels)
    instructions = tiles * (count * group + _TILE_AROUND + _TILE_TURN * loops)
    instructions += _TILE_CALL + _EXPANSION * count
    code = 4 * (group * (first + unroll) + _TILE_CALL + _TILE_AROUND)
    known = _weigh(layer, goal, Way(0.0, instructions, decisions), code)
    found = _best(layer, goal, False)
    return [way for way, code in found if _weigh(layer, goal, way, code) < known]


def smaller_dense(layer: Layer) -> Iterator[Decisions]:
    """Yield decisions without a patch, the best one first."""
    for way, _ in _best(layer, Goal.BALANCED, True):
        yield way.decisions


def implement_dense(
    node: Node, layer: Layer, scaling: Scaling, decisions: Decisions
) -> Implementation | None:
    """Implement the layer; None if the kernels do not support it."""
    plan = _plan(layer, decisions)
    if plan is None:
        return None
    tile, rounding = plan.tile, "SIGNED" if scaling.signed else "PLAIN"
    streams, preamble, calls = [], [], []
    divisible: dict[str, nest.Divisible] = {}
    for part in _parts(plan, layer.channels):
        sizes = (plan.first, part.unroll, part.loops, scaling.shift)
        width = part.tile.channels
        name = f"dense_{part.tile.name}_{'_'.join(map(str, sizes))}_{rounding.lower()}"
        streams.append(pack_dense(layer.weights, scaling, part.channels, width))
        words = streams[-1].size * width // len(part.channels)
        divisible[name] = nest.Divisible(name, {1: words, 2: width}, {3: words})
        macro, numbers = f"TVMTINY_DENSE_{part.tile.name.upper()}_P8", ", ".join(map(str, sizes))
        preamble.append(f"{macro}({name}, {numbers}, {rounding})")
        calls.append((name, part.channels[0]))
    stream = np.concatenate(streams)
    x = nest.buffer("x", node.input(0).elements, "int8")
    weights = nest.buffer("stream", stream.size, "int32")
    out = nest.buffer("out", node.output.elements, "int8")
    total = nest.buffer("total", 1, "int32")
    patches = nest.buffer("patches", 2 * packing.groups(layer.depth), "uint32")
    inputs, sum_up, overlaps = nest.address(x), "tvmtiny_dense_total", []
    prepared = [inputs, layer.depth, nest.address(total)]
    if not tile.direct:
        inputs, sum_up = nest.address(patches), "tvmtiny_dense_expand"
        prepared.insert(0, inputs)
        # Each word of inputs is read before it is written as two words.
        overlaps = [
            Overlap("out", 0, patch_distance(node, layer, 1)),
            Overlap("patches", 0, layer.depth),
        ]
    body = [nest.call(sum_up, *prepared)]
    ends = np.cumsum([0, *(part.size for part in streams)]).tolist()
    for (name, channel), start, end in zip(calls, ends, ends[1:], strict=False):
        words_of = nest.address(weights, start), nest.address(weights, end)
        to = nest.address(out, channel)
        body.append(nest.call(name, inputs, words_of[0], to, words_of[1], nest.address(total)))
    by_sign = ", rounding by sign" if scaling.signed else ""
    function = nest.function(
        [x, weights, out],
        [total] if tile.direct else [patches, total],
        body,
        operator=node.operator,
        schedule=f"dsp, tile {tile.name}, p8, inner products, "
        f"{'no patches' if tile.direct else 'pixels'}, unroll {2 * plan.unroll}{by_sign}",
        headers=HEADERS,
        preamble=list(dict.fromkeys(preamble)),
        overlaps=overlaps,
        divisible=list(divisible.values()),
    )
    return Implementation(
        function,
        (node.input(0), stream),
        decisions,
        round(plan.total(layer, False, scaling.signed)),
        cycles=round(plan.total(layer, True, scaling.signed)),
    )


def pack_dense(weights: np.ndarray, scaling: Scaling, order: list[int], width: int) -> np.ndarray:
    """Arrange weights of pairs of channels, and their constants, for tiles of `width` channels.

    Parameters
    ----------
    weights
        int8, ``(channels, depth)``.
    order
        The channels of all tiles.

    Returns
    -------
    np.ndarray
        int32; see ``tvmtiny_dsp_dense.h``.
    """
    tiles, half = len(order) // width, width // 2
    found = packing.grouped(weights)[order]
    pairs = packing.channel_pairs(found).reshape(tiles, half, -1, 2, 2)
    # (tile, pair, group, half of its words, lane) -> (tile, group, pair, half, lane)
    body = packing.words(pairs[:, :, :, 0], pairs[:, :, :, 1]).transpose(0, 2, 1, 3)
    lower = found[::2]
    excess = (lower[:, :, ::2] * lower[:, :, 1::2]).sum(axis=(1, 2)).reshape(tiles, half)
    initial = scaling.initial[order].astype(np.int64).reshape(tiles, half, 2)
    constants = [c for c in (scaling.multiplier, scaling.offset, scaling.step) if c is not None]
    last = np.stack([c[order] for c in constants], axis=1).reshape(tiles, half, 2, -1)
    parts = [
        initial[:, :, 1] + excess,
        body.reshape(tiles, -1),
        initial[:, :, 0] - 256 * excess,
        last[:, :, ::-1].transpose(0, 2, 1, 3).reshape(tiles, -1),
    ]
    # Accumulators are sums modulo 2^32.
    return np.concatenate(parts, axis=1).astype(np.uint32).view(np.int32).ravel()
