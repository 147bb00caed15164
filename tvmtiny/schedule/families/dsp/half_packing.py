"""Weights, biases and output factors for the kernels of ``tvmtiny_dsp_half.h``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.shared.output_rounding import DoubleProduct, TwoRoundings, WideRounding
from tvmtiny.ops.shared.quantization import activation_range, round_half_away
from tvmtiny.ops.shared.weights import bias_values
from tvmtiny.schedule.families.dsp import packing
from tvmtiny.schedule.families.dsp.sums import split_depth
from tvmtiny.schedule.matrix_layer import layer_rounding, split_groups

#: The largest magnitude of an input.
_LARGEST = 2**15


@dataclass(frozen=True)
class HalfChunk:
    """Groups whose sums fit 32 bits; fields as of `tvmtiny.schedule.families.dsp.sums.Chunk`."""

    first: int
    groups: int
    kernel: str
    preamble: str
    word: int
    words: int


def pack(
    node: Node, weights: np.ndarray, tile: packing.TileShape, weight_format: str, unroll: int
) -> tuple[tuple[HalfChunk, ...], np.ndarray] | None:
    """The chunks of a layer and its stream; None where a bias does not fit 32 bits.

    Parameters
    ----------
    weights
        int8, ``(channels, depth)``.
    weight_format
        ``h8`` or ``h16``.
    unroll
        Groups that are unrolled at most.
    """
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
    part = grouped[order]
    if weight_format == "h8":
        ordered = np.ascontiguousarray(part[:, :, [0, 2, 1, 3]].astype(np.int8))
        words = ordered.view(np.int32)
    else:
        words = np.ascontiguousarray(part.astype(np.int16)).view(np.int32)
    tiles = len(order) // tile.channels
    # (tile, channel, group, word) -> (tile, group, word, channel)
    body = words.reshape(tiles, tile.channels, words.shape[1], -1)
    body = body.transpose(0, 2, 3, 1).reshape(tiles, -1)
    first = initial[order].reshape(tiles, tile.channels)
    return np.concatenate([first, body], axis=1).astype(np.int32).ravel()


def _kernel(
    channels: int, groups: int, tile: packing.TileShape, weight_format: str, unroll: int
) -> tuple[str, str]:
    """Name and instantiation of the kernel for so many groups."""
    # One pixel has no distance to the next one.
    pitch = channels if tile.pixels > 1 else 0
    sizes = (*split_groups(groups, unroll), pitch)
    name = f"half_{tile.shape}_{weight_format}_{'_'.join(map(str, sizes))}"
    shape = (tile.shape.upper(), weight_format.upper(), tile.pixels, tile.channels)
    wide = int(weight_format == "h16")
    arguments = ", ".join(map(str, (*shape, wide, *sizes, 8 * groups * tile.pixels)))
    return name, f"TVMTINY_HALF({name}, {arguments})"


@dataclass(frozen=True, eq=False)
class Factors:
    """How outputs are scaled.

    Attributes
    ----------
    kind
        ``high``: one product of 32 bits; ``wide``: LiteRT's of 64 bits; ``twice``: with two
        roundings; ``precisely``: a product of 96 bits that is proven equal to LiteRT's double;
        ``double``.
    values
        Of all channels.
    each
        How many of them a channel has of its own.
    """

    kind: str
    values: np.ndarray
    each: int


def factors(node: Node, oracle: Oracle, wide: bool) -> Factors:
    """The factors of a layer's outputs.

    Parameters
    ----------
    wide
        Whether sums can have more than 32 bits.
    """
    rounding = layer_rounding(node, oracle)
    if isinstance(rounding, DoubleProduct):
        scales = rounding.factors
        largest = max(abs(end) for end in activation_range(node))
        precise = None if wide else [_precise(scale, largest) for scale in scales.tolist()]
        if precise is not None and None not in precise:
            values = np.array(precise, np.uint32)
            return Factors("precisely", values.ravel(), 3 if len(values) > 1 else 0)
        return Factors("double", scales, min(1, len(scales) - 1))
    assert isinstance(rounding, TwoRoundings | WideRounding)
    multiplier, shift = rounding.multiplier.astype(np.int64), rounding.shift.astype(np.int64)
    if isinstance(rounding, WideRounding) and not wide:
        # The same product, with its fraction in the lower word.
        high = multiplier << np.clip(32 - shift, 0, 31)
        if shift.max() <= 32 and shift.min() > 1 and high.max() < 2**31:
            return Factors("high", high.astype(np.int32), min(1, len(high) - 1))
    pairs = np.stack([multiplier, shift], axis=1).astype(np.int32)
    kind = "wide" if isinstance(rounding, WideRounding) else "twice"
    return Factors(kind, pairs.ravel(), 2 if len(pairs) > 1 else 0)


@lru_cache(maxsize=4096)
def _precise(scale: float, largest: int) -> tuple[int, int, int] | None:
    """The factor's 64 bits and shift, where rounding equals that in double up to `largest`.

    Both are monotone functions of the sum, and odd, so that they are equal if they are on both
    sides of every step of the one in double.
    """
    if not 2.0**-31 < scale < 0.5:
        return None
    mantissa, exponent = np.frexp(scale)
    shift = -int(exponent)
    if shift < 1:
        return None
    # A double has 53 bits, so that the factor is exact.
    factor = int(mantissa * 2**53) << 11
    steps = np.arange(1, largest + 2)
    around = np.ceil((steps - 0.5) / scale)[:, None] + np.arange(-2, 3)
    sums = np.clip(around, 0, 2**31 - 1).astype(np.uint64).ravel()
    low = sums * np.uint64(factor & 0xFFFFFFFF)
    high = sums * np.uint64(factor >> 32) + (low >> np.uint64(32))
    got = ((high >> np.uint64(32)) + np.uint64(1 << (shift - 1))) >> np.uint64(shift)
    wanted = round_half_away(sums.astype(np.float64) * scale)
    if not np.array_equal(got.astype(np.float64), wanted):
        return None
    return factor & 0xFFFFFFFF, factor >> 32, shift
