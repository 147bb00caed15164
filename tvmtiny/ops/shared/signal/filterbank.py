"""Filters on a mel scale over a power spectrum, as in TFLM's microfrontend.

Each of the ``channels + 1`` bands between adjacent centre frequencies adds a share of every bin to
the channel that ends there, and the rest to the next channel. Shares are 12-bit numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tvmtiny.ops.shared.signal.log1p import log1p_float

#: Bits of a share.
WEIGHT_BITS = 12


@dataclass(frozen=True, eq=False)
class Filterbank:
    """Filters that overlap by halves.

    Attributes
    ----------
    starts
        First bin of each band, and the bin after the last band: int64, ``(channels + 2,)``.
    weights, unweights
        Shares of each bin, from the first one read, in the channel that ends and in the next one:
        int16.
    """

    starts: np.ndarray
    weights: np.ndarray
    unweights: np.ndarray

    @property
    def channels(self) -> int:
        """Number of sums."""
        return len(self.starts) - 2

    @property
    def bins(self) -> tuple[int, int]:
        """The first bin that is read, and the one after the last."""
        return int(self.starts[0]), int(self.starts[-1])

    def sums(self, energy: np.ndarray) -> np.ndarray:
        """Compute the weighted sums of a spectrum.

        Parameters
        ----------
        energy
            Numbers from 0 to below 2^32, ``(..., bins)``.

        Returns
        -------
        np.ndarray
            uint64, ``(..., channels)``.
        """
        first = int(self.starts[0])
        wide = energy.astype(np.uint64)
        result = np.zeros((*energy.shape[:-1], self.channels), np.uint64)
        for band in range(self.channels + 1):
            begin, end = int(self.starts[band]), int(self.starts[band + 1])
            part = wide[..., begin:end]
            mine = slice(begin - first, end - first)
            if band:
                weighted = part * self.weights[mine].astype(np.uint64)
                result[..., band - 1] += weighted.sum(axis=-1, dtype=np.uint64)
            if band < self.channels:
                weighted = part * self.unweights[mine].astype(np.uint64)
                result[..., band] += weighted.sum(axis=-1, dtype=np.uint64)
        return result


def mel_filterbank(
    channels: int, lower_hz: float, upper_hz: float, sample_rate: int, bins: int
) -> Filterbank | None:
    """Make the filters of TFLM's ``FilterbankPopulateState``, in single precision.

    Parameters
    ----------
    channels
        Number of filters.
    lower_hz, upper_hz
        Limits of the filters in Hz.
    sample_rate
        Sample rate in Hz.
    bins
        Number of bins in the spectrum, including the one at half of the sample rate.

    Returns
    -------
    Filterbank or None
        None if the filters reach beyond the spectrum.
    """
    low, high = _mel(lower_hz), _mel(upper_hz)
    spacing = np.float32(np.float32(high - low) / np.float32(channels + 1))
    centres = [
        np.float32(low + np.float32(spacing * np.float32(i + 1))) for i in range(channels + 1)
    ]
    hz_per_bin = np.float32(np.float32(0.5) * np.float32(sample_rate) / np.float32(bins - 1))
    begin = int(np.float32(1.5) + np.float32(np.float32(lower_hz) / hz_per_bin))
    starts, weights, unweights = [begin], [], []
    for channel, centre in enumerate(centres):
        before = low if channel == 0 else centres[channel - 1]
        while (mel := _mel(np.float32(begin) * hz_per_bin)) <= centre:
            weight = np.float32(np.float32(centre - mel) / np.float32(centre - before))
            weights.append(_share(weight))
            unweights.append(_share(np.float32(np.float32(1) - weight)))
            begin += 1
            if begin >= bins:
                return None
        starts.append(begin)
    return Filterbank(
        np.array(starts, np.int64), np.array(weights, np.int16), np.array(unweights, np.int16)
    )


def _mel(hz: float | np.float32) -> np.float32:
    return np.float32(1127) * log1p_float(np.float32(hz) / np.float32(700))


def _share(weight: np.float32) -> int:
    scaled = np.float32(weight * np.float32(1 << WEIGHT_BITS)) + np.float32(0.5)
    return int(np.floor(np.float32(scaled)))


def rounded_root(values: np.ndarray) -> np.ndarray:
    """Compute square roots, rounded to the nearest integer: uint64 from uint64.

    As in TFLM, the root of a number below 2^32 is at most 65535, and that of any number at most
    2^32 - 1.
    """
    values = values.astype(np.uint64)
    root = np.sqrt(values.astype(np.float64)).astype(np.uint64)
    # The root from float64 is off by at most one.
    root -= (root > 0) & ((root > 0xFFFFFFFF) | (root * root > values))
    root = np.minimum(root, np.uint64(0xFFFFFFFF))
    up = (root < 0xFFFFFFFF) & ((root + np.uint64(1)) * (root + np.uint64(1)) <= values)
    root = root + up.astype(np.uint64)
    rest = values - root * root
    most = np.where(values >> np.uint64(32), np.uint64(0xFFFFFFFF), np.uint64(0xFFFF))
    return root + ((rest > root) & (root != most)).astype(np.uint64)
