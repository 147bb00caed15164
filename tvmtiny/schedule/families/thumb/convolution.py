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
from tvmtiny.schedule.matrix_layer import Layer, plain_layer, reads_pixels
from tvmtiny.schedule.product_blocks import BLOCK_CHUNKS
from tvmtiny.schedule.product_chunks import CODES, LONGEST, UNROLLS, useful_unrolls
from tvmtiny.schedule.product_sparse import ProductKernels
from tvmtiny.targets import Cpu

#: Inputs of a pixel above which tiles of two channels take more instructions for three channels
#: than loops in C.
_DEEP = 16

#: Largest immediate offset of STRB.
_OFFSET = 4095


def implement_convolution(
    node: Node, cpu: Cpu, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement an int8 layer; return None if the kernels do not apply or are not proven exact."""
    return _KERNELS.implement(node, oracle, lambda layer: decisions or _decide(layer, cpu, goal))


def smaller_convolution(node: Node, decisions: Decisions) -> Iterator[Decisions]:
    """Yield decisions with fewer words: some inputs as bytes, fewer pixels, or single pixels."""
    yield from _KERNELS.smaller(node, decisions, min(PIXELS))
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
        if _KERNELS.skips_pixels(node):
            sketches.append(Sketch(SPARSE_SINGLE))
    return tuple(sketches)


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


def _decide(layer: Layer, cpu: Cpu, goal: Goal) -> Decisions | None:
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
        if most > 1 and layer.channels == 3 and layer.depth > _DEEP:
            # Loops over tensor expressions compute three channels at a time, and none twice.
            return None
        open_decisions = [_quads(codes) for codes in CODES]
        open_decisions.append({"sketch": "single", "tile": tile})
    else:
        return None
    candidates = [{**chosen, "unroll": u} for chosen, u in product(open_decisions, unrolls)]
    return _KERNELS.decide(layer, candidates, pixels[0] if pixels else None, goal)


_KERNELS = ProductKernels(
    pairs=sparse.PAIRS,
    single=sparse.SINGLE,
    pairs_sketch=SPARSE,
    single_sketch=SPARSE_SINGLE,
    dense={
        "pairs": (estimate_pairs, implement_pairs),
        "quads": (estimate_quads, implement_quads),
        "single": (estimate_single, implement_single),
        MIXED: (estimate_mixed, implement_mixed),
    },
)
