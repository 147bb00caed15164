"""Weights and biases for the tile kernels of ``tvmtiny_dsp_sums.h``, which store int32 sums."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tvmtiny.ops.shared.weights import accumulator_range
from tvmtiny.schedule.families.dsp import packing
from tvmtiny.schedule.matrix_layer import split_groups

HEADERS = ("tvmtiny_dsp.h", "tvmtiny_dsp_patch.h", "tvmtiny_dsp_tile.h", "tvmtiny_dsp_sums.h")

#: The factor of accumulators.
_GAIN = 256


@dataclass(frozen=True)
class Chunk:
    """Groups whose sums fit 32 bits, with the factor of accumulators if the kernel has one.

    Attributes
    ----------
    first, groups
        The first group, and the number of groups.
    kernel
        The name of the chunk's kernel.
    preamble
        The instantiation of the kernel.
    word, words
        The first word and the number of words of the chunk's part of the stream.
    """

    first: int
    groups: int
    kernel: str
    preamble: str
    word: int
    words: int


@dataclass(frozen=True, eq=False)
class SumsTile:
    """The kernels of a matrix; the result is the sum over all chunks.

    Attributes
    ----------
    chunks
        The chunks, one after the other along the depth.
    stream
        The stream of all chunks, int32.
    """

    tile: packing.TileShape
    weight_format: str
    chunks: tuple[Chunk, ...]
    stream: np.ndarray


def pack_sums(
    weights: np.ndarray,
    bias: np.ndarray,
    tile: packing.TileShape,
    weight_format: str,
    unroll: int,
) -> SumsTile | None:
    """Pack `weights` for `tile`, in as few chunks as their sums allow.

    Parameters
    ----------
    weights
        int8, ``(channels, depth)``.
    bias
        ``(channels,)``, with the zero point of the inputs folded in.
    unroll
        The limit on unrolled groups.

    Returns
    -------
    SumsTile or None
        None if the weights do not fit the format, or a bias is too large.
    """
    if not packing.storable(weights, weight_format):
        return None
    count = packing.groups(weights.shape[1])
    for chunks in range(1, count + 1):
        size = -(-count // chunks)
        parts = [
            (first, weights[:, first * packing.GROUP : (first + size) * packing.GROUP])
            for first in range(0, count, size)
        ]
        offsets = [bias.astype(np.int64) if not first else 0 * bias for first, _ in parts]
        if all(_fits(part, offset) for (_, part), offset in zip(parts, offsets, strict=True)):
            break
    else:
        return None
    found: list[Chunk] = []
    streams: list[np.ndarray] = []
    for (first, part), offset in zip(parts, offsets, strict=True):
        groups = packing.groups(part.shape[1])
        initial = _GAIN * offset - packing.excess(part, weight_format)
        # Modulo 2^32, like the additions of the kernel.
        wrapped = initial.astype(np.int64).astype(np.uint32).view(np.int32)
        streams.append(packing.pack_products(part, wrapped, [], tile, weight_format))
        kernel, preamble = sums_kernel(len(weights), groups, tile, weight_format, unroll)
        word = sum(stream.size for stream in streams[:-1])
        found.append(Chunk(first, groups, kernel, preamble, word, streams[-1].size))
    return SumsTile(tile, weight_format, tuple(found), np.concatenate(streams))


def split_depth(count: int, most: int) -> list[tuple[int, int]]:
    """The fewest chunks with at most `most` groups each: first group and number of groups."""
    size = -(-count // -(-count // most))
    return [(first, min(size, count - first)) for first in range(0, count, size)]


def _fits(weights: np.ndarray, bias: np.ndarray) -> bool:
    low, high = accumulator_range(weights, bias, 0)
    return bool(low.min() * _GAIN >= -(2**31) and high.max() * _GAIN < 2**31)


def sums_kernel(
    channels: int, groups: int, tile: packing.TileShape, weight_format: str, unroll: int
) -> tuple[str, str]:
    """Name and instantiation of the kernel for the given number of groups.

    Parameters
    ----------
    channels
        Sums from pixel to pixel.
    """
    # A single pixel has no distance to the next one.
    pitch = channels if tile.pixels > 1 else 0
    first, unrolled, loops = split_groups(groups, unroll)
    sizes = (first, unrolled, loops, pitch)
    name = f"sums_{tile.name}_{weight_format}_{'_'.join(map(str, sizes))}"
    arguments = ", ".join(
        map(str, (*sizes, 4 * groups if tile.direct else 8 * groups * tile.pixels))
    )
    macro = f"TVMTINY_SUMS_{tile.name.upper()}_{weight_format.upper()}"
    return name, f"{macro}({name}, {arguments})"
