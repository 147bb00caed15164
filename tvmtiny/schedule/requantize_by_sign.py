"""Scalings that round positive and negative sums differently, see `requantize`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tvmtiny.schedule.output_steps import FAR, Steps, between
from tvmtiny.schedule.scaling import Scaling


@dataclass(frozen=True, eq=False)
class _Points:
    """Accumulators that must reach an output, or stay below one: ``(channels, n)`` each."""

    reach_acc: np.ndarray
    reach_output: np.ndarray
    reach_valid: np.ndarray
    below_acc: np.ndarray
    below_output: np.ndarray
    below_valid: np.ndarray


def signed_points(
    at_zero: np.ndarray,
    steps: Steps,
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


def solve_by_sign(
    points: _Points,
    low: np.ndarray,
    high: np.ndarray,
    start: np.ndarray,
    scales: np.ndarray,
    gain: int,
) -> Scaling | None:
    """Find constants that reach all points for one of the four largest shifts.

    Parameters
    ----------
    points
        See `signed_points`.
    low, high
        Smallest and largest accumulator of each channel, including bias: int64, ``(channels,)``.
    start
        The part of the initial accumulators that is known: int64, ``(channels,)``.
    scales
        Output steps per accumulator step: float64, ``(channels,)``.
    gain
        Factor of the sum of products.

    Returns
    -------
    Scaling or None
        None if a channel has no solution, or could overflow.
    """
    best = int(np.floor(31 - np.log2(max(scales.max() / gain, 2.0**-60)) - 32))
    for shift in range(best, best - 4, -1):
        found = _solve_signed(points, low, high, start, scales, gain, shift)
        if found is not None:
            return found
    return None


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
        np.where(reach_valid & sign, at, -FAR).max(axis=1)
        for sign in (reach_acc >= 0, reach_acc < 0)
    ]
    most = [
        np.where(below_valid & sign, below, FAR).min(axis=1)
        for sign in (below_acc >= 0, below_acc < 0)
    ]
    positive, negative = (between(*bounds) for bounds in zip(least, most, strict=True))
    # Kernels with VQDMULH double products, offsets and steps, so that half of the range remains.
    low, high = (((ends[channels] + fraction) * m) >> 32).T
    totals = [np.maximum(low, 0) + positive, np.maximum(high, 0) + positive]
    totals += [np.minimum(low, -1) + negative, np.minimum(high, -1) + negative]
    fits = np.abs([*totals, positive, negative]).max(axis=0) < 2**30
    return (least[0] <= most[0]) & (least[1] <= most[1]) & fits, positive, negative
