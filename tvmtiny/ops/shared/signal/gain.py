"""The stages after the filters: noise reduction, gain control per channel (PCAN), logarithm.

All of them are bit-exact with TFLM's microfrontend.
"""

from __future__ import annotations

import numpy as np

#: Bits of the factors of `reduced`.
SMOOTHING_BITS = 14
#: Fractional bits of a signal-to-noise ratio, and of the output of the gain control.
SNR_BITS, OUTPUT_BITS = 12, 6
#: Fractional bits of both logarithms, and bits of an index of the table.
_LOG_BITS, _SEGMENT_BITS = 16, 7
#: The natural logarithm of 2 with 16 fractional bits.
_LOG_OF_2 = 45426
_MASK32 = np.uint64(0xFFFFFFFF)


def reduced(
    signal: np.ndarray,
    estimate: np.ndarray,
    smoothing: np.ndarray,
    least: int,
    smoothing_bits: int,
    slow: np.ndarray | None = None,
    bits: int = SMOOTHING_BITS,
) -> tuple[np.ndarray, np.ndarray]:
    """Subtract the noise, which is a mean over time, from the signal.

    Parameters
    ----------
    signal, estimate
        uint32, ``(channels,)``; the estimate has `smoothing_bits` additional bits.
    smoothing
        Share of the signal in the new estimate of each channel, in units of 2^-14.
    least
        Least share of the signal that is kept, in units of 2^-14.
    smoothing_bits
        Additional bits of the estimate.
    slow
        Share of the old estimate in the new one; by default one minus `smoothing`.
    bits
        Fractional bits of the shares.

    Returns
    -------
    tuple of np.ndarray
        The remaining signal and the new estimate; uint32.
    """
    wide = signal.astype(np.uint64)
    scaled = (wide << np.uint64(smoothing_bits)) & _MASK32
    fast = smoothing.astype(np.uint64)
    stays = np.uint64(1 << bits) - fast if slow is None else slow.astype(np.uint64)
    total = scaled * fast + estimate.astype(np.uint64) * stays
    after = (total >> np.uint64(bits)) & _MASK32
    noise = np.minimum(after, scaled)
    floor = (wide * np.uint64(least)) >> np.uint64(bits)
    left = (scaled - noise) >> np.uint64(smoothing_bits)
    return np.maximum(left, floor).astype(np.uint32), after.astype(np.uint32)


def gain_table(strength: float, offset: float, gain_bits: int, input_bits: int) -> np.ndarray:
    """Fit parabolas to ``2^gain_bits * (x / 2^input_bits + offset)^-strength``.

    Returns
    -------
    np.ndarray
        int16, ``(126,)``: the values at 0 and 1, followed by four numbers for each power of two
        from 2 on: the value there, the slope, the curvature, and 0.
    """

    def gain(x: int) -> int:
        # All steps are in single precision, as in TFLM.
        real = np.float32(np.float32(x) / np.float32(1 << input_bits)) + np.float32(offset)
        power = np.float32(np.float64(np.float32(real)) ** -np.float64(np.float32(strength)))
        found = np.float32(np.float32(1 << gain_bits) * power)
        return 32767 if found > 32767 else int(np.float32(found + np.float32(0.5)))

    table = np.zeros(126, np.int16)
    table[0], table[1] = gain(0), gain(1)
    for interval in range(2, 33):
        low = 1 << (interval - 1)
        end = low + (low - 1) if interval == 32 else 2 * low
        y0, y1, y2 = gain(low), gain(low + (low >> 1)), gain(end)
        slope = 4 * (y1 - y0) - (y2 - y0)
        at = 4 * interval - 6
        table[at : at + 3] = np.array([y0, slope, y2 - y0 - slope]).astype(np.int16)
    return table


def bit_length(values: np.ndarray) -> np.ndarray:
    """Return the bit lengths of numbers below 2^32: int64."""
    return np.frexp(values.astype(np.float64))[1].astype(np.int64)


def gains(noise: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Return the gain of each channel for an estimate of noise; both are uint32."""
    x = noise.astype(np.int64)
    bits = np.maximum(bit_length(noise), 2)
    at = 4 * bits - 6
    shifted = np.where(bits < 11, x << np.maximum(11 - bits, 0), x >> np.maximum(bits - 11, 0))
    fraction = shifted & 0x3FF
    wide = np.append(table, [0, 0]).astype(np.int64)
    # TFLM treats a negative slope as a large unsigned number, of which 32 bits count.
    sums = ((wide[at + 2] * fraction) >> 5) + (wide[at + 1] << 5)
    parabola = ((sums * fraction + (1 << 14)) >> 15) + wide[at]
    found = np.where(x <= 2, wide[np.minimum(x, 2)], parabola)
    return found.astype(np.int16).astype(np.int64).astype(np.uint32)


def controlled(
    signal: np.ndarray, noise: np.ndarray, table: np.ndarray, snr_shift: int
) -> np.ndarray:
    """Divide the signal by its noise, and square small numbers: uint32, ``(channels,)``."""
    product = signal.astype(np.uint64) * gains(noise, table).astype(np.uint64)
    snr = (product >> np.uint64(snr_shift)) & _MASK32
    small = ((snr * snr) & _MASK32) >> np.uint64(2 + 2 * SNR_BITS - OUTPUT_BITS)
    large = (snr >> np.uint64(SNR_BITS - OUTPUT_BITS)) - np.uint64(1 << OUTPUT_BITS)
    return np.where(snr < (2 << SNR_BITS), small, large & _MASK32).astype(np.uint32)


def log_table() -> np.ndarray:
    """Return log2's excess over its chord at multiples of 1/128: uint16, ``(130,)``."""
    x = np.arange(129) / 128
    bent = np.round((np.log2(1 + x) - x) * (1 << _LOG_BITS))
    return np.append(bent, 0).astype(np.uint16)


def logarithm(values: np.ndarray, scale: int, correction_bits: int) -> np.ndarray:
    """Return natural logarithms times `scale`: uint16 from uint32; 0 and 1 give 0."""
    wide = values.astype(np.int64)
    x = wide >> -correction_bits if correction_bits < 0 else wide << correction_bits
    x = x & 0xFFFFFFFF
    integer = np.maximum(bit_length(x.astype(np.uint64)) - 1, 0)
    fraction = x - (np.int64(1) << integer)
    up, down = np.maximum(_LOG_BITS - integer, 0), np.maximum(integer - _LOG_BITS, 0)
    fraction = np.maximum((fraction << up) >> down, 0)
    segment = fraction >> (_LOG_BITS - _SEGMENT_BITS)
    table = log_table().astype(np.int64)
    low, high = table[segment], table[segment + 1]
    place = fraction - (segment << (_LOG_BITS - _SEGMENT_BITS))
    log2 = (integer << _LOG_BITS) + fraction + low + (((high - low) * place) >> _LOG_BITS)
    natural = (_LOG_OF_2 * log2 + (1 << (_LOG_BITS - 1))) >> _LOG_BITS
    scaled = ((natural * scale + (1 << (_LOG_BITS - 1))) & 0xFFFFFFFF) >> _LOG_BITS
    return np.where(x > 1, np.minimum(scaled, 0xFFFF), 0).astype(np.uint16)
