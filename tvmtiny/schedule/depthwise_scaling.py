"""Output scaling of DEPTHWISE_CONV_2D, channel by channel, for schedules of every kernel family."""

from __future__ import annotations

import numpy as np

from tvmtiny.ops import Node
from tvmtiny.ops.shared.output_rounding import convolution_rounding
from tvmtiny.ops.shared.weights import accumulator_range, bias_values
from tvmtiny.schedule.per_node import per_layer
from tvmtiny.schedule.requantize import SHIFTS, Scaling, solve

#: What weights are multiplied by at most, so that the multiplier of the output keeps enough bits.
GAIN = 256

#: Sums of all outputs of a channel must fit 32 bits: gains times this are at most its scale.
_GAIN_PER_SCALE = 2.0**22


#: What narrow weights may be multiplied by besides, the least first.
_FACTORS = (4, 16)


@per_layer
def scale_channels(
    node: Node, usable_shifts: tuple[int, ...] = SHIFTS, narrow: bool = False
) -> tuple[Scaling, np.ndarray] | None:
    """Constants of the output, and what the weights of each channel are multiplied by (int64).

    Channels that hardly change their output have tiny scales; their sums would leave 32 bits with
    the gain of the others, and do not need its precision.

    Parameters
    ----------
    usable_shifts
        See `tvmtiny.schedule.requantize.solve`.
    narrow
        Whether weights with less than 8 bits may be multiplied by more, so that products still fit
        those of 8 bits, where that lets outputs be rounded alike whatever their sign.
    """
    first = _scale(node, usable_shifts, GAIN)
    if not narrow or (first is not None and not first[0].signed):
        return first
    data = node.input(1).data
    assert data is not None
    largest = int(np.abs(data.astype(np.int64)).max(initial=1))
    for factor in _FACTORS:
        found = _scale(node, usable_shifts, GAIN * factor) if largest * factor <= 127 else None
        if found is not None and not found[0].signed:
            return found
    return first


def _scale(
    node: Node, usable_shifts: tuple[int, ...], most: int
) -> tuple[Scaling, np.ndarray] | None:
    """The same with gains of at most `most`."""
    weights = node.input(1)
    assert weights.data is not None
    channels = weights.shape[3]
    flat = weights.data.reshape(-1, channels).T.astype(np.int64)
    rounding = convolution_rounding(node, channels)
    zero_point, bias = node.input(0).zero_point, bias_values(node, channels)
    scales = np.broadcast_to(rounding.scales, (channels,))
    low, high = accumulator_range(flat, bias, zero_point)
    folded = bias.astype(np.int64) - zero_point * flat.sum(axis=1)

    def solve_part(part: np.ndarray, gain: int, shifts: tuple[int, ...]) -> Scaling | None:
        def reference(acc: np.ndarray) -> np.ndarray:
            every = np.zeros((channels, acc.shape[1]), np.int64)
            every[part] = acc
            return rounding(every.T).T[part]

        reach = (low[part], high[part])
        return solve(reference, scales[part], reach, folded[part], gain=gain, shifts=shifts)

    gains = np.clip(np.floor(scales * (_GAIN_PER_SCALE * most / GAIN)), 1, most).astype(np.int64)
    special = gains != most
    usual = np.flatnonzero(~special)
    first = solve_part(usual, most, usable_shifts) if usual.size else None
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
    whole = solve_part(np.arange(channels), most, usable_shifts)
    return None if whole is None else (whole, np.full(channels, most, np.int64))
