"""Which layer gets the next trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["History", "next_task"]

#: As MetaSchedule's gradient-based task scheduler has them: the weight of what the last rounds
#: gained against what one more may be expected to, and how many rounds are looked back.
_ALPHA = 0.2
_WINDOW = 3


@dataclass
class History:
    """The rounds of one layer.

    Attributes
    ----------
    weight
        How often an inference runs it.
    best
        The smallest figure after each round; the first is the default's.
    exhausted
        There is nothing more to try.
    busy
        A round is being measured.
    """

    weight: int
    best: list[float] = field(default_factory=list)
    exhausted: bool = False
    busy: bool = False

    @property
    def gradient(self) -> float:
        """How much of the whole model's time one more round may gain."""
        if not self.best:
            return float("inf")
        now, rounds = self.best[-1], len(self.best)
        gained = 0.0
        if rounds > _WINDOW:
            gained = (self.best[-1 - _WINDOW] - now) / _WINDOW
        return self.weight * (_ALPHA * gained + (1 - _ALPHA) * now / rounds)


def next_task(histories: Sequence[History]) -> int | None:
    """The layer with the steepest gradient that is not busy; None where there is none.

    MetaSchedule's rule, but for its first pass over all layers: the default rule's candidate of
    each was measured before, which tells how much there is to gain.
    """
    free = [i for i, history in enumerate(histories) if not (history.exhausted or history.busy)]
    return max(free, key=lambda i: (histories[i].gradient, -i), default=None)
