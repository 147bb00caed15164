"""CONV_2D and FULLY_CONNECTED: choice of the kernel, and the default rule."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.conv_2d import groups
from tvmtiny.schedule.families.thumb import sparse
from tvmtiny.schedule.families.thumb.mixed import (
    MIXED,
    MIXED_PIXELS,
    estimate_mixed,
    implement_mixed,
    kept_bytes,
)
from tvmtiny.schedule.families.thumb.pairs import PIXELS, estimate_pairs, implement_pairs
from tvmtiny.schedule.families.thumb.quads import CHUNKS, estimate_quads, implement_quads
from tvmtiny.schedule.families.thumb.single import TILES, estimate_single, implement_single
from tvmtiny.schedule.families.thumb.sparse import SPARSE, SPARSE_SINGLE
from tvmtiny.schedule.implementation import (
    Decision,
    Decisions,
    Goal,
    Implementation,
    Sketch,
)
from tvmtiny.schedule.matrix_layer import Layer, plain_layer, plain_scaling, reads_pixels
from tvmtiny.schedule.product_blocks import BLOCK_CHUNKS, LEAST_GAIN
from tvmtiny.schedule.product_chunks import CODES, LONGEST, UNROLLS, cheapest, useful_unrolls
from tvmtiny.targets import Cpu

#: Largest immediate offset of STRB.
_OFFSET = 4095


def implement_convolution(
    node: Node, cpu: Cpu, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement an int8 layer; return None if the kernels do not apply or are not proven exact."""
    layer = plain_layer(node)
    if layer is None:
        return None
    chosen = decisions or _decide(layer, cpu, goal)
    scaling = plain_scaling(node, oracle)
    if chosen is None or scaling is None:
        return None
    return _KERNELS[str(chosen["sketch"])][1](node, layer, scaling, chosen)


def smaller_convolution(node: Node, decisions: Decisions) -> Iterator[Decisions]:
    """Yield decisions with fewer words: some inputs as bytes, fewer pixels, or single pixels."""
    if decisions["sketch"] == SPARSE and int(decisions["pixels"]) > min(PIXELS):
        yield {**decisions, "pixels": min(PIXELS)}
    if decisions["sketch"] == SPARSE and _skips_pixels(node):
        yield {"sketch": SPARSE_SINGLE}
    if decisions["sketch"] not in ("pairs", MIXED):
        return
    same: dict[str, int | str] = {name: decisions[name] for name in ("chunk", "codes", "unroll")}
    pixels = int(decisions.get("pixels", MIXED_PIXELS))
    kept = kept_bytes(prod(node.input(1).shape[1:])) if reads_pixels(node) else 0
    if kept and decisions["sketch"] == "pairs" and pixels == MIXED_PIXELS:
        yield {"sketch": MIXED, **same}
    if pixels > min(PIXELS):
        yield {"sketch": "pairs", "pixels": min(PIXELS), **same, "chunk": max(LONGEST)}
    if reads_pixels(node):
        yield {**_quads(), "unroll": decisions["unroll"]}


def convolution_sketches(node: Node, cpu: Cpu) -> tuple[Sketch, ...]:
    """Return the ways to compute a CONV_2D or FULLY_CONNECTED."""
    channels, depth = node.input(1).shape[0], prod(node.input(1).shape[1:])
    if node.operator == "CONV_2D" and groups(node) > 1:
        return ()
    unrolls = _unrolls(depth, cpu)
    pixels = _pixels(node.output.elements // channels, channels)
    sketches = []
    if pixels:
        decisions = (
            Decision("pixels", pixels),
            Decision("chunk", LONGEST),
            Decision("codes", CODES),
            Decision("unroll", unrolls),
        )
        sketches.append(Sketch("pairs", decisions))
        layer = plain_layer(node)
        if layer is not None and sparse.PAIRS.applies(layer):
            chunks = Decision("chunk", BLOCK_CHUNKS)
            sketches.append(Sketch(SPARSE, (Decision("pixels", pixels), chunks)))
    if reads_pixels(node):
        if kept_bytes(depth) and MIXED_PIXELS in pixels:
            sketches.append(Sketch(MIXED, sketches[0].decisions[1:]))
        tiles = tuple(tile for tile in TILES if tile <= channels)
        unroll = Decision("unroll", unrolls)
        codes = (Decision("chunk", CHUNKS), Decision("codes", CODES))
        sketches.append(Sketch("single", (Decision("tile", tiles), unroll)))
        sketches.append(Sketch("quads", (*codes, unroll)))
        if _skips_pixels(node):
            sketches.append(Sketch(SPARSE_SINGLE))
    return tuple(sketches)


def _skips_pixels(node: Node) -> bool:
    """Return whether blocks of zeros of a layer that reads pixels can be skipped."""
    layer = plain_layer(node)
    return layer is not None and sparse.SINGLE.applies(layer)


def _quads(codes: int = 1) -> dict[str, int | str]:
    return {"sketch": "quads", "chunk": max(CHUNKS), "codes": codes}


def _unrolls(depth: int, cpu: Cpu) -> tuple[int, ...]:
    """Return the limits that make a difference; LDRB of Armv6-M reaches few weights."""
    if "thumb2" not in cpu.features:
        return (UNROLLS[1],)
    return useful_unrolls(depth)


def _pixels(pixels: int, channels: int) -> tuple[int, ...]:
    """Return the steps of pixels that the layer has, with outputs within one pointer's reach."""
    return tuple(n for n in PIXELS if n <= pixels and (n - 1) * channels <= _OFFSET)


def _decide(layer: Layer, cpu: Cpu, goal: Goal) -> dict[str, int | str] | None:
    """Apply the default rule: fewest instructions, weighed against bytes of code."""
    pixels = _pixels(layer.pixels, layer.channels)
    unrolls = _unrolls(layer.depth, cpu)
    open_decisions: list[dict[str, int | str]]
    if pixels:
        first: dict[str, int | str] = {"sketch": "pairs", "pixels": pixels[0]}
        first["chunk"] = max(LONGEST)
        open_decisions = [{**first, "codes": codes} for codes in CODES]
    elif layer.geometry is None:
        # Armv6-M lacks registers for the sums of several channels; one channel in C is twice as
        # fast.
        most = layer.channels if "thumb2" in cpu.features else 1
        tile = max(tile for tile in TILES if tile <= most)
        if most > 1 and layer.channels == 3:
            # Loops over tensor expressions compute three channels at a time, and none twice.
            return None
        open_decisions = [_quads(codes) for codes in CODES]
        open_decisions.append({"sketch": "single", "tile": tile})
    else:
        return None
    candidates = [{**chosen, "unroll": u} for chosen, u in product(open_decisions, unrolls)]
    costs = [_KERNELS[str(chosen["sketch"])][0](layer, chosen) for chosen in candidates]
    skipping: list[dict[str, int | str]] = []
    if pixels and sparse.PAIRS.applies(layer):
        skipping = [{"sketch": SPARSE, "pixels": pixels[0], "chunk": max(BLOCK_CHUNKS)}]
    elif not pixels and sparse.SINGLE.applies(layer):
        skipping = [{"sketch": SPARSE_SINGLE}]
    for chosen in skipping:
        cost = _KERNELS[str(chosen["sketch"])][0](layer, chosen)
        if cost[0] < (1 - LEAST_GAIN) * min(instructions for instructions, _ in costs):
            candidates, costs = [*candidates, chosen], [*costs, cost]
    return cheapest(candidates, costs, layer, goal)


_KERNELS = {
    "pairs": (estimate_pairs, implement_pairs),
    "quads": (estimate_quads, implement_quads),
    "single": (estimate_single, implement_single),
    MIXED: (estimate_mixed, implement_mixed),
    SPARSE: (sparse.PAIRS.estimate, sparse.PAIRS.implement),
    SPARSE_SINGLE: (sparse.SINGLE.estimate, sparse.SINGLE.implement),
}
