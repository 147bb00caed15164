"""Integer lines and planes that equal a reference function, including its clamping.

TFLite's kernels round several times where one multiplication, addition and shift are enough. This
module finds integers with which ``clamp((factor * x + offset) >> shift)`` equals such a kernel, and
proves the equality for every input at compile time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from tvmtiny.ops.shared.quantization import INT32_RANGE

#: Width of the search for slopes, relative to the largest slope.
_WIDTH = 2.0**-12
#: Steps of a golden-section search.
_STEPS = 50
#: Number of points, those most restrictive for the offset, at which factors are tried first.
_NEAREST = 500
#: Distance from the best slopes within which integer factors are tried.
_NEIGHBOURS = 3
#: A larger shift leaves too few bits for results.
LARGEST_SHIFT = 23
#: Number of shifts to try; when these fail, smaller ones seldom help.
_ATTEMPTS = 3


@dataclass(frozen=True)
class Affine:
    """The function ``clamp((sum of image(factor, x) + offset) >> shift)``.

    Attributes
    ----------
    factors
        The factor of each operand.
    """

    factors: tuple[int, ...]
    offset: int
    shift: int


#: Maps a factor and int64 operand values to the terms of the sum; see `product_image`.
Image = Callable[[int, np.ndarray], np.ndarray]


def product_image(factor: int, x: np.ndarray) -> np.ndarray:
    """Return the 32-bit product."""
    return factor * x


def wide_image(factor: int, x: np.ndarray) -> np.ndarray:
    """Return the upper 32 of the 48 bits of a product with a 16-bit operand (``SMULWB``)."""
    return (factor * x) >> 16


def solve(
    operands: Sequence[np.ndarray],
    wanted: np.ndarray,
    slopes: Sequence[float],
    output_range: tuple[int, int],
    image: Image = product_image,
    factor_bits: int = 0,
    largest_shift: int = LARGEST_SHIFT,
    best: Sequence[float] | None = None,
) -> Affine | None:
    """Find the integers of an `Affine` that equals `wanted` for all operand values.

    Parameters
    ----------
    operands
        One or two int64 arrays that broadcast to the shape of `wanted` and cover every combination
        of values that can occur.
    wanted
        The reference's results within `output_range`.
    slopes
        Approximate growth of the result with each operand.
    output_range
        Limits of the results; a result at a limit may stand for any value beyond it.
    image
        The multiplication that the core provides.
    factor_bits
        Number of bits that `image` drops from a product.
    largest_shift
        The first shift to try. A smaller one than precision requires lets layers share code.
    best
        The result of `best_slopes`, if it is known.

    Returns
    -------
    Affine or None
        Integers whose intermediate results all fit 32 bits; None if none equal the reference.
    """
    operands = [np.asarray(x, np.int64) for x in operands]
    wanted = np.asarray(wanted, np.int64)
    if not (np.any(wanted > output_range[0]) and np.any(wanted < output_range[1])):
        # All results are one limit, so that the middle of all offsets does not fit 32 bits.
        return None
    best = best or best_slopes(operands, wanted, slopes, output_range)
    hard = _demanding(operands, wanted, best, output_range)
    for shift in _shifts(operands, wanted, best, factor_bits, largest_shift):
        scaled = [slope * 2.0 ** (shift + factor_bits) for slope in best]
        found = _solve_at(operands, wanted, hard, scaled, shift, output_range, image)
        if found is not None:
            return found
    return None


def offset_for(
    values: np.ndarray, wanted: np.ndarray, shift: int, output_range: tuple[int, int]
) -> int | None:
    """Find an offset with ``clamp((values + offset) >> shift) == wanted`` everywhere.

    Returns
    -------
    int or None
        The middle of all such offsets; None if there are none.
    """
    low, high = _offsets(values, wanted, shift, output_range)
    return (low + high) // 2 if low <= high else None


def _shifts(
    operands: Sequence[np.ndarray],
    wanted: np.ndarray,
    slopes: Sequence[float],
    factor_bits: int,
    largest: int,
) -> Sequence[int]:
    """Return the largest shifts for which factors and results stay within 32 bits."""
    parts = [slope * x for slope, x in zip(slopes, operands, strict=True)]
    reach = sum(float(np.abs(part).max()) for part in parts)
    reach = max(reach, float(np.abs(wanted).max()) + 1)
    factor = max(map(abs, slopes)) * 2.0**factor_bits
    limit = INT32_RANGE[1] / max(reach, factor)
    largest = min(largest, int(np.floor(np.log2(limit)))) if limit >= 1 else -1
    return range(largest, max(largest - _ATTEMPTS, -1), -1)


def _offsets(
    values: np.ndarray, wanted: np.ndarray, shift: int, output_range: tuple[int, int]
) -> tuple[int, int]:
    unbounded = 1 << 40
    least = np.where(wanted > output_range[0], (wanted << shift) - values, -unbounded)
    most = np.where(wanted < output_range[1], ((wanted + 1) << shift) - 1 - values, unbounded)
    return int(least.max()), int(most.min())


def _solve_at(
    operands: Sequence[np.ndarray],
    wanted: np.ndarray,
    hard: np.ndarray,
    scaled: Sequence[float],
    shift: int,
    output_range: tuple[int, int],
    image: Image,
) -> Affine | None:
    """Find exact factors near `scaled`; most inexact ones already fail at the `hard` points."""
    few = [np.broadcast_to(x, wanted.shape).ravel()[hard] for x in operands]
    few_wanted = wanted.ravel()[hard]
    around = sorted(range(-_NEIGHBOURS, _NEIGHBOURS + 1), key=abs)
    for distance in sorted(product(around, repeat=len(scaled)), key=lambda d: max(map(abs, d))):
        factors = tuple(round(s) + d for s, d in zip(scaled, distance, strict=True))
        values = np.asarray(sum(image(f, x) for f, x in zip(factors, few, strict=True)))
        if offset_for(values, few_wanted, shift, output_range) is None:
            continue
        parts = [image(f, x) for f, x in zip(factors, operands, strict=True)]
        total = np.asarray(sum(parts))
        offset = offset_for(total, wanted, shift, output_range)
        if offset is not None and _fits(factors, parts, offset):
            return Affine(factors, offset, shift)
    return None


def _fits(factors: Sequence[int], parts: Sequence[np.ndarray], offset: int) -> bool:
    """Return whether factors and all sums of offset and products stay within 32 bits."""
    low = offset + sum(min(int(part.min()), 0) for part in parts)
    high = offset + sum(max(int(part.max()), 0) for part in parts)
    bounds = (low, high, *factors)
    return INT32_RANGE[0] <= min(bounds) and max(bounds) <= INT32_RANGE[1]


def _demands(wanted: np.ndarray, output_range: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return for every point the bound to reach, and the bound to stay below."""
    return (
        np.where(wanted > output_range[0], wanted, -np.inf),
        np.where(wanted < output_range[1], wanted + 1.0, np.inf),
    )


def _demanding(
    operands: Sequence[np.ndarray],
    wanted: np.ndarray,
    slopes: Sequence[float],
    output_range: tuple[int, int],
) -> np.ndarray:
    """Return positions in the flat `wanted` of the points nearest to the bounds of the offset."""
    plane = sum(slope * x for slope, x in zip(slopes, operands, strict=True))
    reach, below = (np.ravel(side - plane) for side in _demands(wanted, output_range))
    if wanted.size <= _NEAREST:
        return np.arange(wanted.size)
    nearest = [np.argpartition(side, _NEAREST)[:_NEAREST] for side in (-reach, below)]
    return np.unique(np.concatenate(nearest))


def best_slopes(
    operands: Sequence[np.ndarray],
    wanted: np.ndarray,
    slopes: Sequence[float],
    output_range: tuple[int, int],
) -> tuple[float, ...]:
    """Find the slopes that leave the offset the most room.

    The room is the least upper bound of the offset minus its greatest lower bound. It is a concave
    function of the slopes, so narrowing an interval per slope finds its maximum. The arguments are
    those of `solve`.
    """
    reach, below = _demands(wanted, output_range)
    floats = [x.astype(float) for x in operands]
    return _widest(floats, reach, below, slopes, _WIDTH * max(map(abs, slopes)))[1]


def _widest(
    operands: Sequence[np.ndarray],
    reach: np.ndarray,
    below: np.ndarray,
    centre: Sequence[float],
    width: float,
) -> tuple[float, tuple[float, ...]]:
    """Return the most room, and its slopes within `width` of `centre`."""
    first, *rest = operands
    low, high = centre[0] - width, centre[0] + width
    if not rest:
        # Among points with the same value of this operand only the extremes matter.
        same = tuple(axis for axis, size in enumerate(first.shape) if size == 1)
        reach, below = reach.max(same, keepdims=True), below.min(same, keepdims=True)
        room, slope = _peak(first.ravel(), reach.ravel(), below.ravel(), low, high)
        return room, (slope,)

    first_of_reach, reach = _contenders(first, reach, low, high)
    first_of_below, less = _contenders(-first, -below, low, high)

    def at(slope: float) -> tuple[float, tuple[float, ...]]:
        sides = reach - slope * first_of_reach, -(less - slope * first_of_below)
        room, slopes = _widest(rest, *sides, centre[1:], width)
        return room, (slope, *slopes)

    golden = (5**0.5 - 1) / 2
    left, right = at(high - golden * (high - low)), at(low + golden * (high - low))
    for _ in range(_STEPS):
        if left[0] < right[0]:
            low, left = left[1][0], right
            right = at(low + golden * (high - low))
        else:
            high, right = right[1][0], left
            left = at(high - golden * (high - low))
    return max(left, right, key=lambda found: found[0])


def _contenders(
    x: np.ndarray, side: np.ndarray, low: float, high: float
) -> tuple[np.ndarray, np.ndarray]:
    """Select the points that can maximize ``side - slope * x`` along the first axis.

    Parameters
    ----------
    x
        Array of shape ``(n, 1)``.
    side
        Array of shape ``(n, m)``.
    low, high
        Bounds of the slope.

    Returns
    -------
    x, side
        The selected points of each of the `m` columns, padded with others to equal numbers.
    """
    ends = side - low * x, side - high * x
    most = np.maximum(*ends)
    # The margin exceeds rounding errors by far, yet excludes most points.
    enough = np.minimum(*ends).max(axis=0) - 1e-6
    contends = (most >= enough) & np.isfinite(most)
    rows = np.argsort(~contends, axis=0, kind="stable")[: max(contends.sum(axis=0).max(), 1)]
    return x[rows, 0], np.take_along_axis(side, rows, axis=0)


def _peak(
    x: np.ndarray, reach: np.ndarray, below: np.ndarray, low: float, high: float
) -> tuple[float, float]:
    """Return the most room for one slope, and the slope.

    The room is the minimum of many linear functions of the slope. Take the functions that are
    smallest at the lower and at the upper end, and the slope where they meet. Either the room there
    equals their value, which is then the maximum, or another function gives a tighter bound.
    """

    def line(slope: float) -> tuple[float, float]:
        """Return the room at `slope`, and its derivative."""
        most, least = below - slope * x, reach - slope * x
        upper, lower = int(most.argmin()), int(least.argmax())
        return float(most[upper] - least[lower]), float(x[lower] - x[upper])

    left, right = line(low), line(high)
    if not np.isfinite(left[0] + right[0]):
        return left[0], (low + high) / 2
    while left[1] > 0 > right[1]:
        meeting = low + (right[0] - left[0] - right[1] * (high - low)) / (left[1] - right[1])
        if not low < meeting < high:
            break
        found = line(meeting)
        bound = left[0] + left[1] * (meeting - low)
        if found[1] == 0 or found[0] >= bound:
            return found[0], meeting
        if found[1] > 0:
            low, left = meeting, found
        else:
            high, right = meeting, found
    return (left[0], low) if left[0] >= right[0] else (right[0], high)
