"""Decide which layer gets the next trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["History", "next_task"]

#: Parameters of MetaSchedule's gradient-based task scheduler: the weight of the gain in past rounds
#: against the expected gain of one more, and the number of past rounds considered.
_ALPHA = 0.2
_WINDOW = 3


@dataclass
class History:
    """The tuning rounds of one layer.

    Attributes
    ----------
    weight
        Number of times that an inference runs the layer.
    best
        Smallest figure after each round; the first is that of the default rule.
    exhausted
        Whether there are no candidates left to try.
    busy
        Whether a round is being measured.
    """

    weight: int
    best: list[float] = field(default_factory=list)
    exhausted: bool = False
    busy: bool = False

    @property
    def gradient(self) -> float:
        """Estimate how much of the whole model's time one more round may save."""
        if not self.best:
            return float("inf")
        now, rounds = self.best[-1], len(self.best)
        gained = 0.0
        if rounds > _WINDOW:
            gained = (self.best[-1 - _WINDOW] - now) / _WINDOW
        return self.weight * (_ALPHA * gained + (1 - _ALPHA) * now / rounds)


def next_task(histories: Sequence[History]) -> int | None:
    """Return the idle layer with the steepest gradient; None if there is none.

    This is MetaSchedule's rule without its initial pass over all layers: the default rule's
    candidate of each layer is measured first and shows how much there is to gain.
    """
    free = [i for i, history in enumerate(histories) if not (history.exhausted or history.busy)]
    return max(free, key=lambda i: (histories[i].gradient, -i), default=None)
