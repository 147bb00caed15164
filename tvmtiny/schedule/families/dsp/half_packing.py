"""Weights and biases for the kernels of ``tvmtiny_dsp_half.h``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tvmtiny.ops import Node
from tvmtiny.ops.shared.weights import bias_values
from tvmtiny.schedule.families.dsp import packing
from tvmtiny.schedule.families.dsp.int32_sums import split_depth
from tvmtiny.schedule.matrix_layer import split_groups

#: The largest magnitude of an input.
_LARGEST = 2**15


@dataclass(frozen=True)
class HalfChunk:
    """Groups whose sums fit 32 bits; the fields are those of `int32_sums.Chunk`."""

    first: int
    groups: int
    kernel: str
    preamble: str
    word: int
    words: int


def pack(
    node: Node, weights: np.ndarray, tile: packing.TileShape, weight_format: str, unroll: int
) -> tuple[tuple[HalfChunk, ...], np.ndarray] | None:
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
    ordered = weights[packing.channel_order(len(weights), tile)]
    paired = tile.pixels == 1 and packing.channel_pairs(ordered).min(initial=0) >= -(2**15)
    if weight_format == "h8" and paired:
        weight_format = "p8"
    bias = bias_values(node, len(weights)).astype(np.int64)
    count = packing.groups(weights.shape[1])
    grouped = packing.grouped(weights)
    magnitudes = np.abs(grouped).sum(axis=2) * _LARGEST
    for size in range(count, 0, -1):
        split = split_depth(count, size)
        sums = [magnitudes[:, first : first + groups].sum(axis=1) for first, groups in split]
        sums[0] = sums[0] + np.abs(bias)
        if max(int(total.max()) for total in sums) < 2**31:
            break
    else:
        return None
    found: list[HalfChunk] = []
    streams: list[np.ndarray] = []
    for first, groups in split:
        initial = bias if first == 0 else np.zeros_like(bias)
        part = grouped[:, first : first + groups]
        words = sum(stream.size for stream in streams)
        streams.append(_stream(part, initial, tile, weight_format))
        kernel, preamble = _kernel(len(weights), groups, tile, weight_format, unroll)
        found.append(HalfChunk(first, groups, kernel, preamble, words, streams[-1].size))
    return tuple(found), np.concatenate(streams)


def _stream(
    grouped: np.ndarray, initial: np.ndarray, tile: packing.TileShape, weight_format: str
) -> np.ndarray:
    order = packing.channel_order(len(grouped), tile)
    tiles, streams = len(order) // tile.channels, tile.channels
    first = initial[order].reshape(tiles, streams)
    part = grouped[order].astype(np.int16)
    if weight_format == "h8":
        part = part[:, :, [0, 2, 1, 3]].astype(np.int8)
    if weight_format == "p8":
        part, streams = packing.channel_pairs(part).astype(np.int16), tile.channels // 2
        both = packing.channel_pairs(initial[order]).view(np.int32).reshape(tiles, -1)
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
