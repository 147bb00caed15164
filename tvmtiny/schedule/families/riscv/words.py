"""Layers that read single pixels, with the kernels of ``tvmtiny_riscv_words.h``."""

from __future__ import annotations

import numpy as np

from tvmtiny.ops import Node
from tvmtiny.schedule.families.riscv.packing import WORDS_TILE, pack_words
from tvmtiny.schedule.families.riscv.single import chunks_of, single_function, single_parts
from tvmtiny.schedule.implementation import Decisions, Implementation
from tvmtiny.schedule.matrix_layer import Layer
from tvmtiny.schedule.product_chunks import ChunkPart
from tvmtiny.schedule.scaling import Scaling

HEADERS = ("tvmtiny_riscv.h", "tvmtiny_riscv_words.h")

#: Instructions of an input, of a chunk, and around a tile; bytes of code around its chunks.
_INPUT, _CHUNK, _TILE, _FRAME = 13, 12, 115, 500


def _split(layer: Layer, decisions: Decisions) -> list[ChunkPart]:
    def cost(chunk: int) -> float:
        return _INPUT * layer.depth + _CHUNK * -(-layer.depth // chunk)

    return single_parts(layer, decisions, WORDS_TILE, cost)


def estimate_words(layer: Layer, decisions: Decisions) -> tuple[float, float]:
    """Estimate instructions, and bytes of assembly and of weights beyond one byte each."""
    instructions, code = 0.0, float(layer.weights.size)
    for part in _split(layer, decisions):
        first, unroll, turns = part.counts
        each = _INPUT * layer.depth + _CHUNK * chunks_of(part) + _TILE + 3 * turns
        instructions += each * len(part.channels) / WORDS_TILE
        code += _FRAME + 3.5 * (_INPUT * part.chunk + _CHUNK) * (first + unroll)
    return layer.pixels * instructions, code


def implement_words(
    node: Node, layer: Layer, scaling: Scaling, decisions: Decisions
) -> Implementation | None:
    """Implement the layer pixel by pixel without a workspace; None if a patch is not one pixel."""
    if layer.geometry is not None:
        return None
    parts = _split(layer, decisions)
    streams = [pack_words(layer.weights, scaling, part.channels) for part in parts]
    function = single_function(
        node,
        layer,
        scaling,
        "WORDS",
        parts,
        streams,
        tile=WORDS_TILE,
        schedule="w16",
        headers=HEADERS,
    )
    arguments = (node.input(0), np.concatenate(streams))
    instructions = round(estimate_words(layer, decisions)[0])
    return Implementation(function, arguments, decisions, instructions)
