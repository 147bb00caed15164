"""The features of TensorFlow's microfrontend in numpy, bit-exact.

A frame is a window of samples times a Hann window, scaled up as far as 16 bits allow. Its power
spectrum (`fft`) passes through filters on a mel scale (`filterbank`). The square roots of their
sums pass through noise reduction, gain control and a logarithm (`gain`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tvmtiny.ops.shared.signal import gain
from tvmtiny.ops.shared.signal.fft import fft_length, real_fft
from tvmtiny.ops.shared.signal.filterbank import WEIGHT_BITS, mel_filterbank, rounded_root

#: Bits of the window's coefficients.
WINDOW_BITS = 12


@dataclass(frozen=True)
class MicrofrontendSettings:
    """The settings of the features; the defaults are those of `pymicro-features`.

    Attributes
    ----------
    sample_rate
        Sample rate in Hz.
    window_ms, step_ms
        Duration of a frame, and distance between the starts of frames, in milliseconds.
    channels, lower_hz, upper_hz
        Number of filters, and their limits in Hz.
    smoothing_bits, even_smoothing, odd_smoothing, least_signal
        Parameters of the noise reduction; odd channels have a factor of their own.
    gain_control, strength, offset, gain_bits
        Whether gains are controlled, and the parameters of the gain.
    logarithm, log_shift
        Whether logarithms are taken, and the binary logarithm of their factor.
    """

    sample_rate: int = 16000
    window_ms: int = 30
    step_ms: int = 10
    channels: int = 40
    lower_hz: float = 125.0
    upper_hz: float = 7500.0
    smoothing_bits: int = 10
    even_smoothing: float = 0.025
    odd_smoothing: float = 0.06
    least_signal: float = 0.05
    gain_control: bool = True
    strength: float = 0.95
    offset: float = 80.0
    gain_bits: int = 21
    logarithm: bool = True
    log_shift: int = 6


class Microfrontend:
    """The tables and the arithmetic for given settings.

    Raises
    ------
    ValueError
        If the filters reach beyond half of the sample rate.
    """

    def __init__(self, settings: MicrofrontendSettings) -> None:
        self.settings = s = settings
        self.window = s.window_ms * s.sample_rate // 1000
        self.step = s.step_ms * s.sample_rate // 1000
        self.length = fft_length(self.window)
        self.correction_bits = self.length.bit_length() - 1 - WEIGHT_BITS // 2
        self.snr_shift = s.gain_bits - self.correction_bits - gain.SNR_BITS
        found = mel_filterbank(
            s.channels, s.lower_hz, s.upper_hz, s.sample_rate, self.length // 2 + 1
        )
        if found is None:
            raise ValueError("the filters reach beyond half of the sample rate")
        self.filterbank = found

    @property
    def channels(self) -> int:
        """Number of features in a frame."""
        return self.settings.channels

    @cached_property
    def coefficients(self) -> np.ndarray:
        """The Hann window: int16, ``(window,)``."""
        step = np.float32(np.float32(np.pi) * np.float32(2) / np.float32(self.window))
        places = np.arange(self.window, dtype=np.float32) + np.float32(0.5)
        cosine = np.cos((step * places).astype(np.float64)).astype(np.float32)
        values = np.float32(0.5) - np.float32(0.5) * cosine
        scaled = values * np.float32(1 << WINDOW_BITS) + np.float32(0.5)
        return np.floor(scaled).astype(np.int16)

    @cached_property
    def smoothing(self) -> np.ndarray:
        """Share of the signal in each channel's estimate of noise: int64, ``(channels,)``."""
        s = self.settings
        pair = [fixed_share(s.even_smoothing), fixed_share(s.odd_smoothing)]
        return np.array(pair, np.int64)[np.arange(self.channels) % 2]

    @property
    def least(self) -> int:
        """Least share of the signal that is kept."""
        return fixed_share(self.settings.least_signal)

    @cached_property
    def gain_table(self) -> np.ndarray:
        """The table of gains, see `gain.gain_table`."""
        s = self.settings
        bits = s.smoothing_bits - self.correction_bits
        return gain.gain_table(s.strength, s.offset, s.gain_bits, bits)

    def frames(self, samples: np.ndarray) -> np.ndarray:
        """Cut samples into all whole windows: ``(frames, window)``."""
        count = (len(samples) - self.window) // self.step + 1
        if count < 1:
            return np.zeros((0, self.window), np.int16)
        cut = np.lib.stride_tricks.sliding_window_view(samples, self.window)
        return cut[:: self.step][:count]

    def magnitudes(self, frames: np.ndarray) -> np.ndarray:
        """Compute the filters' outputs: uint32 ``(frames, channels)`` from int16 frames."""
        products = frames.astype(np.int64) * self.coefficients
        windowed = (products >> WINDOW_BITS).astype(np.int16)
        # The lowest number has no absolute value in 16 bits; TFLM ignores it.
        sizes = np.abs(windowed.astype(np.int64)) & 0x7FFF
        shifts = 15 - gain.bit_length(sizes.max(axis=-1, initial=0))
        padded = np.zeros((len(frames), self.length), np.int64)
        padded[:, : self.window] = windowed
        spectrum = real_fft((padded << shifts[:, None]).astype(np.int16)).astype(np.int64)
        energy = (spectrum**2).sum(axis=-1)
        roots = rounded_root(self.filterbank.sums(energy))
        return (roots >> shifts.astype(np.uint64)[:, None]).astype(np.uint32)

    def features(self, samples: np.ndarray, estimate: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute the features of all whole windows of samples.

        Parameters
        ----------
        samples
            int16.
        estimate
            The estimate of noise before these samples: uint32, ``(channels,)``; initially zeros.

        Returns
        -------
        tuple of np.ndarray
            The features, uint16 ``(frames, channels)``, and the new estimate.
        """
        s = self.settings
        rows = []
        for signal in self.magnitudes(self.frames(samples)):
            left, estimate = gain.reduced(
                signal, estimate, self.smoothing, self.least, s.smoothing_bits
            )
            if s.gain_control:
                left = gain.controlled(left, estimate, self.gain_table, self.snr_shift)
            if s.logarithm:
                rows.append(gain.logarithm(left, 1 << s.log_shift, self.correction_bits))
            else:
                rows.append(np.minimum(left, 0xFFFF).astype(np.uint16))
        return np.array(rows, np.uint16).reshape(-1, self.channels), estimate


def fixed_share(share: float) -> int:
    """Truncate a share to 14 bits, in single precision as in TFLM."""
    return int(np.float32(share) * np.float32(1 << gain.SMOOTHING_BITS))
