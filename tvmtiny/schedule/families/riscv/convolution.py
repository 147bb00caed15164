"""CONV_2D and FULLY_CONNECTED: which kernel, and the default rule."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod

import numpy as np

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.conv_2d import groups
from tvmtiny.ops.shared.sliding_window import window
from tvmtiny.schedule.families.riscv.pairs import TILES, estimate_pairs, implement_pairs
from tvmtiny.schedule.families.riscv.words import estimate_words, implement_words
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

PAIRS, WORDS = "riscv_pairs", "riscv_words"

#: Largest immediate offset of stores.
_OFFSET = 2047

#: From so many pixels on, packed patches of four of them are small beside the layer's tensors.
_MANY_PIXELS = 32

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
    return _implement(node, layer, oracle, goal, decisions)


def implement_fully_connected(
    node: Node, cpu: Cpu, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """FULLY_CONNECTED in int8; None where the micro-kernels cannot be used or proven exact."""
    weights = node.input(1)
    assert weights.data is not None
    if np.any(weight_zero_points(node)):
        return None
    layer = Layer(weights.data, node.input(0).elements // weights.shape[1], None, 0)
    return _implement(node, layer, oracle, goal, decisions)


def _implement(
    node: Node, layer: Layer, oracle: Oracle, goal: Goal, decisions: Decisions | None
) -> Implementation | None:
    chosen = decisions or _decide(layer, goal)
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
    """Decisions with fewer packed pixels, or none where a patch is a pixel."""
    if decisions["sketch"] != PAIRS:
        return
    if int(decisions["pixels"]) > min(TILES):
        yield {**decisions, "pixels": min(TILES)}
    if _reads_pixels(node):
        yield {**{key: decisions[key] for key in ("chunk", "codes", "unroll")}, "sketch": WORDS}


def convolution_sketches(node: Node, cpu: Cpu) -> tuple[Sketch, ...]:
    """Ways to compute a CONV_2D or FULLY_CONNECTED."""
    channels, depth = node.input(1).shape[0], prod(node.input(1).shape[1:])
    if node.operator == "CONV_2D" and groups(node) > 1:
        return ()
    decisions = (
        Decision("chunk", _LONGEST),
        Decision("codes", _CODES),
        Decision("unroll", _unrolls(depth)),
    )
    sketches = []
    pixels = _steps(node.output.elements // channels, channels)
    if pixels:
        sketches.append(Sketch(PAIRS, (Decision("pixels", pixels), *decisions)))
    if _reads_pixels(node):
        sketches.append(Sketch(WORDS, decisions))
    return tuple(sketches)


def _reads_pixels(node: Node) -> bool:
    shape = node.input(1).shape
    return node.operator != "CONV_2D" or window(node, (shape[1], shape[2])).trivial


def _unrolls(depth: int) -> tuple[int, ...]:
    """Limits that make a difference."""
    return tuple(u for i, u in enumerate(_UNROLLS) if i == 0 or _UNROLLS[i - 1] < depth)


def _steps(pixels: int, channels: int) -> tuple[int, ...]:
    """Steps of pixels that the layer has, and whose outputs are within reach of one pointer."""
    return tuple(n for n in TILES if n <= pixels and (n - 1) * channels <= _OFFSET)


def _decide(layer: Layer, goal: Goal) -> dict[str, int | str] | None:
    """The default rule: the fewest instructions, weighed against the bytes of code."""
    pixels = _steps(layer.pixels, layer.channels)
    first: dict[str, int | str] = {"sketch": PAIRS, "chunk": max(_LONGEST)}
    if pixels:
        few = layer.geometry is None and layer.pixels < _MANY_PIXELS
        first["pixels"] = pixels[-1] if few else pixels[0]
    elif layer.geometry is None:
        first["sketch"] = WORDS
    else:
        return None
    sketch = str(first["sketch"])
    candidates = [
        {**first, "codes": codes, "unroll": unroll}
        for codes, unroll in product(_CODES, _unrolls(layer.depth))
    ]
    costs = [_KERNELS[sketch][0](layer, chosen) for chosen in candidates]
    least = min(instructions for instructions, _ in costs)

    def weighed(position: int) -> float:
        instructions, code = costs[position]
        return instructions / least + FLASH_WEIGHT[goal] * code / layer.weights.size

    return candidates[min(range(len(candidates)), key=weighed)]


_KERNELS = {PAIRS: (estimate_pairs, implement_pairs), WORDS: (estimate_words, implement_words)}
