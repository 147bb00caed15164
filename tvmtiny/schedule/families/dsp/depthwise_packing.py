"""Constants of the kernels of ``tvmtiny_dsp_depthwise.h``: output scaling and weights."""

from __future__ import annotations

import numpy as np

from tvmtiny.ops import Node
from tvmtiny.ops.shared.output_rounding import convolution_rounding
from tvmtiny.ops.shared.sliding_window import Window
from tvmtiny.ops.shared.weights import accumulator_range, bias_values
from tvmtiny.schedule.families.dsp.requantize import SHIFTS, Scaling, solve
from tvmtiny.schedule.per_node import per_node

#: What weights are multiplied by at most, so that the multiplier of the output keeps enough bits.
_GAIN = 256

#: Sums of all outputs of a channel must fit 32 bits: gains times this are at most its scale.
_GAIN_PER_SCALE = 2.0**22


@per_node
def scale_channels(node: Node) -> tuple[Scaling, np.ndarray] | None:
    """Constants of the output, and what the weights of each channel are multiplied by (int64).

    Channels that hardly change their output have tiny scales; their sums would leave 32 bits with
    the gain of the others, and do not need its precision.
    """
    weights = node.input(1)
    assert weights.data is not None
    channels = weights.shape[3]
    flat = weights.data.reshape(-1, channels).T.astype(np.int64)
    rounding = convolution_rounding(node, channels)
    zero_point, bias = node.input(0).zero_point, bias_values(node, channels)
    scales = np.broadcast_to(rounding.scales, (channels,))
    low, high = accumulator_range(flat, bias, zero_point)
    folded = bias.astype(np.int64) - zero_point * flat.sum(axis=1)

    def solve_part(part: np.ndarray, gain: int, shifts: tuple[int, ...] = SHIFTS) -> Scaling | None:
        def reference(acc: np.ndarray) -> np.ndarray:
            every = np.zeros((channels, acc.shape[1]), np.int64)
            every[part] = acc
            return rounding(every.T).T[part]

        reach = (low[part], high[part])
        return solve(reference, scales[part], reach, folded[part], gain=gain, shifts=shifts)

    gains = np.clip(np.floor(scales * _GAIN_PER_SCALE), 1, _GAIN).astype(np.int64)
    special = gains != _GAIN
    usual = np.flatnonzero(~special)
    first = solve_part(usual, _GAIN) if usual.size else None
    if first is not None and not first.signed:
        initial, multiplier = np.zeros(channels, np.int32), np.zeros(channels, np.int32)
        initial[usual], multiplier[usual] = first.initial, first.multiplier
        for channel in np.flatnonzero(special):
            part = np.array([channel])
            found = solve_part(part, int(gains[channel]), (first.shift,))
            if found is None or found.signed:
                break
            initial[part], multiplier[part] = found.initial, found.multiplier
        else:
            return Scaling(initial, multiplier, first.shift), gains
    if not special.any():
        return None if first is None else (first, gains)
    whole = solve_part(np.arange(channels), _GAIN)
    return None if whole is None else (whole, np.full(channels, _GAIN, np.int64))


def pack_stream(
    taps: np.ndarray,
    scaling: Scaling,
    zero_point: int,
    geometry: Window,
    whole: bool,
    kernel: str,
) -> np.ndarray:
    """Weights and constants in the order of the header.

    Parameters
    ----------
    taps
        Weights times their gains: int64, ``(channels, height, width)``.
    zero_point
        Of the input.
    whole
        Whether the first output row starts at an odd packed row, for the 3x3 kernel of stride 1.
    kernel
        ``3x3``, or one of the others, which share a format.

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
        return np.stack([*constants, *_interleaved(taps)], axis=1).astype(np.int32)
    outside = zero_point * taps.sum(axis=1)
    constants = [
        initial,
        scaling.multiplier,
        initial + outside[:, 0],
        initial + outside[:, 2],
    ]
    even = _pairs_and_single(taps, (0, 1), 2)
    odd = _pairs_and_single(taps, (1, 2), 0)
    if geometry.stride == (2, 2):
        return np.stack([*even, *constants], axis=1).astype(np.int32)
    first, second = (odd, even) if whole else (even, odd)
    return np.stack([*first, *constants, *second], axis=1).astype(np.int32)


def _pairs_and_single(taps: np.ndarray, pair: tuple[int, int], single: int) -> list[np.ndarray]:
    words = [_word(taps[:, pair[0], x], taps[:, pair[1], x]) for x in range(3)]
    rest = taps[:, single]
    return [*words, _word(rest[:, 0], rest[:, 1]), _word(rest[:, 2], 0 * rest[:, 2]) & 0xFFFF]


def _interleaved(taps: np.ndarray) -> list[np.ndarray]:
    """Words of each column, for a filter that starts at an even row and at an odd one in turn."""
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


def _word(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Two weights as one word of int16 lanes."""
    return (low & 0xFFFF) | (high << 16)
