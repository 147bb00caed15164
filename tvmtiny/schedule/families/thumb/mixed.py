"""CONV_2D and FULLY_CONNECTED with a smaller workspace: ``tvmtiny_thumb_mixed.h``."""

from __future__ import annotations

from itertools import product

import numpy as np

from tvmtiny.ops import Node
from tvmtiny.schedule.families.thumb.packing import pack_mixed
from tvmtiny.schedule.families.thumb.pairs import (
    CHANNEL,
    FRAME,
    HEADERS,
    PACKING,
    TURN,
    chunk_instructions,
)
from tvmtiny.schedule.implementation import Decisions, Implementation
from tvmtiny.schedule.matrix_layer import Layer, split_groups
from tvmtiny.schedule.product_chunks import (
    CHUNKS,
    ChunkPart,
    cheapest_classes,
    provable,
)
from tvmtiny.schedule.product_pairs import pairs_function
from tvmtiny.schedule.scaling import Scaling

MIXED = "mixed"

#: Pixels of a step.
MIXED_PIXELS = 4

#: Lengths of chunks of bytes for which code exists.
_BYTES = (4, 3, 2)

#: About one in this many inputs of a pixel stays a byte, and at most this number, because their
#: code is unrolled.
_SHARE, _MOST = 8, 64

#: Inputs that are words come in multiples of this number, which most lengths of chunks divide.
_WORDS = 12


def kept_bytes(depth: int) -> int:
    """Return the number of inputs that stay bytes; 0 if the layer has too few."""
    fewest = depth * (_SHARE - 1) // _SHARE // _WORDS
    words = _WORDS * max(fewest, -(-(depth - _MOST) // _WORDS))
    return depth - words if words > 0 else 0


#: Instructions that pack a byte.
_BYTE_PACKING = 3


def _bytes_instructions(chunk: int) -> int:
    """Estimate the start of a chunk of bytes, its inputs, weights and products, and its end."""
    return 8 + 4 * chunk


def _split(layer: Layer, decisions: Decisions) -> list[ChunkPart] | None:
    """Return the classes of channels; None if some channel is not proven for any."""
    kept, longest = kept_bytes(layer.depth), int(decisions["chunk"])
    words = layer.depth - kept
    first, rest = layer.weights[:, :words], layer.weights[:, words:]
    lengths = [chunk for chunk in CHUNKS if chunk <= longest and words % chunk == 0]
    costs = {}
    for chunk, length in product(lengths, _BYTES):
        proven = provable(first, chunk) & provable(rest, length)
        each = words // chunk * chunk_instructions(chunk, MIXED_PIXELS // 2)
        each += -(-kept // length) * _bytes_instructions(length)
        costs[chunk, length] = np.where(proven, each, np.inf)
    if not np.isfinite(np.min(list(costs.values()), axis=0)).all():
        return None
    parts = []
    # A class has two lengths, so one code more than for pairs.
    for (chunk, length), channels in cheapest_classes(costs, int(decisions["codes"]) + 1).items():
        # Code for few channels is not kept short: it would make all of them slower than pairs.
        unroll = max(2, int(decisions["unroll"]) // chunk)
        counts = (*split_groups(words // chunk, unroll), length, -(-kept // length))
        parts.append(ChunkPart(chunk, counts, channels))
    return parts


def estimate_mixed(layer: Layer, decisions: Decisions) -> tuple[float, float]:
    """Estimate instructions and bytes of assembly of the layer."""
    kept, parts = kept_bytes(layer.depth), _split(layer, decisions)
    assert parts is not None
    packed = PACKING * (layer.depth - kept) + _BYTE_PACKING * kept
    instructions, code = MIXED_PIXELS * packed, 0.0
    for part in parts:
        unrolled, unroll, turns, length, count = part.counts
        chunk = chunk_instructions(part.chunk, MIXED_PIXELS // 2)
        rest = count * _bytes_instructions(length)
        each = (unrolled + unroll * turns) * chunk + TURN * turns + rest
        instructions += (each + CHANNEL * MIXED_PIXELS // 2) * len(part.channels)
        code += FRAME + 4 * (chunk * (unrolled + unroll) + rest)
    return -(-layer.pixels // MIXED_PIXELS) * instructions, code


def implement_mixed(
    node: Node, layer: Layer, scaling: Scaling, decisions: Decisions
) -> Implementation | None:
    """Implement the layer by steps of four pixels.

    Returns
    -------
    Implementation or None
        None if there are fewer pixels, a patch is not one pixel, or some weights are not proven.
    """
    kept = kept_bytes(layer.depth)
    if layer.geometry is not None or layer.pixels < MIXED_PIXELS or not kept:
        return None
    parts = _split(layer, decisions)
    if parts is None:
        return None
    streams = [
        pack_mixed(layer.weights, scaling, p.channels, p.chunk, kept, p.counts[3]) for p in parts
    ]
    function = pairs_function(
        node,
        layer,
        scaling,
        MIXED_PIXELS,
        parts,
        np.cumsum([stream.size for stream in streams]).tolist(),
        family="thumb",
        headers=(*HEADERS, "tvmtiny_thumb_mixed.h"),
        kernel=MIXED,
        kept=(kept, max(p.counts[3] * p.counts[4] for p in parts)),
    )
    instructions = round(estimate_mixed(layer, decisions)[0])
    arguments = (node.input(0), np.concatenate(streams))
    return Implementation(function, arguments, decisions, instructions)
