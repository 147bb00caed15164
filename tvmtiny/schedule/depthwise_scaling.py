"""Output scaling of DEPTHWISE_CONV_2D for each channel, for schedules of all kernel families."""

from __future__ import annotations

import numpy as np

from tvmtiny.ops import Node
from tvmtiny.ops.shared.output_rounding import convolution_rounding
from tvmtiny.ops.shared.weights import accumulator_range, bias_values
from tvmtiny.schedule.clamping import free_limits
from tvmtiny.schedule.per_node import per_layer
from tvmtiny.schedule.requantize import SHIFTS, solve
from tvmtiny.schedule.scaling import Scaling

#: Largest factor of the weights, which preserves bits of the output's multiplier.
GAIN = 256

#: Factor of weights of 4 bits that are stored as such.
NIBBLE_GAIN = 4096

#: The sums of a channel must fit 32 bits: its gain is at most its scale times this value.
_GAIN_PER_SCALE = 2.0**22


#: Additional factors for narrow weights, the smallest first.
_FACTORS = (4, 16)


@per_layer
def scale_channels(
    node: Node, usable_shifts: tuple[int, ...] = SHIFTS, narrow: bool = False
) -> tuple[Scaling, np.ndarray] | None:
    """Find constants of the output, and the factor of each channel's weights (int64).

    Channels that hardly affect their output have tiny scales. With the gain of the other channels
    their sums would exceed 32 bits, and they do not need its precision.

    Parameters
    ----------
    node
        The DEPTHWISE_CONV_2D.
    usable_shifts
        Shifts to try, see `tvmtiny.schedule.requantize.solve`.
    narrow
        Whether weights of less than 8 bits may have larger factors if that avoids rounding by
        sign; the products still fit those of 8-bit weights.

    Returns
    -------
    tuple or None
        None if no constants are exact.
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


@per_layer
def scale_nibbles(node: Node, row: int, usable_shifts: tuple[int, ...]) -> Scaling | None:
    """Find constants for weights of 4 bits times `NIBBLE_GAIN` that do not round by sign.

    Parameters
    ----------
    node
        A DEPTHWISE_CONV_2D with 3x3 filters.
    row
        The row of the filters whose last weight is in the lower 4 bits of the initial accumulator.
    usable_shifts
        Shifts to try, see `tvmtiny.schedule.requantize.solve`.

    Returns
    -------
    Scaling or None
        None if weights do not fit 4 bits, or no constants are exact.
    """
    data = node.input(1).data
    assert data is not None
    if data.min() < -8 or data.max() > 7:
        return None
    found = _scale(node, usable_shifts, NIBBLE_GAIN, data[0, row, -1])
    if found is None or found[0].signed or np.any(found[1] != NIBBLE_GAIN):
        return None
    return found[0]


def _scale(
    node: Node,
    usable_shifts: tuple[int, ...],
    most: int,
    nibbles: np.ndarray | None = None,
) -> tuple[Scaling, np.ndarray] | None:
    """Find constants and factors of at most `most`; see `solve` for `nibbles`."""
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
            if len(part) == channels:
                return rounding(acc.T).T
            every = np.zeros((channels, acc.shape[1]), np.int64)
            every[part] = acc
            return rounding(every.T).T[part]

        reach = (low[part], high[part])
        return solve(
            reference,
            scales[part],
            reach,
            folded[part],
            gain=gain,
            shifts=shifts,
            limits=free_limits(node),
            nibbles=None if nibbles is None else nibbles[part],
            identity=(rounding.identity, part.tobytes()),
        )

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
