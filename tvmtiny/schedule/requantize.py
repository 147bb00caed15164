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

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

#: Shifts in the order of trial: common shifts come first, so that layers share micro-kernels.
SHIFTS = (12, 13, 14, 11, 15, 10, 16, 9, 17, 8, 18, 7, 19, 6, 20, 5, 21, 4, 22, 3, 23, 2)

#: Offsets from the nearest multiplier to try, the smallest first.
_NEIGHBOURS = sorted(range(-24, 25), key=abs)

#: Of so many steps, one is enough to rule out most multipliers.
_APART = 12

#: Number of multipliers that are tried for all channels at once, before single channels.
_TOGETHER = 9

#: Size of the cache: more solutions than any model has layers.
_KEPT_SOLUTIONS = 512

#: Distance in accumulators, in most cases, from a step of TFLite's function to the exact one.
_NEAR = 1

#: Stands for a missing bound of an initial accumulator.
_FAR = 2**62

#: The outputs of SSAT: the range of int8.
_WHOLE = (-128, 127)

#: TFLite's function from accumulators, ``(channels, n)``, to clamped outputs, both int64.
Reference = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Scaling:
    """Constants of `SMMUL` and `SSAT` for each channel.

    Attributes
    ----------
    initial
        Initial accumulators with bias, zero points and rounding: int32, ``(channels,)``.
    multiplier
        Multipliers: int32, ``(channels,)``.
    shift
        The right shift, shared by all channels.
    offset, step
        Values for rounding by sign: `offset` is added before the shift, `step` only below zero.
        None without such rounding.
    """

    initial: np.ndarray
    multiplier: np.ndarray
    shift: int
    offset: np.ndarray | None = None
    step: np.ndarray | None = None

    @property
    def signed(self) -> bool:
        """Whether positive and negative sums are rounded differently."""
        return self.offset is not None


#: Cache of solutions by a hash of their inputs: the same layer for another CPU or goal, and the
#: same candidate of another node, are solved once.
_solutions: dict[bytes, Scaling | None] = {}


@dataclass(frozen=True, eq=False)
class _Steps:
    """The steps of TFLite's function for each channel, ``(channels, n)``.

    The output is at least ``outputs[n]`` from the accumulator ``at[n]`` on. A step taken at the
    smallest accumulator has only a lower bound, and a step that is never taken only an upper one.
    `nibbles` are the lower 4 bits that initial accumulators must have, if any.
    """

    outputs: np.ndarray
    at: np.ndarray
    below: np.ndarray
    taken_at_once: np.ndarray
    never_taken: np.ndarray
    nibbles: np.ndarray | None = None

    @cached_property
    def few(self) -> _Steps:
        """Some of the steps, without `nibbles`."""
        return _Steps(
            self.outputs[::_APART],
            self.at[:, ::_APART],
            self.below[:, ::_APART],
            self.taken_at_once[:, ::_APART],
            self.never_taken[:, ::_APART],
        )

    @cached_property
    def constant(self) -> np.ndarray:
        """Channels whose output never changes."""
        return np.asarray((self.taken_at_once | self.never_taken).all(axis=1))


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

    Returns
    -------
    Scaling or None
        None if a channel has no solution, or could overflow 32 bits.
    """
    low, high = (np.asarray(bound, np.int64) for bound in reach)
    bias = np.asarray(bias, np.int64)[:, None]
    extra = np.broadcast_to(np.asarray(excess, np.int64), low.shape)[:, None]
    if limits[0] >= limits[1] or (
        limits == _WHOLE and _is_clamped_early(reference, scales, low, high, gain, shifts)
    ):
        return None
    steps = _find_steps(reference, scales[:, None], low[:, None], high[:, None], limits)

    def summed(acc: np.ndarray) -> np.ndarray:
        return gain * (acc - bias) + extra

    hardware = _Steps(
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
    at_zero = reference(np.tile(np.array([0, -1]), (len(low), 1)))
    # The first accumulator behind each step stands for all else that is known of the step.
    first = steps.at + steps.never_taken
    last = np.zeros(0) if hardware.nibbles is None else hardware.nibbles
    key = _digest(gain, shifts, limits, scales, low, high, bias, extra, last, first, at_zero)
    if key not in _solutions:
        if len(_solutions) == _KEPT_SOLUTIONS:
            _solutions.clear()
        start = gain * bias[:, 0] - extra[:, 0]
        found = _solve_plain(hardware, ends, scales / gain, shifts)
        if found is None:
            points = _signed_points(at_zero, steps, low, high, limits)
            found = _solve_by_sign(points, low, high, start, scales, gain)
        _solutions[key] = found
    return _solutions[key]


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
    if np.min(scales) / gain * 2.0 ** (32 + min(shifts)) < 2 * max(_NEIGHBOURS):
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


def _digest(
    gain: int, shifts: tuple[int, ...], limits: tuple[int, int], *arrays: np.ndarray
) -> bytes:
    found = hashlib.sha256(repr((gain, shifts, limits)).encode())
    for array in arrays:
        found.update(repr((array.dtype, array.shape)).encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.digest()


def _solve_plain(
    steps: _Steps, ends: np.ndarray, scales: np.ndarray, shifts: tuple[int, ...]
) -> Scaling | None:
    probe, left = 0, _possible(steps, scales, shifts, 0)
    while left:
        found, failed = _solve_shift(steps, ends, scales, left[0], probe)
        if found is not None:
            return found
        left = left[1:]
        if failed != probe:
            probe, left = failed, _possible(steps, scales, left, failed)
    return None


def _possible(
    steps: _Steps, scales: np.ndarray, shifts: Sequence[int], channel: int
) -> Sequence[int]:
    """Return those of `shifts` for which a few steps of a channel do not rule out a solution."""
    fitting = [s for s in shifts if _nominal(scales.max(), s) < 2**31 - max(_NEIGHBOURS)]
    m = [_candidates(steps, _nominal(scales[channel], s).item(), channel) for s in fitting]
    if not m:
        return []
    least, most = _bounds(
        steps.few,
        np.full(sum(map(len, m)), channel),
        np.maximum(np.concatenate(m), 1)[:, None],
        np.repeat(fitting, len(m[0]))[:, None],
    )
    possible = np.any((least <= most).reshape(len(m), -1), axis=1)
    return [s for s, allowed in zip(fitting, possible.tolist(), strict=True) if allowed]


def _nominal(scales: np.ndarray, shift: int) -> np.ndarray:
    return np.asarray(np.rint(scales * 2.0 ** (32 + shift)))


def _candidates(steps: _Steps, nominal: float, channel: int) -> np.ndarray:
    """Return the multipliers to try for one channel, of which some may not be positive."""
    powers = [2**exponent for exponent in range(30, 4, -1) if steps.constant[channel]]
    return np.array([*(int(nominal) + neighbour for neighbour in _NEIGHBOURS), *powers])


def _solve_by_sign(
    points: _Points,
    low: np.ndarray,
    high: np.ndarray,
    start: np.ndarray,
    scales: np.ndarray,
    gain: int,
) -> Scaling | None:
    best = int(np.floor(31 - np.log2(max(scales.max() / gain, 2.0**-60)) - 32))
    for shift in range(best, best - 4, -1):
        found = _solve_signed(points, low, high, start, scales, gain, shift)
        if found is not None:
            return found
    return None


def _find_steps(
    reference: Reference,
    scales: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    limits: tuple[int, int],
) -> _Steps:
    """Find all steps within `limits` by bisection; the arrays have the shape ``(channels, 1)``.

    A step lies within a few accumulators of its place in exact arithmetic, where the bisection
    starts. If the function's values contradict that, it starts with the whole range.
    """
    outputs = np.arange(limits[0] + 1, limits[1] + 1)
    origin = np.clip(0, low, high)
    values = reference(np.concatenate([low, origin, high], axis=1))
    least, at_origin, most = values[:, :1], values[:, 1:2], values[:, 2:]
    zero_point = at_origin - np.rint(origin * scales)
    ideal = np.ceil((outputs - 0.5 - zero_point) / np.maximum(scales, 2.0**-60))
    first = np.clip(ideal - _NEAR, low, high + 1).astype(np.int64)
    last = np.clip(ideal + _NEAR, low, high + 1).astype(np.int64)
    first = np.where(reference(np.clip(first - 1, low, high)) < outputs, first, low)
    last = np.where(reference(np.minimum(last, high)) >= outputs, last, high + 1)
    taken_at_once, never_taken = outputs <= least, outputs > most
    first = np.where(taken_at_once, low, np.where(never_taken, high + 1, first))
    last = np.where(taken_at_once, low, np.where(never_taken, high + 1, last))
    while np.any(first < last):
        middle = (first + last) >> 1
        reached = reference(np.minimum(middle, high)) >= outputs
        last = np.where(reached & (first < last), middle, last)
        first = np.where(reached, first, np.minimum(middle + 1, last))
    return _Steps(
        outputs,
        np.minimum(first, high),
        np.clip(first - 1, low, high),
        first <= low,
        first > high,
    )


def _solve_shift(
    steps: _Steps, ends: np.ndarray, scales: np.ndarray, shift: int, probe: int
) -> tuple[Scaling | None, int]:
    """Solve for one shift.

    Parameters
    ----------
    probe
        The channel to try first: one that had no solution for another shift.

    Returns
    -------
    scaling, probe
        The solution; if there is none, None and a channel without a solution.
    """
    nominal = _nominal(scales, shift).astype(np.int64)

    def solve_alone(channel: int) -> tuple[int, int] | None:
        every = _candidates(steps, nominal[channel].item(), channel)
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
    steps: _Steps, ends: np.ndarray, channels: np.ndarray, multipliers: np.ndarray, shift: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return for which of `channels` the multipliers are exact, and the initial accumulators."""
    least, most = _bounds(steps, channels, np.maximum(multipliers, 1)[:, None], shift)
    chosen = _between(least, most)
    if steps.nibbles is not None:
        chosen += (steps.nibbles[channels] - chosen + 8) % 16 - 8
    fitting = (least <= chosen) & (chosen <= most)
    totals = chosen[:, None] + ends[channels]
    fits = (np.abs(totals).max(axis=1) < 2**31) & (np.abs(chosen) < 2**31)
    return (multipliers > 0) & fitting & fits, chosen


def _bounds(
    steps: _Steps, channels: np.ndarray, m: np.ndarray, shift: np.ndarray | int
) -> tuple[np.ndarray, np.ndarray]:
    """Return bounds of the initial accumulators of `channels` for multipliers `m`."""
    # Solve acc * m >= output << (32 + shift) for acc.
    target = -((-(steps.outputs.astype(np.int64)[None, :] << (32 + shift))) // m)
    least = np.where(steps.never_taken[channels], -_FAR, target - steps.at[channels]).max(axis=1)
    below = target - 1 - steps.below[channels]
    most = np.where(steps.taken_at_once[channels], _FAR, below).min(axis=1)
    return least, most


def _between(least: np.ndarray, most: np.ndarray) -> np.ndarray:
    """Return a value between bounds, one of which may be missing."""
    no_least, no_most = least == -_FAR, most == _FAR
    middle = np.where(no_least | no_most, 0, (least + most) >> 1)
    middle = np.where(no_least & ~no_most, most, middle)
    return np.where(no_most & ~no_least, least, middle)


@dataclass(frozen=True, eq=False)
class _Points:
    """Accumulators that must reach an output, or stay below one: ``(channels, n)`` each."""

    reach_acc: np.ndarray
    reach_output: np.ndarray
    reach_valid: np.ndarray
    below_acc: np.ndarray
    below_output: np.ndarray
    below_valid: np.ndarray


def _signed_points(
    at_zero: np.ndarray,
    steps: _Steps,
    low: np.ndarray,
    high: np.ndarray,
    limits: tuple[int, int],
) -> _Points:
    """Return all steps, and both sides of zero, where the offset changes.

    Parameters
    ----------
    at_zero
        The outputs of accumulators 0 and -1, ``(channels, 2)``.
    """
    channels = len(low)
    zero = np.tile(np.array([0, -1]), (channels, 1))
    inside = (zero >= low[:, None]) & (zero <= high[:, None])
    outputs = np.tile(steps.outputs, (channels, 1))
    return _Points(
        np.concatenate([steps.at, zero], axis=1),
        np.concatenate([outputs, at_zero], axis=1),
        np.concatenate([~steps.never_taken, inside & (at_zero > limits[0])], axis=1),
        np.concatenate([steps.below, zero], axis=1),
        np.concatenate([outputs, at_zero + 1], axis=1),
        np.concatenate([~steps.taken_at_once, inside & (at_zero < limits[1])], axis=1),
    )


def _solve_signed(
    points: _Points,
    low: np.ndarray,
    high: np.ndarray,
    start: np.ndarray,
    scales: np.ndarray,
    gain: int,
    shift: int,
) -> Scaling | None:
    if not 0 < shift < 24:
        return None
    nominal = np.rint(scales / gain * 2.0 ** (32 + shift)).astype(np.int64)
    ends = gain * np.stack([low, high], axis=1)
    if nominal.max() >= 2**31 - 16 or np.abs(ends).max() + gain >= 2**31:
        return None
    # A fraction of one accumulator step does not change the sign.
    neighbours = sorted(range(-3, 4), key=abs)
    fractions = np.repeat(np.arange(0, gain, max(gain // 16, 1)), len(neighbours))
    nearest = np.tile(neighbours, len(fractions) // len(neighbours))
    # The pair of fraction and multiplier for each channel: the first exact one.
    taken = np.zeros(len(scales), np.int64)
    missing = np.arange(len(scales))
    for pair in range(len(neighbours)):
        m = np.maximum(nominal[missing] + nearest[pair], 0)
        at_zero = np.zeros_like(missing)
        exact, *_ = _exact_by_sign(points, ends, missing, at_zero, m, gain, shift)
        taken[missing[exact]] = pair
        missing = missing[~exact]
        if not missing.size:
            break
    # All pairs of a channel at once: layers without a solution usually have such a channel.
    for channel in missing:
        m = np.maximum(nominal[channel] + nearest, 0)
        one = np.full(len(m), channel)
        exact, *_ = _exact_by_sign(points, ends, one, fractions, m, gain, shift)
        if not exact.any():
            return None
        taken[channel] = exact.argmax()
    m = np.maximum(nominal + nearest[taken], 0)
    _, positive, negative = _exact_by_sign(
        points, ends, np.arange(len(m)), fractions[taken], m, gain, shift
    )
    initial, multiplier, offset, step = (
        values.astype(np.int32)
        for values in (start + fractions[taken], m, positive, negative - positive)
    )
    return Scaling(initial, multiplier, shift, offset, step)


def _exact_by_sign(
    points: _Points,
    ends: np.ndarray,
    channels: np.ndarray,
    fractions: np.ndarray,
    multipliers: np.ndarray,
    gain: int,
    shift: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return for which of `channels` the pairs are exact, and the two offsets of each."""
    m, fraction = multipliers[:, None], fractions[:, None]
    reach_acc, below_acc = points.reach_acc[channels], points.below_acc[channels]
    reach_valid, below_valid = points.reach_valid[channels], points.below_valid[channels]
    at = (points.reach_output[channels] << shift) - (((gain * reach_acc + fraction) * m) >> 32)
    below = (
        (points.below_output[channels] << shift) - 1 - (((gain * below_acc + fraction) * m) >> 32)
    )
    least = [
        np.where(reach_valid & sign, at, -_FAR).max(axis=1)
        for sign in (reach_acc >= 0, reach_acc < 0)
    ]
    most = [
        np.where(below_valid & sign, below, _FAR).min(axis=1)
        for sign in (below_acc >= 0, below_acc < 0)
    ]
    positive, negative = (_between(*bounds) for bounds in zip(least, most, strict=True))
    # Kernels with VQDMULH double products, offsets and steps, so that half of the range remains.
    low, high = (((ends[channels] + fraction) * m) >> 32).T
    totals = [np.maximum(low, 0) + positive, np.maximum(high, 0) + positive]
    totals += [np.minimum(low, -1) + negative, np.minimum(high, -1) + negative]
    fits = np.abs([*totals, positive, negative]).max(axis=0) < 2**30
    return (least[0] <= most[0]) & (least[1] <= most[1]) & fits, positive, negative
