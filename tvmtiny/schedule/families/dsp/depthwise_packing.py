"""Constants of the kernels of ``tvmtiny_dsp_depthwise.h``: weights and output scaling."""

from __future__ import annotations

import numpy as np

from tvmtiny.ops.shared.sliding_window import Window
from tvmtiny.schedule.scaling import Scaling


def pack_stream(
    taps: np.ndarray,
    scaling: Scaling,
    zero_point: int,
    geometry: Window,
    whole: bool,
    kernel: str,
    even: bool = False,
    bits: int = 16,
) -> np.ndarray:
    """Arrange weights and constants in the order of the header.

    Parameters
    ----------
    taps
        Weights times their gains: int64, ``(channels, height, width)``.
    zero_point
        Zero point of the input.
    whole
        Whether the first output row starts at an odd packed row, for the 3x3 kernel of stride 1.
    kernel
        ``3x3``, or one of the other kernels, which share a format.
    even
        Whether these other kernels start only at even rows.
    bits
        Bits of a weight in the stream for 3x3 filters: 16, 8 or 4.

    Returns
    -------
    np.ndarray
        int32, ``(channels, words)``.
    """
    initial = scaling.initial.astype(np.int64)
    if kernel != "3x3":
        constants = [initial, scaling.multiplier]
        if scaling.offset is not None and scaling.step is not None:
            constants += [scaling.offset, scaling.step]
        words = _interleaved(taps)[:: 2 if even else 1]
        return np.stack([*constants, *words], axis=1).astype(np.int32)
    outside = zero_point * taps.sum(axis=1)
    constants = [
        initial,
        scaling.multiplier,
        initial + outside[:, 0],
        initial + outside[:, 2],
    ]
    upper = _pairs_and_single(taps, (0, 1), 2)
    lower = _pairs_and_single(taps, (1, 2), 0)
    first, second = (lower, upper) if whole and geometry.stride == (1, 1) else (upper, lower)
    if bits == 4:
        nibbles = [(word & 0xF000F000) >> 4 * i for i, word in enumerate(first[:4])]
        packed = np.bitwise_or.reduce(nibbles).astype(np.uint32).view(np.int32)
        return np.stack([packed, *constants[:2]], axis=1).astype(np.int32)
    if bits == 8:
        pairs = [_bytes(first[0], first[1]), _bytes(first[2], first[3]), first[4]]
        return np.stack([*pairs, *constants], axis=1).astype(np.int32)
    if geometry.stride == (2, 2):
        return np.stack([*upper, *constants], axis=1).astype(np.int32)
    return np.stack([*first, *constants, *second], axis=1).astype(np.int32)


def pack_single(taps: np.ndarray, scaling: Scaling) -> np.ndarray:
    """Build the stream of kernels that compute a single pixel of a single column.

    Parameters
    ----------
    taps
        Weights times their gains: int64, ``(channels, height, 1)``.

    Returns
    -------
    np.ndarray
        int32, ``(channels, words)``: initial, multiplier and, for rounding by sign, offset and
        step; then a word for each pair of rows.
    """
    constants = [scaling.initial.astype(np.int64), scaling.multiplier]
    if scaling.offset is not None and scaling.step is not None:
        constants += [scaling.offset, scaling.step]
    rows = np.pad(taps[:, :, 0], ((0, 0), (0, taps.shape[1] % 2)))
    pairs = [_word(rows[:, i], rows[:, i + 1]) for i in range(0, rows.shape[1], 2)]
    return np.stack([*constants, *pairs], axis=1).astype(np.int32)


def _pairs_and_single(taps: np.ndarray, pair: tuple[int, int], single: int) -> list[np.ndarray]:
    words = [_word(taps[:, pair[0], x], taps[:, pair[1], x]) for x in range(3)]
    rest = taps[:, single]
    return [*words, _word(rest[:, 0], rest[:, 1]), _word(rest[:, 2], 0 * rest[:, 2]) & 0xFFFF]


def _interleaved(taps: np.ndarray) -> list[np.ndarray]:
    """Words of each column, for a filter that starts at an even row and for one at an odd row."""
    channels, height, width = taps.shape
    count = height // 2 + 1
    words = []
    for x in range(width):
        even = np.zeros((channels, 2 * count), np.int64)
        odd = np.zeros((channels, 2 * count), np.int64)
        even[:, :height] = taps[:, :, x]
        odd[:, 1 : height + 1] = taps[:, :, x]
        for i in range(0, 2 * count, 2):
            words += [_word(even[:, i], even[:, i + 1]), _word(odd[:, i], odd[:, i + 1])]
    return words


def _bytes(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The upper bytes of the lanes of two words, as one word."""
    return (((first & 0xFF00FF00) >> 8) | (second & 0xFF00FF00)).astype(np.uint32).view(np.int32)


def _word(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Two weights as one word of int16 lanes."""
    return (low & 0xFFFF) | (high << 16)
