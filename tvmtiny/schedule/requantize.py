"""Requantization in two instructions, proven exact for each channel when code is generated.

SMMUL and SSAT compute ``clamp((acc * multiplier >> 32) >> shift)``. This is a monotone function of
the accumulator, as are all roundings that TFLite defines. Two monotone functions are equal if they
take each step at the same accumulator. The steps of TFLite's function are computed once per
channel. For a given multiplier, each step bounds the initial accumulator from below and from above.
The exact initial values thus form an interval, which is either empty or proves the channel.

Where TFLite rounds positive and negative sums differently (two roundings, halves away from zero,
and an output that is not clamped at its zero point), two more instructions add a step below zero.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from tvmtiny.schedule.output_steps import FAR, Reference, Steps, between, find_steps
from tvmtiny.schedule.requantize_by_sign import signed_points, solve_by_sign
from tvmtiny.schedule.scaling import Scaling

#: Shifts in the order of trial: common shifts come first, so that layers share micro-kernels.
SHIFTS = (12, 13, 14, 11, 15, 10, 16, 9, 17, 8, 18, 7, 19, 6, 20, 5, 21, 4, 22, 3, 23, 2)

#: Largest offset from the nearest multiplier to try.
_FARTHEST = 24

#: Offsets from the nearest multiplier, the smallest first.
_NEIGHBOURS = np.array(sorted(range(-_FARTHEST, _FARTHEST + 1), key=abs))

#: More multipliers to try for channels whose output never changes.
_POWERS = 1 << np.arange(30, 4, -1)

#: Number of multipliers that are tried for all channels at once, before single channels.
_TOGETHER = 9

#: Size of the cache: more solutions than any model has layers.
_KEPT_SOLUTIONS = 512

#: The outputs of SSAT: the range of int8.
_WHOLE = (-128, 127)


#: Cache of solutions by their inputs: the same layer for another CPU or goal, and the same
#: candidate of another node, are solved once.
_solutions: dict[tuple[Hashable, ...], Scaling | None] = {}


def solve(
    reference: Reference,
    scales: np.ndarray,
    reach: tuple[np.ndarray, np.ndarray],
    bias: np.ndarray,
    *,
    gain: int = 256,
    excess: np.ndarray | int = 0,
    shifts: tuple[int, ...] = SHIFTS,
    limits: tuple[int, int] = _WHOLE,
    nibbles: np.ndarray | None = None,
    identity: Hashable = None,
) -> Scaling | None:
    """Find initial accumulators and multipliers so that both instructions equal `reference`.

    The hardware's accumulator is ``initial + gain * (acc - bias) + excess``.

    Parameters
    ----------
    reference
        Exact outputs, in ``[-128, 127]``, of accumulators that include the bias.
    scales
        Output steps per accumulator step, used as a first guess: float64, ``(channels,)``.
    reach
        Smallest and largest accumulator of each channel, including bias: int64, ``(channels,)``.
    bias
        The part that is not in the sum of products: int64, ``(channels,)``.
    gain, excess
        Factor of the sum of products, and a constant that kernels add to it.
    shifts
        Shifts to try, in order.
    limits
        Smallest and largest output, if the caller clamps outputs to them. The instructions may then
        give any output that is clamped to that of `reference`.
    nibbles
        The lower 4 bits that initial accumulators must have, ``(channels,)``: kernels read a
        weight from there. Constants that round by sign do not have them.
    identity
        A value that equal references share, and different ones do not; None for a reference that
        is asked for once.

    Returns
    -------
    Scaling or None
        None if a channel has no solution, or could overflow 32 bits.
    """
    low, high = (np.asarray(bound, np.int64) for bound in reach)
    bias = np.asarray(bias, np.int64)[:, None]
    extra = np.broadcast_to(np.asarray(excess, np.int64), low.shape)[:, None]

    def found() -> Scaling | None:
        return _solve(reference, scales, low, high, bias, gain, extra, shifts, limits, nibbles)

    if identity is None:
        return found()
    arrays = (scales, low, high, bias, extra, *(() if nibbles is None else (nibbles,)))
    key = identity, gain, shifts, limits, *(array.tobytes() for array in arrays)
    if key not in _solutions:
        if len(_solutions) == _KEPT_SOLUTIONS:
            _solutions.clear()
        _solutions[key] = found()
    return _solutions[key]


def _solve(
    reference: Reference,
    scales: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    bias: np.ndarray,
    gain: int,
    extra: np.ndarray,
    shifts: tuple[int, ...],
    limits: tuple[int, int],
    nibbles: np.ndarray | None,
) -> Scaling | None:
    if limits[0] >= limits[1] or (
        limits == _WHOLE and _is_clamped_early(reference, scales, low, high, gain, shifts)
    ):
        return None
    steps = find_steps(reference, scales[:, None], low[:, None], high[:, None], limits)

    def summed(acc: np.ndarray) -> np.ndarray:
        return gain * (acc - bias) + extra

    hardware = Steps(
        steps.outputs,
        summed(steps.at),
        summed(steps.below),
        steps.taken_at_once,
        steps.never_taken,
        None if nibbles is None else nibbles.astype(np.int64) & 15,
    )
    ends = summed(np.stack([low, high], axis=1))
    if np.abs(ends).max() >= 2**31:
        return None
    found = _solve_plain(hardware, ends, scales / gain, shifts)
    if found is not None:
        return found
    at_zero = reference(np.tile(np.array([0, -1]), (len(low), 1)))
    points = signed_points(at_zero, steps, low, high, limits)
    return solve_by_sign(points, low, high, gain * bias[:, 0] - extra[:, 0], scales, gain)


def _is_clamped_early(
    reference: Reference,
    scales: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    gain: int,
    shifts: tuple[int, ...],
) -> bool:
    """Return whether a channel's output is constant for more than a step within SSAT's bounds.

    A fused activation clamps in this way if the zero point is not the smallest output. Within the
    bounds of SSAT, two accumulators of one sign that are two steps apart never have the same
    output, because every multiplier that is tried is at least half of the nominal one. No solution
    is then exact.
    """
    if np.min(scales) / gain * 2.0 ** (32 + min(shifts)) < 2 * _FARTHEST:
        return False
    apart = np.ceil(2 / scales).astype(np.int64) + 2
    below, above = low + apart, high - apart
    # Accumulators of one sign, or any other value if there is no such accumulator.
    below, above = np.where(below < 0, below, low), np.where(above >= 0, above, high)
    values = reference(np.stack([low, below, above, high], axis=1))
    first, near_first, near_last, last = values.T
    varies = first < last
    least = (below > low) & (first > -128) & (near_first == first)
    most = (above < high) & (last < 127) & (near_last == last)
    return bool((varies & (least | most)).any())


def _solve_plain(
    steps: Steps, ends: np.ndarray, scales: np.ndarray, shifts: tuple[int, ...]
) -> Scaling | None:
    possible, probe = _possible(steps, scales, shifts)
    for shift in possible:
        found, probe = _solve_shift(steps, ends, scales, shift, probe)
        if found is not None:
            return found
    return None


def _possible(steps: Steps, scales: np.ndarray, shifts: Sequence[int]) -> tuple[list[int], int]:
    """Return shifts that exact arithmetic does not rule out, and the most demanding channel.

    With the multiplier that `scales` demand, each step bounds the initial accumulator to an
    interval. Multipliers that are tried are so close that they hardly move the intervals.
    """
    largest = float(scales.max())
    shifts = [s for s in shifts if round(largest * 2.0 ** (32 + s)) < 2**31 - _FARTHEST]
    places = steps.outputs / np.maximum(scales, 2.0**-60)[:, None]
    least = np.where(steps.never_taken, -np.inf, places - steps.at).max(axis=1)
    most = np.where(steps.taken_at_once, np.inf, places - steps.below).min(axis=1)
    apart = np.where(steps.constant, -np.inf, least - most)
    farthest = np.maximum(-places[:, 0], places[:, -1])
    nominal = scales * 2.0 ** (32 + np.array(shifts, np.float64)[:, None])
    change = _FARTHEST + 1
    moved = farthest * change / np.maximum(nominal - change, 2.0**-60)
    possible = (apart <= 2 * moved + 1).all(axis=1)
    left = [s for s, allowed in zip(shifts, possible.tolist(), strict=True) if allowed]
    return left, int(apart.argmax())


def _nominal(scales: np.ndarray, shift: int) -> np.ndarray:
    return np.asarray(np.rint(scales * 2.0 ** (32 + shift)))


def _candidates(steps: Steps, nominal: int, channel: int) -> np.ndarray:
    """Return the multipliers to try for one channel, of which some may not be positive."""
    near = nominal + _NEIGHBOURS
    return np.concatenate([near, _POWERS]) if steps.constant[channel] else near


def _solve_shift(
    steps: Steps, ends: np.ndarray, scales: np.ndarray, shift: int, probe: int
) -> tuple[Scaling | None, int]:
    """Solve for one shift.

    Parameters
    ----------
    probe
        The channel to try first: a demanding one, or one without a solution for another shift.

    Returns
    -------
    scaling, probe
        The solution; if there is none, None and a channel without a solution.
    """
    nominal = _nominal(scales, shift).astype(np.int64)

    def solve_alone(channel: int) -> tuple[int, int] | None:
        every = _candidates(steps, nominal[channel], channel)
        exact, chosen = _exact(steps, ends, np.full(len(every), channel), every, shift)
        return (chosen[exact.argmax()], every[exact.argmax()]) if exact.any() else None

    if solve_alone(probe) is None:
        return None, probe
    initial = np.zeros(len(scales), np.int64)
    multiplier = np.zeros(len(scales), np.int64)
    missing = np.arange(len(scales))
    for neighbour in _NEIGHBOURS[:_TOGETHER]:
        candidate = nominal + neighbour
        exact, chosen = _exact(steps, ends, missing, candidate[missing], shift)
        found = missing[exact]
        initial[found], multiplier[found] = chosen[exact], candidate[found]
        missing = missing[~exact]
        if not missing.size:
            break
    # All multipliers of a channel at once: layers without a solution usually have such a channel.
    for channel in missing.tolist():
        alone = solve_alone(channel)
        if alone is None:
            return None, channel
        initial[channel], multiplier[channel] = alone
    return Scaling(initial.astype(np.int32), multiplier.astype(np.int32), shift), probe


def _exact(
    steps: Steps, ends: np.ndarray, channels: np.ndarray, multipliers: np.ndarray, shift: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return for which of `channels` the multipliers are exact, and the initial accumulators."""
    least, most = _bounds(steps, channels, np.maximum(multipliers, 1)[:, None], shift)
    chosen = between(least, most)
    if steps.nibbles is not None:
        chosen += (steps.nibbles[channels] - chosen + 8) % 16 - 8
    fitting = (least <= chosen) & (chosen <= most)
    totals = chosen[:, None] + ends[channels]
    fits = (np.abs(totals).max(axis=1) < 2**31) & (np.abs(chosen) < 2**31)
    return (multipliers > 0) & fitting & fits, chosen


def _bounds(
    steps: Steps, channels: np.ndarray, m: np.ndarray, shift: np.ndarray | int
) -> tuple[np.ndarray, np.ndarray]:
    """Return bounds of the initial accumulators of `channels` for multipliers `m`."""
    # Solve acc * m >= output << (32 + shift) for acc.
    target = -((-(steps.outputs.astype(np.int64)[None, :] << (32 + shift))) // m)
    least = np.where(steps.never_taken[channels], -FAR, target - steps.at[channels]).max(axis=1)
    below = target - 1 - steps.below[channels]
    most = np.where(steps.taken_at_once[channels], FAR, below).min(axis=1)
    return least, most
