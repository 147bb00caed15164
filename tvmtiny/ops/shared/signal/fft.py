"""FFT of real int16 numbers, bit-exact with KISS FFT at 16 bits.

A transform of ``2 * n`` real numbers is a transform of ``n`` complex ones, each made of two
adjacent numbers, whose result is then split. The complex transform has stages of radix 4, and a
last one of radix 2 if ``n`` is not a power of 4. Every stage first divides by its radix; sums wrap
in 16 bits.
"""

from __future__ import annotations

from functools import cache

import numpy as np

#: Largest int16, which stands for one in Q15.
_MOST = 32767
_HALF = 1 << 14

#: Limits for the length of a transform of real numbers.
LEAST_LENGTH, MOST_LENGTH = 16, 4096


def fft_length(samples: int) -> int:
    """Return the smallest power of two that holds a window of `samples`."""
    return 1 << max(samples - 1, 1).bit_length()


def radices(points: int) -> tuple[int, ...]:
    """Return the radices of a complex transform, from its last stage to its first."""
    found = []
    while points > 1:
        found.append(4 if points % 4 == 0 else 2)
        points //= found[-1]
    return tuple(found)


@cache
def digit_reversal(points: int) -> np.ndarray:
    """Return the input at each position of the first stage: int64, ``(points,)``."""
    sources, block = np.arange(points), points
    for radix in radices(points):
        blocks = sources.reshape(-1, block // radix, radix)
        sources, block = blocks.transpose(0, 2, 1).reshape(-1), block // radix
    return sources


def twiddles(points: int, inverse: bool = False) -> np.ndarray:
    """Return the powers of the root of unity in Q15: int16, ``(points, 2)``, real parts first."""
    phase = -2 * np.pi * np.arange(points) / points
    return _unit(-phase if inverse else phase)


def split_twiddles(points: int, inverse: bool = False) -> np.ndarray:
    """Return the factors that split a transform of `points` pairs: int16, ``(points / 2, 2)``."""
    phase = -np.pi * (np.arange(1, points // 2 + 1) / points + 0.5)
    return _unit(-phase if inverse else phase)


def _unit(phase: np.ndarray) -> np.ndarray:
    parts = np.stack([np.cos(phase), np.sin(phase)], axis=-1)
    return np.floor(0.5 + _MOST * parts).astype(np.int16)


def real_fft(values: np.ndarray) -> np.ndarray:
    """Transform real numbers.

    Parameters
    ----------
    values
        int16, ``(..., 2 * n)``.

    Returns
    -------
    np.ndarray
        int16, ``(..., n + 1, 2)``: real and imaginary parts from frequency 0 to half of the sample
        rate, divided by ``2 * n``.
    """
    points = values.shape[-1] // 2
    z = complex_fft(values.reshape(*values.shape[:-1], points, 2))
    half = scaled(z, 2)
    result = np.zeros((*values.shape[:-1], points + 1, 2), np.int16)
    result[..., 0, 0] = _wrapped(half[..., 0, 0].astype(np.int64) + half[..., 0, 1])
    result[..., points, 0] = _wrapped(half[..., 0, 0].astype(np.int64) - half[..., 0, 1])
    k = np.arange(1, points // 2 + 1)
    near = half[..., k, :].astype(np.int64)
    mirrored = z[..., points - k, :].astype(np.int64) * (1, -1)
    far = scaled(_wrapped(mirrored), 2).astype(np.int64)
    total = _wrapped(near + far).astype(np.int64)
    turned = multiplied(_wrapped(near - far), split_twiddles(points)).astype(np.int64)
    # Both assignments write the bin in the middle; the second one determines its value.
    result[..., k, :] = (total + turned) >> 1
    result[..., points - k, 0] = (total - turned)[..., 0] >> 1
    result[..., points - k, 1] = (turned - total)[..., 1] >> 1
    return result


def inverse_real_fft(values: np.ndarray) -> np.ndarray:
    """Transform the spectrum of real numbers back.

    Parameters
    ----------
    values
        int16, ``(..., n + 1, 2)``.

    Returns
    -------
    np.ndarray
        int16, ``(..., 2 * n)``, divided by ``2 * n``.
    """
    points = values.shape[-2] - 1
    wide = values.astype(np.int64)
    z = np.zeros((*values.shape[:-2], points, 2), np.int16)
    first, last = wide[..., 0, 0], wide[..., points, 0]
    ends = _wrapped(np.stack([first + last, first - last], axis=-1))
    z[..., 0, :] = scaled(ends, 2)
    k = np.arange(1, points // 2 + 1)
    near = scaled(values[..., k, :], 2).astype(np.int64)
    far = scaled(_wrapped(wide[..., points - k, :] * (1, -1)), 2).astype(np.int64)
    even = _wrapped(near + far).astype(np.int64)
    odd = multiplied(_wrapped(near - far), split_twiddles(points, True)).astype(np.int64)
    z[..., k, :] = _wrapped(even + odd)
    # In the middle, this second assignment determines the value.
    z[..., points - k, :] = _wrapped(_wrapped(even - odd).astype(np.int64) * (1, -1))
    return complex_fft(z, True).reshape(*values.shape[:-2], 2 * points)


def complex_fft(values: np.ndarray, inverse: bool = False) -> np.ndarray:
    """Transform complex numbers: int16, ``(..., n, 2)``, divided by ``n``."""
    points = values.shape[-2]
    roots = twiddles(points, inverse)
    z = values[..., digit_reversal(points), :]
    size = 1
    for radix in reversed(radices(points)):
        stage = z.reshape(*z.shape[:-2], -1, radix, size, 2)
        step = points // (size * radix)
        parts = scaled(stage, radix)
        powers = np.arange(radix)[:, None] * np.arange(size) * step
        turned = multiplied(parts, roots[powers]).astype(np.int64)
        turned[..., 0, :, :] = parts[..., 0, :, :]
        z = _butterflies(turned, inverse).reshape(z.shape)
        size *= radix
    return z


def _butterflies(t: np.ndarray, inverse: bool) -> np.ndarray:
    """Compute the sums of a stage, ``(..., radix, size, 2)``."""
    if t.shape[-3] == 2:
        a, b = t[..., 0, :, :], t[..., 1, :, :]
        return _wrapped(np.stack([a + b, a - b], axis=-3))
    a, b, c, d = (t[..., q, :, :] for q in range(4))
    even, odd = _wrapped(a + c).astype(np.int64), _wrapped(a - c).astype(np.int64)
    total, apart = _wrapped(b + d).astype(np.int64), _wrapped(b - d).astype(np.int64)
    # Multiply by the negative imaginary unit.
    turned = np.stack([apart[..., 1], -apart[..., 0]], axis=-1)
    if inverse:
        turned = -turned
    sums = [even + total, odd + turned, even - total, odd - turned]
    return _wrapped(np.stack(sums, axis=-3))


def scaled(values: np.ndarray, divisor: int) -> np.ndarray:
    """Divide as KISS FFT does, by a rounded product with ``32767 // divisor``."""
    return _wrapped((values.astype(np.int64) * (_MOST // divisor) + _HALF) >> 15)


def multiplied(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Multiply complex numbers in Q15, ``(..., 2)``, with one rounding."""
    wide, other = a.astype(np.int64), b.astype(np.int64)
    real = wide[..., 0] * other[..., 0] - wide[..., 1] * other[..., 1]
    imaginary = wide[..., 0] * other[..., 1] + wide[..., 1] * other[..., 0]
    return _wrapped((np.stack([real, imaginary], axis=-1) + _HALF) >> 15)


def _wrapped(values: np.ndarray) -> np.ndarray:
    return values.astype(np.int16)
