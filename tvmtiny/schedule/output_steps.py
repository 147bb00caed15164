"""The steps of TFLite's function from accumulators to outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

#: Accumulators around a step of exact arithmetic, of which TFLite's function nearly always reaches
#: the output at one, and not at the first.
_AROUND = np.arange(-2, 2)

#: Stands for a missing bound of an initial accumulator.
FAR = 2**62

#: TFLite's function from accumulators, ``(channels, n)``, to clamped outputs, both int64.
Reference = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Steps:
    """The steps of TFLite's function for each channel, ``(channels, n)``.

    The output is at least ``outputs[n]`` from the accumulator ``at[n]`` on. A step taken at the
    smallest accumulator has only a lower bound, and a step that is never taken only an upper one.
    `nibbles` are the lower 4 bits that initial accumulators must have, if any.
    """

    outputs: np.ndarray
    at: np.ndarray
    below: np.ndarray
    taken_at_once: np.ndarray
    never_taken: np.ndarray
    nibbles: np.ndarray | None = None

    @cached_property
    def constant(self) -> np.ndarray:
        """Channels whose output never changes."""
        return np.asarray((self.taken_at_once | self.never_taken).all(axis=1))


def find_steps(
    reference: Reference,
    scales: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    limits: tuple[int, int],
) -> Steps:
    """Find all steps within `limits`; the arrays have the shape ``(channels, 1)``.

    A step lies within a few accumulators of its place in exact arithmetic, all of which are tried
    at once. Steps that lie elsewhere are found by bisection of the whole range.
    """
    outputs = np.arange(limits[0] + 1, limits[1] + 1)
    origin = np.clip(0, low, high)
    values = reference(np.concatenate([low, origin, high], axis=1))
    least, at_origin, most = values[:, :1], values[:, 1:2], values[:, 2:]
    zero_point = at_origin - np.rint(origin * scales)
    ideal = np.ceil((outputs - 0.5 - zero_point) / np.maximum(scales, 2.0**-60))
    first = np.clip(ideal, low, high + 1).astype(np.int64)
    around = first[:, None] + _AROUND[:, None]
    around = np.minimum(np.maximum(around, low[:, None]), high[:, None])
    values = reference(around.reshape(len(low), -1)).reshape(around.shape)
    reached = values >= outputs
    first += _AROUND[-1] + 1 - reached.sum(axis=1)
    taken_at_once, never_taken = outputs <= least, outputs > most
    first = np.where(taken_at_once, low, np.where(never_taken, high + 1, first))
    elsewhere = (reached[:, 0] | ~reached[:, -1]) & ~(taken_at_once | never_taken)
    last = np.where(elsewhere, high, first)
    first = np.where(elsewhere, low, first)
    while np.any(first < last):
        middle = (first + last) >> 1
        reached = reference(np.minimum(middle, high)) >= outputs
        last = np.where(reached & (first < last), middle, last)
        first = np.where(reached, first, np.minimum(middle + 1, last))
    return Steps(
        outputs,
        np.minimum(first, high),
        np.clip(first - 1, low, high),
        taken_at_once,
        never_taken,
    )


def between(least: np.ndarray, most: np.ndarray) -> np.ndarray:
    """Return a value between bounds, one of which may be missing."""
    no_least, no_most = least == -FAR, most == FAR
    middle = np.where(no_least | no_most, 0, (least + most) >> 1)
    middle = np.where(no_least & ~no_most, most, middle)
    return np.where(no_most & ~no_least, least, middle)
