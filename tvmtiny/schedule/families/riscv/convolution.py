"""CONV_2D and FULLY_CONNECTED: choice of the kernel, and the default rule."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.conv_2d import groups
from tvmtiny.schedule.families.riscv import sparse
from tvmtiny.schedule.families.riscv.bytes import estimate_bytes, implement_bytes
from tvmtiny.schedule.families.riscv.packing import BYTES_TILES
from tvmtiny.schedule.families.riscv.pairs import TILES, estimate_pairs, implement_pairs
from tvmtiny.schedule.families.riscv.sparse import SPARSE, SPARSE_SINGLE
from tvmtiny.schedule.families.riscv.words import estimate_words, implement_words
from tvmtiny.schedule.implementation import (
    Decision,
    Decisions,
    Goal,
    Implementation,
    Sketch,
)
from tvmtiny.schedule.matrix_layer import Layer, plain_layer, reads_pixels
from tvmtiny.schedule.product_blocks import BLOCK_CHUNKS
from tvmtiny.schedule.product_chunks import (
    CODES,
    LONG_CHUNKS,
    LONGEST,
    useful_unrolls,
)
from tvmtiny.schedule.product_sparse import ProductKernels
from tvmtiny.targets import Cpu

PAIRS, WORDS, BYTES = "riscv_pairs", "riscv_words", "riscv_bytes"

#: Longest chunks for layers that read single pixels.
_SINGLE_LONGEST = (*LONGEST, *reversed(LONG_CHUNKS))

#: Largest immediate offset of stores.
_OFFSET = 2047

#: With this many pixels, packed patches of four pixels are small compared to the layer's tensors.
_MANY_PIXELS = 32


def implement_convolution(
    node: Node, cpu: Cpu, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement an int8 layer; return None if the kernels do not apply or are not proven exact."""
    return _KERNELS.implement(node, oracle, lambda layer: decisions or _decide(layer, goal))


def smaller_convolution(node: Node, decisions: Decisions) -> Iterator[Decisions]:
    """Yield decisions with fewer packed pixels, or with none if a patch is a pixel."""
    yield from _KERNELS.smaller(node, decisions, min(TILES))
    if decisions["sketch"] != PAIRS:
        return
    if int(decisions["pixels"]) > min(TILES):
        yield {**decisions, "pixels": min(TILES)}
    if reads_pixels(node):
        yield {**{key: decisions[key] for key in ("chunk", "codes", "unroll")}, "sketch": WORDS}


def convolution_sketches(node: Node, cpu: Cpu) -> tuple[Sketch, ...]:
    """Return the ways to compute a CONV_2D or FULLY_CONNECTED."""
    channels, depth = node.input(1).shape[0], prod(node.input(1).shape[1:])
    if node.operator == "CONV_2D" and groups(node) > 1:
        return ()
    code = (Decision("codes", CODES), Decision("unroll", useful_unrolls(depth)))
    sketches = []
    pixels = _steps(node.output.elements // channels, channels)
    if pixels:
        chunk = Decision("chunk", LONGEST)
        sketches.append(Sketch(PAIRS, (Decision("pixels", pixels), chunk, *code)))
        layer = plain_layer(node)
        if layer is not None and sparse.PAIRS.applies(layer):
            chunk = Decision("chunk", BLOCK_CHUNKS)
            sketches.append(Sketch(SPARSE, (Decision("pixels", pixels), chunk)))
    if reads_pixels(node):
        chunk = Decision("chunk", _SINGLE_LONGEST)
        sketches.append(Sketch(WORDS, (chunk, *code)))
        sketches.append(Sketch(BYTES, (Decision("tile", BYTES_TILES), chunk, *code)))
        if _KERNELS.skips_pixels(node):
            sketches.append(Sketch(SPARSE_SINGLE))
    return tuple(sketches)


def _steps(pixels: int, channels: int) -> tuple[int, ...]:
    """Return the steps of pixels that the layer has, with outputs within one pointer's reach."""
    return tuple(n for n in TILES if n <= pixels and (n - 1) * channels <= _OFFSET)


def _decide(layer: Layer, goal: Goal) -> Decisions | None:
    """Apply the default rule: fewest instructions, weighed against bytes of code and weights."""
    steps, step = _steps(layer.pixels, layer.channels), None
    kernels: list[dict[str, int | str]]
    if steps:
        few = layer.geometry is None and layer.pixels < _MANY_PIXELS
        step = steps[-1] if few else steps[0]
        kernels = [{"sketch": PAIRS, "pixels": step, "chunk": max(LONGEST)}]
    elif layer.geometry is None:
        single = {"chunk": max(_SINGLE_LONGEST)}
        kernels = [{"sketch": WORDS, **single}]
        kernels += [{"sketch": BYTES, "tile": tile, **single} for tile in BYTES_TILES]
    else:
        return None
    candidates = [
        {**kernel, "codes": codes, "unroll": unroll}
        for kernel, codes, unroll in product(kernels, CODES, useful_unrolls(layer.depth))
    ]
    return _KERNELS.decide(layer, candidates, step, goal)


_KERNELS = ProductKernels(
    pairs=sparse.PAIRS,
    single=sparse.SINGLE,
    pairs_sketch=SPARSE,
    single_sketch=SPARSE_SINGLE,
    dense={
        PAIRS: (estimate_pairs, implement_pairs),
        WORDS: (estimate_words, implement_words),
        BYTES: (estimate_bytes, implement_bytes),
    },
)
