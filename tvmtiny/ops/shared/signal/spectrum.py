"""Spectra in 32 bits: window, FFT of real numbers, logarithm.

Samples of 16 bits times a window of 15 fractional bits are numbers of 31 bits. Their transform is
divided by its length; the noise of the arithmetic stays near one unit of 2^-30 of the full scale.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

#: Fractional bits of a window's coefficients, and of a windowed sample where 1 is the full scale.
WINDOW_BITS, SPECTRUM_BITS = 15, 30
#: Fractional bits of a logarithm.
LOG_BITS = 16
_SEGMENT_BITS = 7

#: Limits for the length of a transform.
LEAST_LENGTH, MOST_LENGTH = 16, 4096


def window_coefficients(samples: int, kind: str = "hann") -> np.ndarray:
    """Return a periodic window: uint16, with 15 fractional bits.

    Parameters
    ----------
    samples
        Length of the window.
    kind
        ``hann``, ``hamming`` or ``none``.
    """
    return np.floor(window(samples, kind) * (1 << WINDOW_BITS) + 0.5).astype(np.uint16)


def window(samples: int, kind: str = "hann") -> np.ndarray:
    """Return a periodic window of real numbers: float64."""
    share = {"hann": 0.5, "hamming": 0.54, "none": 1.0}[kind]
    return share - (1 - share) * np.cos(2 * np.pi * np.arange(samples) / samples)


def _rounded(values: np.ndarray, bits: int) -> np.ndarray:
    return (values + (1 << (bits - 1))) >> bits


@cache
def roots(length: int) -> np.ndarray:
    """Return the powers of the root of unity in Q31: int32, ``(length / 2, 2)``."""
    phase = -2 * np.pi * np.arange(length // 2) / length
    parts = np.stack([np.cos(phase), np.sin(phase)], axis=-1) * 2.0**31
    return np.clip(np.floor(parts + 0.5), -(2**31), 2**31 - 1).astype(np.int32)


@cache
def bit_reversal(points: int) -> np.ndarray:
    """Return the input at each position of the first stage: int64, ``(points,)``."""
    order = np.zeros(1, np.int64)
    while len(order) < points:
        order = np.concatenate([2 * order, 2 * order + 1])
    return order


def bit_order(points: int) -> np.ndarray:
    """Return the position of each input in the first stage: int16, ``(points,)``."""
    return bit_reversal(points).astype(np.int16)


def _half_turned(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return half of the product of complex numbers and roots of unity in Q31."""
    other = b.astype(np.int64)

    def high(x: int, y: int) -> np.ndarray:
        return (a[..., x] * other[..., y]) >> 32

    return np.stack([high(0, 0) - high(1, 1), high(0, 1) + high(1, 0)], axis=-1)


def real_spectrum(values: np.ndarray) -> np.ndarray:
    """Transform real numbers.

    Parameters
    ----------
    values
        int64 with at most 31 bits, ``(..., length)``; the length is a power of two.

    Returns
    -------
    np.ndarray
        int64, ``(..., length / 2 + 1, 2)``: real and imaginary parts, divided by the length.
    """
    length = values.shape[-1]
    points = length // 2
    z = values.reshape(*values.shape[:-1], points, 2).astype(np.int64)
    z = z[..., bit_reversal(points), :]
    size = 1
    while size < points:
        stage = z.reshape(*z.shape[:-2], -1, 2, size, 2)
        even, odd = stage[..., 0, :, :] >> 1, stage[..., 1, :, :]
        turned = odd >> 1
        factors = roots(length)[:: length // (2 * size)][1:size]
        turned[..., 1:, :] = _half_turned(odd[..., 1:, :], factors)
        z = np.stack([even + turned, even - turned], axis=-3).reshape(z.shape)
        size *= 2
    result = np.zeros((*z.shape[:-2], points + 1, 2), np.int64)
    result[..., 0, 0] = (z[..., 0, 0] >> 1) + (z[..., 0, 1] >> 1)
    result[..., points, 0] = (z[..., 0, 0] >> 1) - (z[..., 0, 1] >> 1)
    k = np.arange(1, points // 2 + 1)
    near, far = z[..., k, :], z[..., points - k, :]
    total = (near >> 2) + (far >> 2) * (1, -1)
    turned = _half_turned((near >> 1) - (far >> 1) * (1, -1), roots(length)[k])
    # Times the negative imaginary unit.
    turned = np.stack([turned[..., 1], -turned[..., 0]], axis=-1)
    result[..., points - k, :] = (total - turned) * (1, -1)
    result[..., k, :] = total + turned
    return result


def energies(spectrum: np.ndarray) -> np.ndarray:
    """Return the squared magnitudes of a spectrum: uint64."""
    return (spectrum.astype(np.int64) ** 2).sum(axis=-1).astype(np.uint64)


@cache
def log_table() -> np.ndarray:
    """Return the binary logarithms of 1 to 2 at 129 places: int32."""
    places = 1 + np.arange((1 << _SEGMENT_BITS) + 1) / (1 << _SEGMENT_BITS)
    return np.floor(np.log2(places) * (1 << LOG_BITS) + 0.5).astype(np.int32)


def bit_length(values: np.ndarray) -> np.ndarray:
    """Return the number of significant bits of each uint64: int64."""
    values = values.astype(np.uint64)
    high, low = values >> np.uint64(32), values & np.uint64(0xFFFFFFFF)
    parts = [np.frexp(part.astype(np.float64))[1].astype(np.int64) for part in (high, low)]
    return np.where(high > 0, parts[0] + 32, parts[1])


def binary_logarithm(values: np.ndarray) -> np.ndarray:
    """Compute binary logarithms with 16 fractional bits: int64 from uint64, with -1 for 0 as 2^-1.

    The error is at most 2^-15: that of the interpolation is below 1.1e-5, and three roundings add
    at most half of 2^-16 each.
    """
    values = values.astype(np.uint64)
    bits = bit_length(values)
    top = (values << (64 - np.maximum(bits, 1)).astype(np.uint64)) >> np.uint64(32)
    segment = ((top >> np.uint64(24)) & np.uint64(0x7F)).astype(np.int64)
    fraction = ((top >> np.uint64(8)) & np.uint64(0xFFFF)).astype(np.int64)
    table = log_table().astype(np.int64)
    low, high = table[segment], table[segment + 1]
    bent = low + _rounded((high - low) * fraction, 16)
    return np.where(values == 0, -(1 << LOG_BITS), ((bits - 1) << LOG_BITS) + bent)


@dataclass(frozen=True)
class Quantizer:
    """Fixed-point factors that turn numbers with 16 fractional bits into int8.

    The int8 of a number ``v`` is ``(v * multiplier + offset) >> shift``, saturated. The
    shift is 32 to 46.
    """

    multiplier: int
    offset: int
    shift: int

    @classmethod
    def of(cls, factor: float, scale: float, zero_point: int) -> Quantizer | None:
        """Return the factors for numbers in units of `factor`; None if the scale is too small."""
        ratio = factor / scale / (1 << LOG_BITS)
        shift = min(30 - math.frexp(ratio)[1], 46)
        if shift < 32:
            return None
        return cls(
            math.floor(ratio * 2.0**shift + 0.5), (zero_point << shift) + (1 << (shift - 1)), shift
        )

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Quantize int64 numbers: int8."""
        scaled = (values.astype(np.int64) * self.multiplier + self.offset) >> self.shift
        return np.clip(scaled, -128, 127).astype(np.int8)

    def sizes(self) -> tuple[int, int, int, int]:
        """Return the numbers as C has them: int32, with both words of the offset."""
        words = np.array([self.offset], np.int64).view(np.int32)
        return self.multiplier, int(words[0]), int(words[1]), self.shift
