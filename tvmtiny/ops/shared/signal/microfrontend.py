"""The features of TensorFlow's microfrontend, in numpy, bit by bit.

A frame is a window of samples times a Hann window, scaled up as far as 16 bits allow; its power
spectrum (`fft`) goes through filters on a mel scale (`filterbank`), of whose sums the square roots
are taken, and through noise reduction, gain control and a logarithm (`gain`).
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
    """What the features depend on; the defaults are those of `pymicro-features`.

    Attributes
    ----------
    sample_rate
        In Hz.
    window_ms, step_ms
        How long a frame is, and how far its begin is from that of the next one.
    channels, lower_hz, upper_hz
        Of the filters.
    smoothing_bits, even_smoothing, odd_smoothing, least_signal
        Of the noise reduction; channels with odd numbers have a factor of their own.
    gain_control, strength, offset, gain_bits
        Whether gains are controlled, and how.
    logarithm, log_shift
        Whether logarithms are taken, and times what power of two.
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
    """The tables and the arithmetic for some settings.

    Raises
    ------
    ValueError
        The filters reach beyond half of the sample rate.
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
        """Features of a frame."""
        return self.settings.channels

    @cached_property
    def coefficients(self) -> np.ndarray:
        """The window: int16, ``(window,)``."""
        step = np.float32(np.float32(np.pi) * np.float32(2) / np.float32(self.window))
        places = np.arange(self.window, dtype=np.float32) + np.float32(0.5)
        cosine = np.cos((step * places).astype(np.float64)).astype(np.float32)
        values = np.float32(0.5) - np.float32(0.5) * cosine
        scaled = values * np.float32(1 << WINDOW_BITS) + np.float32(0.5)
        return np.floor(scaled).astype(np.int16)

    @cached_property
    def smoothing(self) -> np.ndarray:
        """How fast each channel's estimate of noise follows: int64, ``(channels,)``."""
        s = self.settings
        pair = [fixed_share(s.even_smoothing), fixed_share(s.odd_smoothing)]
        return np.array(pair, np.int64)[np.arange(self.channels) % 2]

    @property
    def least(self) -> int:
        """The share of the signal that stays."""
        return fixed_share(self.settings.least_signal)

    @cached_property
    def gain_table(self) -> np.ndarray:
        """See `gain.gain_table`."""
        s = self.settings
        bits = s.smoothing_bits - self.correction_bits
        return gain.gain_table(s.strength, s.offset, s.gain_bits, bits)

    def frames(self, samples: np.ndarray) -> np.ndarray:
        """The windows of samples, of which as many are cut as are whole: ``(frames, window)``."""
        count = (len(samples) - self.window) // self.step + 1
        if count < 1:
            return np.zeros((0, self.window), np.int16)
        cut = np.lib.stride_tricks.sliding_window_view(samples, self.window)
        return cut[:: self.step][:count]

    def magnitudes(self, frames: np.ndarray) -> np.ndarray:
        """The filters' output: uint32, ``(frames, channels)`` of int16, ``(frames, window)``."""
        products = frames.astype(np.int64) * self.coefficients
        windowed = (products >> WINDOW_BITS).astype(np.int16)
        # The lowest number has no absolute value in 16 bits; TFLM does not count it.
        sizes = np.abs(windowed.astype(np.int64)) & 0x7FFF
        shifts = 15 - gain.bit_length(sizes.max(axis=-1, initial=0))
        padded = np.zeros((len(frames), self.length), np.int64)
        padded[:, : self.window] = windowed
        spectrum = real_fft((padded << shifts[:, None]).astype(np.int16)).astype(np.int64)
        energy = (spectrum**2).sum(axis=-1)
        roots = rounded_root(self.filterbank.sums(energy))
        return (roots >> shifts.astype(np.uint64)[:, None]).astype(np.uint32)

    def features(self, samples: np.ndarray, estimate: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The features of all whole windows of samples.

        Parameters
        ----------
        samples
            int16.
        estimate
            Of noise, before: uint32, ``(channels,)``; zeros at first.

        Returns
        -------
        tuple of np.ndarray
            uint16, ``(frames, channels)``, and the estimate afterwards.
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
    """A share in 14 bits, cut, as TFLM computes it in single precision."""
    return int(np.float32(share) * np.float32(1 << gain.SMOOTHING_BITS))
