"""Features of vibration in fixed point, and the real numbers that they approximate.

Of each window and axis: the level of the signal without its mean (RMS), the level of each of
several bands of equal width, and the spectral kurtosis of each band. All of them are decibels.

The spectrum is Welch's: segments of half overlap under a Hann window, scaled so that the powers of
all bands add up to the variance. Spectral kurtosis is Antoni's ("The spectral kurtosis: a useful
tool for characterising non-stationary signals", 2006), ``<|X|^4> / <|X|^2>^2 - 2`` over segments.
The feature is ``10 log10(<|X|^4> / <|X|^2>^2)``, averaged over the bins of a band: 0 for a steady
tone, 3 for Gaussian noise, more for impulses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from tvmtiny.ops.shared.signal import spectrum

#: Most bits of the power of a bin in a segment, and most segments: their squares are summed.
POWER_BITS, MOST_SEGMENTS = 28, 128
#: Most samples of an axis in a window.
MOST_SAMPLES = 1 << 15
#: Fractional bits of a sample under the window where 1 is the full scale; the samples have 17 bits.
_SAMPLE_BITS = spectrum.SPECTRUM_BITS - 1
_FLOOR = 1e-10


@dataclass(frozen=True)
class VibrationSettings:
    """The settings of the features.

    Attributes
    ----------
    sample_rate
        Sample rate of each axis in Hz.
    axes
        Number of axes, whose samples alternate.
    window
        Number of samples of each axis in a window; windows do not overlap.
    segment
        Number of samples in a segment, a power of two.
    bands
        Number of bands from 0 to half of the sample rate.
    """

    sample_rate: int = 6400
    axes: int = 1
    window: int = 1024
    segment: int = 128
    bands: int = 8


class VibrationFeatures:
    """The tables and the arithmetic for given settings."""

    def __init__(self, settings: VibrationSettings) -> None:
        self.settings = settings

    @property
    def features(self) -> int:
        """Number of features in a row: of each axis the RMS, all bands, all kurtoses."""
        return self.settings.axes * (1 + 2 * self.settings.bands)

    @property
    def segments(self) -> int:
        """Number of segments in a window."""
        return 2 * (self.settings.window // self.settings.segment) - 1

    @cached_property
    def edges(self) -> np.ndarray:
        """First bin of each band, and the bin after the last one: int16, ``(bands + 1,)``."""
        last = self.settings.segment // 2 + 1
        return np.round(np.linspace(1, last, self.settings.bands + 1)).astype(np.int16)

    @cached_property
    def window_table(self) -> np.ndarray:
        """The window: uint16, ``(segment,)``."""
        return spectrum.window_coefficients(self.settings.segment)

    @property
    def factor(self) -> float:
        """Real number that a binary logarithm of 1 stands for."""
        return 10 * math.log10(2)

    @property
    def floor(self) -> int:
        """The least binary logarithm of a level."""
        return _fixed(math.log2(_FLOOR))

    @property
    def rms_offset(self) -> int:
        """Binary logarithm of the unit of the variance times the square of the window's length."""
        return _fixed(-2 * math.log2(self.settings.window) - 30)

    @property
    def band_offset(self) -> int:
        """Binary logarithm of the unit of a band's sum over segments."""
        length = self.settings.segment
        squares = float((spectrum.window(length) ** 2).sum())
        unit = 2 * (math.log2(length) - _SAMPLE_BITS)
        return _fixed(unit + math.log2(2 / (length * squares)) - math.log2(self.segments))

    @property
    def segments_log(self) -> int:
        """Binary logarithm of the number of segments."""
        return _fixed(math.log2(self.segments))

    def rows(self, samples: np.ndarray) -> np.ndarray:
        """Cut samples into all whole windows: ``(rows, axes, window)``."""
        s = self.settings
        rows = len(samples) // (s.window * s.axes)
        whole = samples[: rows * s.window * s.axes]
        return whole.reshape(rows, s.window, s.axes).transpose(0, 2, 1)

    def features_of(self, samples: np.ndarray) -> np.ndarray:
        """Compute the features of int16 samples in fixed point.

        Returns
        -------
        np.ndarray
            int64 with 16 fractional bits, in units of `factor`: ``(rows, features)``.
        """
        found = [
            np.concatenate([self._axis(axis.astype(np.int64)) for axis in row])
            for row in self.rows(samples)
        ]
        return np.array(found, np.int64).reshape(-1, self.features)

    def _axis(self, x: np.ndarray) -> np.ndarray:
        s, half = self.settings, self.settings.segment // 2
        total = int(x.sum())
        spread = np.array([s.window * int((x * x).sum()) - total * total], np.uint64)
        rms = spectrum.binary_logarithm(spread) + self.rms_offset
        mean = (total + 32768 * s.window + s.window // 2) // s.window - 32768
        centred = x - mean
        squares = (centred**2).reshape(-1, half).sum(axis=-1)
        loudest = int((squares[1:] + squares[:-1]).max())
        shift = max(loudest.bit_length() - (s.segment.bit_length() - 1), 0)
        cut = np.lib.stride_tricks.sliding_window_view(centred, s.segment)[::half]
        energy = spectrum.energies(
            spectrum.real_spectrum((cut * self.window_table.astype(np.int64) + 1) >> 1)
        )
        powers = (energy + np.uint64((1 << shift) >> 1)) >> np.uint64(shift)
        powers = np.minimum(powers, np.uint64((1 << POWER_BITS) - 1))
        sums, fourth = powers.sum(axis=0), (powers * powers).sum(axis=0)
        logs = spectrum.binary_logarithm
        ratio = self.segments_log + logs(fourth) - 2 * logs(sums)
        ratio = np.where(sums == 0, 0, np.maximum(ratio, 0))
        edges = self.edges.astype(np.int64)
        bands = np.add.reduceat(sums[: edges[-1]], edges[:-1])
        levels = logs(bands) + self.band_offset + (shift << spectrum.LOG_BITS)
        counts = np.diff(edges)
        means = (np.add.reduceat(ratio[: edges[-1]], edges[:-1]) + counts // 2) // counts
        levels = np.maximum(np.concatenate([rms, levels]), self.floor)
        return np.concatenate([levels, means])

    def real_features(self, samples: np.ndarray) -> np.ndarray:
        """Compute the features of int16 samples in real numbers, by definition.

        Returns
        -------
        np.ndarray
            float64, ``(rows, features)``.
        """
        s, edges = self.settings, self.edges.astype(int)
        x = self.rows(samples) / 32768.0
        x = x - x.mean(axis=-1, keepdims=True)
        cut = np.lib.stride_tricks.sliding_window_view(x, s.segment, axis=-1)
        window = spectrum.window(s.segment)
        power = np.abs(np.fft.rfft(cut[..., :: s.segment // 2, :] * window)) ** 2
        mean = power.mean(axis=-2)
        ratio = (power**2).mean(axis=-2) / np.where(mean == 0, 1.0, mean) ** 2
        kurtosis = 10 * np.log10(np.where(mean == 0, 1.0, ratio))
        scaled = mean * 2 / (s.segment * (window**2).sum())
        parts = [x.var(axis=-1)[..., None]]
        pairs = [*pairwise(edges)]
        parts += [scaled[..., a:b].sum(axis=-1, keepdims=True) for a, b in pairs]
        levels = 10 * np.log10(np.maximum(np.concatenate(parts, axis=-1), _FLOOR))
        means = [kurtosis[..., a:b].mean(axis=-1, keepdims=True) for a, b in pairs]
        return np.concatenate([levels, *means], axis=-1).reshape(len(x), -1)


def _fixed(value: float) -> int:
    return math.floor(value * (1 << spectrum.LOG_BITS) + 0.5)
