"""Weights and biases for the kernels of ``tvmtiny_dsp_half.h``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tvmtiny.ops import Node
from tvmtiny.ops.shared.weights import bias_values
from tvmtiny.schedule.families.dsp import packing
from tvmtiny.schedule.families.dsp.int32_sums import Chunk, split_depth
from tvmtiny.schedule.matrix_layer import split_groups

#: The largest magnitude of an input.
_LARGEST = 2**15

#: Products per correction from which on corrections take fewer instructions than wider weights.
_PRODUCTS = 64

#: Sums and inputs that a correction can name.
_MOST_NAMED = 2**16


@dataclass(frozen=True, eq=False)
class HalfStream:
    """The weights of a layer.

    Attributes
    ----------
    chunks
        The chunks, one after the other along the depth.
    words
        The stream of all chunks, int32, with the corrections at its end.
    corrections
        The number of words of corrections; see ``tvmtiny_half_correct``.
    """

    chunks: tuple[Chunk, ...]
    words: np.ndarray
    corrections: int


def pack(
    node: Node, weights: np.ndarray, tile: packing.TileShape, weight_format: str, unroll: int
) -> HalfStream | None:
    """Build the chunks of a layer and its stream; None if a bias does not fit 32 bits.

    Parameters
    ----------
    weights
        int8, ``(channels, depth)``.
    weight_format
        ``h8`` or ``h16``.
    unroll
        The limit on unrolled groups.
    """
    order = packing.channel_order(len(weights), tile)
    ordered = packing.grouped(weights)[order]
    bias = bias_values(node, len(weights)).astype(np.int64)
    count = packing.groups(weights.shape[1])
    magnitudes = np.abs(packing.grouped(weights)).sum(axis=2) * _LARGEST
    for size in range(count, 0, -1):
        split = split_depth(count, size)
        sums = [magnitudes[:, first : first + groups].sum(axis=1) for first, groups in split]
        sums[0] = sums[0] + np.abs(bias)
        if max(int(total.max()) for total in sums) < 2**31:
            break
    else:
        return None
    corrected = np.zeros((0, 2), np.int64)
    if weight_format == "h8" and tile.pixels == 1 and len(split) * len(weights) <= _MOST_NAMED:
        paired = _paired(ordered, order)
        if paired is not None:
            weight_format, (ordered, corrected) = "p8", paired
    found: list[Chunk] = []
    streams: list[np.ndarray] = []
    for first, groups in split:
        initial = bias if first == 0 else np.zeros_like(bias)
        part = ordered[:, first : first + groups]
        words = sum(stream.size for stream in streams)
        streams.append(_stream(part, initial[order], tile, weight_format))
        kernel, preamble = _kernel(len(weights), groups, tile, weight_format, unroll)
        found.append(Chunk(first, groups, kernel, preamble, words, streams[-1].size))
    chunk = corrected[:, 1] // (packing.GROUP * split[0][1])
    streams.append(packing.words(corrected[:, 1], chunk * len(weights) + corrected[:, 0]))
    return HalfStream(tuple(found), np.concatenate(streams), len(corrected))


def _paired(ordered: np.ndarray, order: list[int]) -> tuple[np.ndarray, np.ndarray] | None:
    """Change weights so that pairs of channels fit halfwords; None if that takes too long.

    Only -128 beside a negative weight does not fit. It becomes -127, and the input is subtracted
    from the sum afterwards. As the weight comes closer to zero, sums stay within their bounds.

    Returns
    -------
    tuple or None
        The weights, and the channel and the input of each correction, ``(corrections, 2)``.
    """
    flat = ordered.reshape(len(ordered), -1)
    pairs, inputs = np.nonzero(packing.channel_pairs(flat) < -(2**15))
    changed = flat.copy()
    changed[2 * pairs + 1, inputs] += 1
    # The last tile overwrites the sums of channels that it shares with the previous one.
    last = {channel: position for position, channel in enumerate(order)}
    kept = [
        (order[position], int(number))
        for position, number in zip((2 * pairs + 1).tolist(), inputs, strict=True)
        if last[order[position]] == position
    ]
    if len(kept) * _PRODUCTS > flat.size or flat.shape[1] > _MOST_NAMED:
        return None
    return changed.reshape(ordered.shape), np.array(kept, np.int64).reshape(-1, 2)


def _stream(
    ordered: np.ndarray, initial: np.ndarray, tile: packing.TileShape, weight_format: str
) -> np.ndarray:
    tiles, streams = len(ordered) // tile.channels, tile.channels
    first = initial.reshape(tiles, streams)
    part = ordered.astype(np.int16)
    if weight_format == "h8":
        part = part[:, :, [0, 2, 1, 3]].astype(np.int8)
    if weight_format == "p8":
        part, streams = packing.channel_pairs(part).astype(np.int16), tile.channels // 2
        both = packing.channel_pairs(initial).view(np.int32).reshape(tiles, -1)
        first = np.concatenate([first[:, :1], both, first[:, 2:3]], axis=1)
    words = np.ascontiguousarray(part).view(np.int32)
    # (tile, channel or pair, group, word) -> (tile, group, word, channel or pair)
    body = words.reshape(tiles, streams, words.shape[1], -1)
    body = body.transpose(0, 2, 3, 1).reshape(tiles, -1)
    return np.concatenate([first, body], axis=1).astype(np.int32).ravel()


def _kernel(
    channels: int, groups: int, tile: packing.TileShape, weight_format: str, unroll: int
) -> tuple[str, str]:
    """Name and instantiation of the kernel for the given number of groups."""
    # A single pixel has no distance to the next one.
    pitch = channels if tile.pixels > 1 else 0
    sizes = (*split_groups(groups, unroll), pitch)
    name = f"half_{tile.shape}_{weight_format}_{'_'.join(map(str, sizes))}"
    shape = (tile.shape.upper(), weight_format.upper(), tile.pixels, tile.channels)
    kind = ("h8", "h16", "p8").index(weight_format)
    arguments = ", ".join(map(str, (*shape, kind, *sizes, 8 * groups * tile.pixels)))
    return name, f"TVMTINY_HALF({name}, {arguments})"
