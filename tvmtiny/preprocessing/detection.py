"""From the outputs of a model to events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor, isfinite

from tvmtiny.errors import InputError
from tvmtiny.frontend.feed import Feed
from tvmtiny.ops import Tensor

#: Of the sum of the last outputs, which is an int32 in C.
MOST_AVERAGED = 1000


@dataclass(frozen=True)
class Detection:
    """When there is an event.

    Attributes
    ----------
    threshold
        What the mean of the last outputs of a class must be above, in real numbers.
    average
        Over how many decisions the mean is taken; before there are as many, there is no event.
    refractory_ms
        How long there is no other event after one.
    classes
        Positions in the model's output that are events; by default the only one, or the second of
        two.
    """

    threshold: float = 0.5
    average: int = 1
    refractory_ms: float = 0.0
    classes: Sequence[int] | None = None

    def least_sum(self, output: Tensor) -> int:
        """The smallest sum of quantized outputs whose mean is above the threshold; exact."""
        scale = Fraction(output.scale)
        steps = Fraction(self.threshold) * self.average / scale
        return floor(self.average * output.zero_point + steps) + 1

    def positions(self, output: Tensor) -> tuple[int, ...]:
        """The positions of events in `output`.

        Raises
        ------
        InputError
            `classes` has one that is not there, or is needed.
        """
        count = output.elements
        if self.classes is None:
            if count > 2:
                raise InputError(
                    f"the model has {count} outputs: say which of them are events, such as "
                    "--event 2 --event 3"
                )
            return (count - 1,)
        positions = tuple(self.classes)
        if not positions or len(set(positions)) != len(positions):
            raise InputError("events need positions in the model's output, each once")
        for position in positions:
            if not 0 <= position < count:
                raise InputError(
                    f"there is no output {position} for an event; the model has 0 to {count - 1}"
                )
        return positions

    def check(self) -> None:
        """Look at numbers that depend on no model.

        Raises
        ------
        InputError
            One is out of range.
        """
        if not isfinite(self.threshold):
            raise InputError(f"a threshold of {self.threshold} is no number; give 0.5, say")
        if not 1 <= self.average <= MOST_AVERAGED:
            raise InputError(
                f"a mean over {self.average} decisions is not possible; allowed: 1 to "
                f"{MOST_AVERAGED}"
            )
        if not 0 <= self.refractory_ms <= 3_600_000:
            raise InputError(
                f"a refractory time of {self.refractory_ms:g} ms is not possible; give 0 to "
                "3,600,000"
            )

    def refractory(self, milliseconds: float) -> int:
        """Decisions without an event, where one comes every so many `milliseconds`."""
        return ceil(Fraction(self.refractory_ms) / Fraction(milliseconds))


class Detector:
    """The events of a feed, in Python: what the generated C computes from outputs."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._last: list[list[int]] = []
        self._quiet = 0

    def sums(self) -> list[int]:
        """For each class, the sum of its last outputs."""
        return [sum(values) for values in zip(*self._last, strict=True)]

    def event(self, outputs: Sequence[int]) -> int | None:
        """Take the quantized outputs of a decision; the position of an event, or None."""
        feed = self._feed
        self._last = [*self._last, [int(outputs[c]) for c in feed.classes]][-feed.average :]
        if self._quiet:
            self._quiet -= 1
            return None
        sums = self.sums()
        if len(self._last) < feed.average or max(sums) < feed.least_sum:
            return None
        self._quiet = feed.refractory
        return feed.classes[sums.index(max(sums))]
