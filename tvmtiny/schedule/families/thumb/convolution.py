"""CONV_2D and FULLY_CONNECTED: which kernel, and the default rule."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.conv_2d import groups
from tvmtiny.ops.shared.sliding_window import window
from tvmtiny.schedule.families.thumb.pairs import PIXELS, implement_pairs
from tvmtiny.schedule.families.thumb.single import TILES, implement_single
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
    matrix_scaling,
    split_groups,
    weight_zero_points,
)
from tvmtiny.schedule.per_node import per_node
from tvmtiny.schedule.requantize import Scaling
from tvmtiny.targets import Cpu

#: Largest immediate offset of STRB.
_OFFSET = 4095

#: Inputs that a kernel may unroll at most.
_UNROLLS = (8, 16, 32, 64)

#: The longest chunk of products that the default rule takes, by goal, and what a tuner may choose.
_LONGEST = {Goal.SPEED: 8, Goal.BALANCED: 4, Goal.SIZE: 2}
_LONGESTS = (1, 2, 3, 4, 6, 8)

#: Instructions of a turn of the loop over inputs.
_TURN = 4


def implement_convolution(
    node: Node, cpu: Cpu, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """CONV_2D in int8; None where the micro-kernels cannot be used or proven exact."""
    weights = node.input(1)
    assert weights.data is not None
    channels, height, width, _ = weights.shape
    geometry = window(node, (height, width))
    if groups(node) > 1 or np.any(weight_zero_points(node)):
        return None
    flat = weights.data.reshape(channels, -1)
    pixels = node.output.shape[0] * prod(geometry.output)
    layer = Layer(flat, pixels, None if geometry.trivial else geometry, node.input(0).zero_point)
    return _implement(node, layer, cpu, oracle, goal, decisions)


def implement_fully_connected(
    node: Node, cpu: Cpu, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """FULLY_CONNECTED in int8; None where the micro-kernels cannot be used or proven exact."""
    weights = node.input(1)
    assert weights.data is not None
    if np.any(weight_zero_points(node)):
        return None
    layer = Layer(weights.data, node.input(0).elements // weights.shape[1], None, 0)
    return _implement(node, layer, cpu, oracle, goal, decisions)


def _implement(
    node: Node,
    layer: Layer,
    cpu: Cpu,
    oracle: Oracle,
    goal: Goal,
    decisions: Decisions | None,
) -> Implementation | None:
    chosen = decisions or _decide(node, layer, cpu, goal)
    if chosen is None or (layer.geometry is not None and chosen["sketch"] == "single"):
        return None
    scaling = _scale(node, oracle)
    if scaling is None:
        return None
    implement = implement_pairs if chosen["sketch"] == "pairs" else implement_single
    return implement(node, layer, scaling, chosen)


@per_node
def _scale(node: Node, oracle: Oracle) -> Scaling | None:
    return matrix_scaling(node, oracle)


def smaller_convolution(node: Node, decisions: Decisions) -> Iterator[Decisions]:
    """Decisions without packed patches, which only layers that read single pixels have."""
    sketch = _single(node, (int(decisions["unroll"]),))
    if decisions["sketch"] == "pairs" and sketch is not None:
        tile = max(int(n) for n in sketch.decisions[0].values)
        yield {"sketch": "single", "tile": tile, "unroll": decisions["unroll"]}


def convolution_sketches(node: Node, cpu: Cpu) -> tuple[Sketch, ...]:
    """Ways to compute a CONV_2D or FULLY_CONNECTED."""
    channels, depth = node.input(1).shape[0], prod(node.input(1).shape[1:])
    if node.operator == "CONV_2D" and groups(node) > 1:
        return ()
    unrolls = _unrolls(depth, cpu)
    sketches = []
    if _pairs_fit(node.output.elements // channels, channels):
        sketches.append(
            Sketch("pairs", (Decision("chunk", _LONGESTS), Decision("unroll", unrolls)))
        )
    single = _single(node, unrolls)
    return (*sketches, single) if single is not None else tuple(sketches)


def _single(node: Node, unrolls: tuple[int, ...]) -> Sketch | None:
    shape = node.input(1).shape
    if node.operator == "CONV_2D" and not window(node, (shape[1], shape[2])).trivial:
        return None
    tiles = tuple(tile for tile in TILES if tile <= shape[0])
    return Sketch("single", (Decision("tile", tiles), Decision("unroll", unrolls)))


def _unrolls(depth: int, cpu: Cpu) -> tuple[int, ...]:
    """Limits that make a difference; in C it is for the compiler to unroll."""
    if "thumb2" not in cpu.features:
        return (_UNROLLS[0],)
    return tuple(u for i, u in enumerate(_UNROLLS) if i == 0 or _UNROLLS[i - 1] < depth)


def _pairs_fit(pixels: int, channels: int) -> bool:
    return pixels >= PIXELS and (PIXELS - 1) * channels <= _OFFSET


def _decide(node: Node, layer: Layer, cpu: Cpu, goal: Goal) -> dict[str, int | str] | None:
    """The default rule: pairs of pixels, and single ones where there are no four."""
    decided: dict[str, int | str]
    if _pairs_fit(layer.pixels, layer.channels):
        decided = {"sketch": "pairs", "chunk": _LONGEST[goal]}
        per_input = 6
    elif layer.geometry is None:
        tile = max(tile for tile in TILES if tile <= layer.channels)
        decided = {"sketch": "single", "tile": tile}
        per_input = 2 * tile + 1
    else:
        return None

    def cost(limit: int) -> float:
        first, unroll, loops = split_groups(layer.depth, limit)
        slower = _TURN * loops / (per_input * layer.depth)
        larger = 4 * per_input * (first + unroll) / layer.weights.size
        return slower + FLASH_WEIGHT[goal] * larger

    return {**decided, "unroll": min(_unrolls(layer.depth, cpu), key=cost)}
