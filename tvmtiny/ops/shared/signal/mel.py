"""Log-mel spectra and MFCC in fixed point, and the real numbers that they approximate.

The conventions differ in the scale of the filters, in the quantity that is summed, and in the
logarithm:

- ``librosa``: ``librosa.feature.melspectrogram`` and ``librosa.power_to_db`` without ``top_db``,
  ``librosa.feature.mfcc``: Slaney's scale and norm, power, decibels of at least 1e-10, and an
  orthonormal DCT-II.
- ``tensorflow``: ``tf.signal.linear_to_mel_weight_matrix`` on magnitudes, ``log(x + 1e-6)``, and
  ``tf.signal.mfccs_from_log_mel_spectrograms``: HTK's scale, triangles over mels, a DCT-II whose
  first row has the same factor as the others.
- ``cmsis``: ``arm_mfcc_f32`` with the tables of CMSIS-DSP's ``mfccdata.py``: as ``tensorflow``,
  with a Hamming window.
- ``mlperf``: the features of MLPerf Tiny's streaming wake word, as its reference firmware computes
  them: ``x[n] - 31/32 x[n-1]``, a Hamming window, the power divided by the length of the window,
  TensorFlow's filters, and ``(10 log10(x) + 52) / 64``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tvmtiny.ops.shared.signal import spectrum
from tvmtiny.ops.shared.signal.fft import fft_length
from tvmtiny.ops.shared.signal.filterbank import rounded_root

#: Fractional bits of a filter's weights and of the factors of the DCT.
WEIGHT_BITS = 15
#: Most bits of an energy that is weighted.
_ENERGY_BITS = 40
#: Pre-emphasis is ``x[n] - (1 - 2^-5) x[n-1]``; one bit more keeps its values within 16 bits.
_EMPHASIS_BITS = 5
#: Offset and divisor of the decibels of ``mlperf``.
_MLPERF_OFFSET, _MLPERF_DIVISOR = 52, 64

_HAMMING = ("cmsis", "mlperf")
CONVENTIONS = ("librosa", "tensorflow", "cmsis", "mlperf")


@dataclass(frozen=True)
class MelSettings:
    """The settings of the features.

    Attributes
    ----------
    sample_rate
        Sample rate in Hz.
    window_ms, step_ms
        Duration of a frame, and distance between the starts of frames, in milliseconds.
    fft_length
        Length of the transform; 0 for the smallest power of two that holds a window.
    channels, lower_hz, upper_hz
        Number of filters, and their limits in Hz; an upper limit of 0 is half of the sample rate.
    coefficients
        Number of MFCC; 0 for the logarithms themselves.
    convention
        ``librosa``, ``tensorflow``, ``cmsis`` or ``mlperf``.
    """

    sample_rate: int = 16000
    window_ms: float = 32.0
    step_ms: float = 10.0
    fft_length: int = 0
    channels: int = 40
    lower_hz: float = 0.0
    upper_hz: float = 0.0
    coefficients: int = 0
    convention: str = "librosa"


class MelFeatures:
    """The tables and the arithmetic for given settings."""

    def __init__(self, settings: MelSettings) -> None:
        self.settings = s = settings
        self.window = round(s.window_ms * s.sample_rate / 1000)
        self.step = round(s.step_ms * s.sample_rate / 1000)
        self.length = s.fft_length or fft_length(self.window)
        self.upper_hz = s.upper_hz or s.sample_rate / 2
        self.power = s.convention in ("librosa", "mlperf")
        self.kind = "hamming" if s.convention in _HAMMING else "hann"
        #: Number of samples before a window that pre-emphasis needs.
        self.emphasis = int(s.convention == "mlperf")

    @property
    def memory(self) -> int:
        """Number of samples before those of a step that its frame needs."""
        return self.window - self.step + self.emphasis

    @property
    def features(self) -> int:
        """Number of features in a frame."""
        return self.settings.coefficients or self.settings.channels

    @cached_property
    def window_table(self) -> np.ndarray:
        """The window: uint16, ``(window,)``."""
        return spectrum.window_coefficients(self.window, self.kind)

    @cached_property
    def filters(self) -> np.ndarray:
        """The filters without a norm: float64, ``(channels, length / 2 + 1)``, at most 1."""
        s = self.settings
        bins = np.arange(self.length // 2 + 1) * (s.sample_rate / self.length)
        if s.convention == "librosa":
            places, edges = bins, self._edges
        else:
            places, edges = _htk(bins), _htk(self._edges)
        rising = (places - edges[:-2, None]) / np.diff(edges)[:-1, None]
        falling = (edges[2:, None] - places) / np.diff(edges)[1:, None]
        filters = np.maximum(0.0, np.minimum(rising, falling))
        if s.convention != "librosa":
            filters[:, 0] = 0.0
        return filters

    @cached_property
    def _edges(self) -> np.ndarray:
        """The lower, middle and upper frequencies of the filters in Hz: ``(channels + 2,)``."""
        s, count = self.settings, self.settings.channels + 2
        if s.convention == "librosa":
            low, high = _slaney(np.array([s.lower_hz, self.upper_hz]))
            return _from_slaney(np.linspace(float(low), float(high), count))
        low, high = _htk(np.array([s.lower_hz, self.upper_hz]))
        return 700.0 * np.expm1(np.linspace(float(low), float(high), count) / 1127.0)

    @cached_property
    def norms(self) -> np.ndarray:
        """Factor of each filter: float64, ``(channels,)``."""
        if self.settings.convention != "librosa":
            return np.ones(self.settings.channels)
        return 2.0 / (self._edges[2:] - self._edges[:-2])

    @cached_property
    def bands(self) -> np.ndarray:
        """First bin of each filter and number of bins: int16, ``(channels, 2)``."""
        found = []
        for row in self._fixed:
            (used,) = np.nonzero(row)
            found.append((used[0], used[-1] + 1 - used[0]) if len(used) else (0, 0))
        return np.array(found, np.int16)

    @cached_property
    def weights(self) -> np.ndarray:
        """Weights of the bins of all filters, one after the other: uint16."""
        parts = [
            row[b : b + n] for row, (b, n) in zip(self._fixed, self.bands.tolist(), strict=True)
        ]
        return np.concatenate(parts).astype(np.uint16)

    @cached_property
    def _fixed(self) -> np.ndarray:
        return np.floor(self.filters * (1 << WEIGHT_BITS) + 0.5).astype(np.int64)

    @cached_property
    def offsets(self) -> np.ndarray:
        """Logarithm of the unit of each filter's sum, with 16 fractional bits: int32."""
        unit = math.log2(self.length) - spectrum.SPECTRUM_BITS
        if self.emphasis:
            unit += 1 - math.log2(self.window) / 2
        value = (2 if self.power else 1) * unit - WEIGHT_BITS + np.log2(self.norms)
        if self.settings.convention == "mlperf":
            value += _MLPERF_OFFSET / (10 * math.log10(2))
        return np.floor(value * (1 << spectrum.LOG_BITS) + 0.5).astype(np.int32)

    @property
    def factor(self) -> float:
        """Real number that a binary logarithm of 1 stands for."""
        if self.settings.convention == "mlperf":
            return 10 * math.log10(2) / _MLPERF_DIVISOR
        return 10 * math.log10(2) if self.power else math.log(2)

    @property
    def floor(self) -> int:
        """The least binary logarithm, with 16 fractional bits."""
        least = math.log2(1e-10) if self.settings.convention == "librosa" else -64.0
        return math.floor(least * (1 << spectrum.LOG_BITS) + 0.5)

    @property
    def epsilon(self) -> int:
        """Number that is added to each filter's sum."""
        if self.power:
            return 0
        return round(1e-6 * 2.0 ** (spectrum.SPECTRUM_BITS + WEIGHT_BITS) / self.length)

    @cached_property
    def dct(self) -> np.ndarray:
        """The DCT-II: float64, ``(coefficients, channels)``."""
        s = self.settings
        places = np.pi * (np.arange(s.channels) + 0.5) / s.channels
        matrix = np.cos(np.arange(s.coefficients)[:, None] * places)
        matrix *= math.sqrt(2 / s.channels)
        if s.convention == "librosa":
            matrix[:1] *= math.sqrt(0.5)
        return matrix

    @cached_property
    def dct_table(self) -> np.ndarray:
        """The DCT-II with 15 fractional bits: int16."""
        fixed = np.floor(self.dct * (1 << WEIGHT_BITS) + 0.5)
        return np.clip(fixed, -32768, 32767).astype(np.int16)

    def emphasized(self, samples: np.ndarray) -> np.ndarray:
        """Return int16 samples after pre-emphasis, if there is any, in units of 2^-5: int64."""
        x = samples.astype(np.int64) << _EMPHASIS_BITS
        if not self.emphasis:
            return x
        return x[1:] - (x[:-1] - samples[:-1])

    def windowed(self, samples: np.ndarray) -> np.ndarray:
        """Return all whole windows of int16 samples as real numbers: ``(frames, window)``."""
        frames = self.frames(self.emphasized(samples)) / 32768.0 / (1 << _EMPHASIS_BITS)
        return frames * spectrum.window(self.window, self.kind)

    def frames(self, samples: np.ndarray) -> np.ndarray:
        """Cut samples into all whole windows: ``(frames, window)``."""
        if len(samples) < self.window:
            return np.zeros((0, self.window), samples.dtype)
        return np.lib.stride_tricks.sliding_window_view(samples, self.window)[:: self.step]

    def features_of(self, samples: np.ndarray) -> np.ndarray:
        """Compute the features of all whole windows of int16 samples in fixed point.

        Returns
        -------
        np.ndarray
            int64 with 16 fractional bits, in units of `factor`: ``(frames, features)``.
        """
        frames = self.frames(self.emphasized(samples)) * self.window_table.astype(np.int64)
        padded = np.zeros((len(frames), self.length), np.int64)
        # Half of the samples after pre-emphasis, which may be twice as large.
        padded[:, : self.window] = frames >> (_EMPHASIS_BITS + self.emphasis)
        energy = spectrum.energies(spectrum.real_spectrum(padded))
        if self.power:
            most = np.bitwise_or.reduce(energy, axis=-1)
            shift = np.maximum(spectrum.bit_length(most) - _ENERGY_BITS, 0)
            values = energy >> shift[:, None].astype(np.uint64)
        else:
            shift, values = np.zeros(len(frames), np.int64), rounded_root(energy)
        sums = np.stack([(values * row.astype(np.uint64)).sum(-1) for row in self._fixed], axis=-1)
        logs = spectrum.binary_logarithm(sums + np.uint64(self.epsilon))
        logs = logs + self.offsets + (shift[:, None] << spectrum.LOG_BITS)
        logs = np.maximum(logs, self.floor)
        if not self.settings.coefficients:
            return logs
        products = logs @ self.dct_table.astype(np.int64).T
        return (products + (1 << (WEIGHT_BITS - 1))) >> WEIGHT_BITS

    def real_features(self, samples: np.ndarray) -> np.ndarray:
        """Compute the features of all whole windows in real numbers, by definition.

        Parameters
        ----------
        samples
            int16, which stand for numbers from -1 to 1.

        Returns
        -------
        np.ndarray
            float64, ``(frames, features)``.
        """
        values = np.abs(np.fft.rfft(self.windowed(samples), self.length))
        if self.settings.convention == "mlperf":
            sums = (values**2 / self.window) @ self.filters.T
            logs = (10 * np.log10(np.maximum(sums, 1e-30)) + _MLPERF_OFFSET) / _MLPERF_DIVISOR
        elif self.power:
            sums = (values**2) @ (self.filters * self.norms[:, None]).T
            logs = 10 * np.log10(np.maximum(sums, 1e-10))
        else:
            logs = np.log(values @ self.filters.T + 1e-6)
        return logs @ self.dct.T if self.settings.coefficients else logs


def _htk(hz: np.ndarray) -> np.ndarray:
    """Convert Hz to mels: ``1127 ln(1 + f / 700)``."""
    return 1127.0 * np.log1p(hz / 700.0)


#: Slaney's scale: linear up to 1000 Hz, that is 15 mels; then logarithmic.
_LINEAR, _BEND_HZ, _BEND, _STEP = 200.0 / 3, 1000.0, 15.0, math.log(6.4) / 27.0


def _slaney(hz: np.ndarray) -> np.ndarray:
    bent = _BEND + np.log(np.maximum(hz, _BEND_HZ) / _BEND_HZ) / _STEP
    return np.where(hz < _BEND_HZ, hz / _LINEAR, bent)


def _from_slaney(mels: np.ndarray) -> np.ndarray:
    return np.where(mels < _BEND, mels * _LINEAR, _BEND_HZ * np.exp(_STEP * (mels - _BEND)))
