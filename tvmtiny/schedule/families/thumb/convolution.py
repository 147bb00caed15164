"""CONV_2D and FULLY_CONNECTED: which kernel, and the default rule."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod

import numpy as np

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.conv_2d import groups
from tvmtiny.ops.shared.sliding_window import window
from tvmtiny.schedule.families.thumb.pairs import PIXELS, estimate_pairs, implement_pairs
from tvmtiny.schedule.families.thumb.quads import CHUNKS, estimate_quads, implement_quads
from tvmtiny.schedule.families.thumb.single import TILES, estimate_single, implement_single
from tvmtiny.schedule.implementation import (
    FLASH_WEIGHT,
    Decision,
    Decisions,
    Goal,
    Implementation,
    Sketch,
)
from tvmtiny.schedule.matrix_layer import Layer, matrix_scaling, weight_zero_points
from tvmtiny.schedule.per_node import per_node
from tvmtiny.schedule.requantize import Scaling
from tvmtiny.targets import Cpu

#: Largest immediate offset of STRB.
_OFFSET = 4095

#: Inputs that a kernel may unroll at most.
_UNROLLS = (8, 16, 32, 64)

#: Longest chunks of products, and how many lengths of chunks have code of their own.
_LONGEST = (1, 2, 3, 4, 6, 8)
_CODES = (1, 2, 3)


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
    chosen = decisions or _decide(layer, cpu, goal)
    if chosen is None:
        return None
    scaling = _scale(node, oracle)
    if scaling is None:
        return None
    return _KERNELS[str(chosen["sketch"])][1](node, layer, scaling, chosen)


@per_node
def _scale(node: Node, oracle: Oracle) -> Scaling | None:
    return matrix_scaling(node, oracle)


def smaller_convolution(node: Node, decisions: Decisions) -> Iterator[Decisions]:
    """Decisions with fewer packed patches, or none where a patch is a pixel."""
    if decisions["sketch"] != "pairs":
        return
    if int(decisions["pixels"]) > min(PIXELS):
        yield {**decisions, "pixels": min(PIXELS), "chunk": max(_LONGEST)}
    if _reads_pixels(node):
        yield {**_quads(), "unroll": decisions["unroll"]}


def convolution_sketches(node: Node, cpu: Cpu) -> tuple[Sketch, ...]:
    """Ways to compute a CONV_2D or FULLY_CONNECTED."""
    channels, depth = node.input(1).shape[0], prod(node.input(1).shape[1:])
    if node.operator == "CONV_2D" and groups(node) > 1:
        return ()
    unrolls = _unrolls(depth, cpu)
    pixels = _pixels(node.output.elements // channels, channels)
    sketches = []
    if pixels:
        decisions = (
            Decision("pixels", pixels),
            Decision("chunk", _LONGEST),
            Decision("codes", _CODES),
            Decision("unroll", unrolls),
        )
        sketches.append(Sketch("pairs", decisions))
    if _reads_pixels(node):
        tiles = tuple(tile for tile in TILES if tile <= channels)
        unroll = Decision("unroll", unrolls)
        codes = (Decision("chunk", CHUNKS), Decision("codes", _CODES))
        sketches.append(Sketch("single", (Decision("tile", tiles), unroll)))
        sketches.append(Sketch("quads", (*codes, unroll)))
    return tuple(sketches)


def _reads_pixels(node: Node) -> bool:
    shape = node.input(1).shape
    return node.operator != "CONV_2D" or window(node, (shape[1], shape[2])).trivial


def _quads(codes: int = 1) -> dict[str, int | str]:
    return {"sketch": "quads", "chunk": max(CHUNKS), "codes": codes}


def _unrolls(depth: int, cpu: Cpu) -> tuple[int, ...]:
    """Limits that make a difference; LDRB of Armv6-M reaches few weights."""
    if "thumb2" not in cpu.features:
        return (_UNROLLS[1],)
    return tuple(u for i, u in enumerate(_UNROLLS) if i == 0 or _UNROLLS[i - 1] < depth)


def _pixels(pixels: int, channels: int) -> tuple[int, ...]:
    """Steps of pixels that the layer has, and whose outputs are within reach of one pointer."""
    return tuple(n for n in PIXELS if n <= pixels and (n - 1) * channels <= _OFFSET)


def _decide(layer: Layer, cpu: Cpu, goal: Goal) -> dict[str, int | str] | None:
    """The default rule: the fewest instructions, weighed against the bytes of code."""
    pixels = _pixels(layer.pixels, layer.channels)
    unrolls = _unrolls(layer.depth, cpu)
    open_decisions: list[dict[str, int | str]]
    if pixels:
        first: dict[str, int | str] = {"sketch": "pairs", "pixels": pixels[0]}
        first["chunk"] = max(_LONGEST)
        open_decisions = [{**first, "codes": codes} for codes in _CODES]
    elif layer.geometry is None:
        tile = max(tile for tile in TILES if tile <= layer.channels)
        open_decisions = [_quads(codes) for codes in _CODES]
        open_decisions.append({"sketch": "single", "tile": tile})
    else:
        return None
    candidates = [{**chosen, "unroll": u} for chosen, u in product(open_decisions, unrolls)]
    costs = [_KERNELS[str(chosen["sketch"])][0](layer, chosen) for chosen in candidates]
    least = min(instructions for instructions, _ in costs)

    def weighed(position: int) -> float:
        instructions, code = costs[position]
        return instructions / least + FLASH_WEIGHT[goal] * code / layer.weights.size

    return candidates[min(range(len(candidates)), key=weighed)]


_KERNELS = {
    "pairs": (estimate_pairs, implement_pairs),
    "quads": (estimate_quads, implement_quads),
    "single": (estimate_single, implement_single),
}
