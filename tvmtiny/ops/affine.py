"""Integer lines and planes that equal a reference function, clamping included.

TFLite's kernels round several times where one multiplication, addition and shift would do. Which
integers make ``clamp((factor * x + offset) >> shift)`` equal to such a kernel is found, and proved
on every input, at compile time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from tvmtiny.ops.quantization import INT32_RANGE

#: How far slopes are looked for around the real ones, relative to the largest.
_WIDTH = 2.0**-12
_STEPS = 40
#: Points nearest to a rounding boundary that each round of the search for slopes adds.
_NEAREST = 1000
_ROUNDS = 6
#: How far from the best slopes integer factors are tried, in steps.
_NEIGHBOURS = 3
#: A larger shift leaves too few bits for results.
LARGEST_SHIFT = 23
#: A smaller shift seldom helps where these have failed.
_ATTEMPTS = 3


@dataclass(frozen=True)
class Affine:
    """``clamp((sum of image(factor, x) + offset) >> shift)``.

    Attributes
    ----------
    factors
        One for each operand.
    """

    factors: tuple[int, ...]
    offset: int
    shift: int


#: Maps a factor and int64 operand values to what is summed; see `product_image`.
Image = Callable[[int, np.ndarray], np.ndarray]


def product_image(factor: int, x: np.ndarray) -> np.ndarray:
    """A 32-bit product."""
    return factor * x


def wide_image(factor: int, x: np.ndarray) -> np.ndarray:
    """The upper 32 of the 48 bits of a product with a 16-bit operand (``SMULWB``)."""
    return (factor * x) >> 16


def solve(
    operands: Sequence[np.ndarray],
    wanted: np.ndarray,
    slopes: Sequence[float],
    output_range: tuple[int, int],
    image: Image = product_image,
    factor_bits: int = 0,
    largest_shift: int = LARGEST_SHIFT,
) -> Affine | None:
    """Find the integers of an `Affine` that gives `wanted` for all operand values.

    Parameters
    ----------
    operands
        One or two int64 arrays that broadcast to the shape of `wanted`: every combination of
        values that can occur.
    wanted
        The reference's results within `output_range`.
    slopes
        About how much the result grows with each operand.
    output_range
        Results at its ends may stand for anything beyond.
    image
        How the core multiplies.
    factor_bits
        How many bits `image` drops from a product.
    largest_shift
        Where to begin; a smaller one than precision needs lets layers share code.

    Returns
    -------
    Affine or None
        No intermediate result leaves 32 bits. None where no integers are found that equal the
        reference everywhere.
    """
    operands = [np.asarray(x, np.int64) for x in operands]
    wanted = np.asarray(wanted, np.int64)
    best = _best_slopes(operands, wanted, slopes, output_range)
    for shift in _shifts(operands, wanted, best, factor_bits, largest_shift):
        scaled = [slope * 2.0 ** (shift + factor_bits) for slope in best]
        found = _solve_at(operands, wanted, scaled, shift, output_range, image)
        if found is not None:
            return found
    return None


def offset_for(
    values: np.ndarray, wanted: np.ndarray, shift: int, output_range: tuple[int, int]
) -> int | None:
    """An offset with ``clamp((values + offset) >> shift) == wanted`` everywhere.

    Returns
    -------
    int or None
        The middle of all such offsets; None where there is none.
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
    """The largest shifts for which factors and results stay within 32 bits."""
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
    scaled: Sequence[float],
    shift: int,
    output_range: tuple[int, int],
    image: Image,
) -> Affine | None:
    around = sorted(range(-_NEIGHBOURS, _NEIGHBOURS + 1), key=abs)
    for distance in sorted(product(around, repeat=len(scaled)), key=lambda d: max(map(abs, d))):
        factors = tuple(round(s) + d for s, d in zip(scaled, distance, strict=True))
        parts = [image(f, x) for f, x in zip(factors, operands, strict=True)]
        total = np.asarray(sum(parts))
        offset = offset_for(total, wanted, shift, output_range)
        if offset is not None and _fits(factors, parts, offset):
            return Affine(factors, offset, shift)
    return None


def _fits(factors: Sequence[int], parts: Sequence[np.ndarray], offset: int) -> bool:
    """Whether neither a factor nor any sum of the offset and products can leave 32 bits."""
    low = offset + sum(min(int(part.min()), 0) for part in parts)
    high = offset + sum(max(int(part.max()), 0) for part in parts)
    bounds = (low, high, *factors)
    return INT32_RANGE[0] <= min(bounds) and max(bounds) <= INT32_RANGE[1]


def _best_slopes(
    operands: Sequence[np.ndarray],
    wanted: np.ndarray,
    slopes: Sequence[float],
    output_range: tuple[int, int],
) -> tuple[float, ...]:
    """The slopes that leave the offset the most room.

    That room, the least upper bound of the offset minus the greatest lower one, is a concave
    function of the slopes, so that narrowing an interval per slope finds its maximum. The few
    points that bound it are not known at first; those that turn out to be missing are added.
    """
    below, above = wanted > output_range[0], wanted < output_range[1]
    flat = [np.broadcast_to(x, wanted.shape).astype(float) for x in operands]
    lower = [*(x[below] for x in flat), wanted[below].astype(float)]
    upper = [*(x[above] for x in flat), wanted[above] + 1.0]
    chosen = [np.zeros(side[-1].size, bool) for side in (lower, upper)]
    width = _WIDTH * max(map(abs, slopes))
    best = tuple(slopes)
    for _ in range(_ROUNDS):
        least, most = _bounds(lower, best), _bounds(upper, best)
        for bounds, known in zip((-least, most), chosen, strict=True):
            known[np.argsort(bounds, kind="stable")[:_NEAREST]] = True
        points = [
            [x[known] for x in side] for side, known in zip((lower, upper), chosen, strict=True)
        ]
        best = _widest(points, slopes, width)
        if _room([lower, upper], best) > 0 or _room(points, best) <= 0:
            break
    return best


def _bounds(side: Sequence[np.ndarray], slopes: Sequence[float]) -> np.ndarray:
    """What each point of `side`, operands and then a boundary, demands of the offset."""
    *operands, boundary = side
    return boundary - sum(slope * x for slope, x in zip(slopes, operands, strict=True))


def _room(sides: Sequence[Sequence[np.ndarray]], slopes: Sequence[float]) -> float:
    least, most = (_bounds(side, slopes) for side in sides)
    return float(most.min(initial=np.inf) - least.max(initial=-np.inf))


def _widest(
    sides: Sequence[Sequence[np.ndarray]], centre: Sequence[float], width: float
) -> tuple[float, ...]:
    """The slopes with the most room within `width` of `centre`."""

    def search(fixed: tuple[float, ...]) -> tuple[float, tuple[float, ...]]:
        """The most room, and its slopes, with the first slopes as given."""
        if len(fixed) == len(centre):
            return _room(sides, fixed), fixed
        low, high = centre[len(fixed)] - width, centre[len(fixed)] + width
        for _ in range(_STEPS):
            left, right = 0.55 * low + 0.45 * high, 0.45 * low + 0.55 * high
            if search((*fixed, left))[0] < search((*fixed, right))[0]:
                low = left
            else:
                high = right
        return search((*fixed, (low + high) / 2))

    return search(())[1]
