"""Detection of events in the outputs of a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor, isfinite

from tvmtiny.errors import InputError
from tvmtiny.frontend.feed import Feed
from tvmtiny.ops import Tensor

#: Most decisions whose outputs are summed; C keeps the sum in an int32.
MOST_AVERAGED = 1000


@dataclass(frozen=True)
class Detection:
    """The condition for an event.

    Attributes
    ----------
    threshold
        Value, in real numbers, that the mean of a class's last outputs must exceed.
    average
        Number of decisions in the mean. There is no event before that many decisions.
    refractory_ms
        Milliseconds after an event without another one.
    classes
        Positions in the model's output that stand for events; by default the only one, or the
        second of two.
    """

    threshold: float = 0.5
    average: int = 1
    refractory_ms: float = 0.0
    classes: Sequence[int] | None = None

    def least_sum(self, output: Tensor) -> int:
        """Return the smallest sum of quantized outputs whose mean exceeds the threshold (exact)."""
        scale = Fraction(output.scale)
        steps = Fraction(self.threshold) * self.average / scale
        return floor(self.average * output.zero_point + steps) + 1

    def positions(self, output: Tensor) -> tuple[int, ...]:
        """Return the positions of events in `output`.

        Raises
        ------
        InputError
            If a position in `classes` does not exist, or `classes` is needed but None.
        """
        count = output.elements
        if self.classes is None:
            if count > 2:
                raise InputError(
                    f"the model has {count} outputs; name those that are events, such as --event 2 "
                    "--event 3"
                )
            return (count - 1,)
        positions = tuple(self.classes)
        if not positions or len(set(positions)) != len(positions):
            raise InputError(
                "events must be different positions in the model's output; give at least one"
            )
        for position in positions:
            if not 0 <= position < count:
                raise InputError(
                    f"there is no output {position} for an event; the model has 0 to {count - 1}"
                )
        return positions

    def check(self) -> None:
        """Check the values that do not depend on a model.

        Raises
        ------
        InputError
            If a value is out of range.
        """
        if not isfinite(self.threshold):
            raise InputError(
                f"the threshold {self.threshold} is not a number; give one such as 0.5"
            )
        if not 1 <= self.average <= MOST_AVERAGED:
            raise InputError(
                f"an average over {self.average} decisions is not possible; give 1 to "
                f"{MOST_AVERAGED}"
            )
        if not 0 <= self.refractory_ms <= 3_600_000:
            raise InputError(
                f"a refractory time of {self.refractory_ms:g} ms is not possible; give 0 to "
                "3,600,000"
            )

    def refractory(self, milliseconds: float) -> int:
        """Return the decisions without an event, for decisions every `milliseconds`."""
        return ceil(Fraction(self.refractory_ms) / Fraction(milliseconds))


class Detector:
    """Detects events in Python, as the generated C does."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._last: list[list[int]] = []
        self._quiet = 0

    def sums(self) -> list[int]:
        """Return the sum of the last outputs of each class."""
        return [sum(values) for values in zip(*self._last, strict=True)]

    def event(self, outputs: Sequence[int]) -> int | None:
        """Take the quantized outputs of a decision; return the position of an event, or None."""
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
