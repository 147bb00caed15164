"""Code that the kernels for layers with single pixels share: ``words`` and ``bytes``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from tvm import tirx

from tvmtiny.ops import Node
from tvmtiny.schedule import nest
from tvmtiny.schedule.families.riscv.packing import fill_tiles
from tvmtiny.schedule.implementation import Decisions
from tvmtiny.schedule.matrix_layer import Layer
from tvmtiny.schedule.product_chunks import (
    ChunkPart,
    by_chunk,
    chunk_parts,
    provable,
    proven_channels,
)
from tvmtiny.schedule.scaling import Scaling


def single_parts(
    layer: Layer, decisions: Decisions, tile: int, cost: Callable[[int], float]
) -> list[ChunkPart]:
    """Assign channels to chunk lengths, in whole tiles.

    Parameters
    ----------
    cost
        Instructions of a tile by chunk length.
    """
    limits = int(decisions["chunk"]), int(decisions["codes"])
    classes = by_chunk(layer, _provable, *limits, cost)
    filled = fill_tiles(classes, tile, partial(proven_channels, layer, _provable))
    return chunk_parts(layer, filled, int(decisions["unroll"]))


def single_function(
    node: Node,
    layer: Layer,
    scaling: Scaling,
    kernel: str,
    parts: Sequence[ChunkPart],
    streams: Sequence[np.ndarray],
    *,
    tile: int,
    sizes: Sequence[int] = (),
    once: Sequence[bool] | None = None,
    schedule: str,
    headers: Sequence[str],
) -> tirx.PrimFunc:
    """Make a function that computes the layer pixel by pixel.

    Parameters
    ----------
    kernel
        ``TVMTINY_RISCV_<kernel>_OF`` instantiates the kernel.
    streams
        The stream of each part; the function takes all of them as one.
    tile
        Channels that an iteration of the kernel computes; those of a part are whole tiles.
    sizes
        Arguments of the kernel before the inputs of its first chunk.
    once
        For kernels with that option: whether a part keeps a word per chunk in a workspace.
    """
    ends = np.cumsum([stream.size for stream in streams]).tolist()
    rounding = "SIGNED" if scaling.signed else "PLAIN"
    preamble, kernels, divisible, words = [], [], [], 0
    for i, part in enumerate(parts):
        every = (*sizes, _begin(layer.depth, part.chunk), part.chunk, *part.counts, scaling.shift)
        modes = [rounding]
        if once is not None:
            modes.append("ONCE" if once[i] else "EACH")
            words = max(words, once[i] * chunks_of(part))
        described = [*map(str, every), *modes]
        name = f"{kernel.lower()}_{'_'.join(described).lower()}"
        preamble.append(f"TVMTINY_RISCV_{kernel}_OF({name}, {', '.join(described)})")
        kernels.append(name)
        tile_words = streams[i].size * tile // len(part.channels)
        divisible.append(nest.Divisible(name, {1: tile_words}, {3: tile_words}))
    x = nest.buffer("x", node.input(0).elements, "int8")
    stream = nest.buffer("stream", ends[-1], "int32")
    out = nest.buffer("out", node.output.elements, "int8")
    room = nest.buffer("room", words, "int32")
    last = [] if once is None else [nest.address(room) if words else 0]

    def pixel(position: nest.Argument) -> list[tirx.Stmt]:
        return [
            nest.call(
                name,
                nest.address(x, position * layer.depth),
                nest.address(stream, start),
                nest.address(out, position * layer.channels),
                nest.address(stream, end),
                *last,
            )
            for name, start, end in zip(kernels, [0, *ends[:-1]], ends, strict=True)
        ]

    chunks = " and ".join(str(part.chunk) for part in parts)
    by_sign = ", rounding by sign" if scaling.signed else ""
    return nest.function(
        [x, stream, out],
        [room] if words else [],
        [nest.loop(layer.pixels, "pixel", pixel)],
        operator=node.operator,
        schedule=f"riscv, {schedule}, chunks of {chunks}{by_sign}",
        headers=headers,
        preamble=preamble,
        divisible=divisible,
    )


def chunks_of(part: ChunkPart) -> int:
    """Return the number of chunks of each channel."""
    first, unroll, turns = part.counts
    return first + unroll * turns


def _begin(depth: int, chunk: int) -> int:
    """Return the inputs of the first chunk; the other chunks are complete."""
    return depth - (-(-depth // chunk) - 1) * chunk


def _provable(weights: np.ndarray, chunk: int) -> np.ndarray:
    """Apply `provable` with the first chunk as the one that may be short."""
    return provable(np.pad(weights, ((0, 0), (-weights.shape[1] % chunk, 0))), chunk)
