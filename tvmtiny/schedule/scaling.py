"""The constants of a requantization in two instructions, which `requantize.solve` finds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Scaling:
    """Constants of `SMMUL` and `SSAT` for each channel.

    Attributes
    ----------
    initial
        Initial accumulators with bias, zero points and rounding: int32, ``(channels,)``.
    multiplier
        Multipliers: int32, ``(channels,)``.
    shift
        The right shift, shared by all channels.
    offset, step
        Values for rounding by sign: `offset` is added before the shift, `step` only below zero.
        None without such rounding.
    """

    initial: np.ndarray
    multiplier: np.ndarray
    shift: int
    offset: np.ndarray | None = None
    step: np.ndarray | None = None

    @property
    def signed(self) -> bool:
        """Whether positive and negative sums are rounded differently."""
        return self.offset is not None
