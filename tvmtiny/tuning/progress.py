"""Progress reports of a tuning run."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tvmtiny.schedule.records import Status

if TYPE_CHECKING:
    from tvmtiny.tuning.measure import Trial
    from tvmtiny.tuning.tasks import Task

__all__ = ["LayerProgress", "Meter", "Progress"]

#: Number of trials over which the rate is averaged.
_RATE_TRIALS = 40


@dataclass(frozen=True)
class LayerProgress:
    """Progress of one layer.

    Attributes
    ----------
    label
        Label of the task.
    weight
        Number of times that an inference runs the layer.
    candidates
        Size of the layer's design space.
    trials
        Number of measured candidates.
    default, best
        Figures of the default rule's candidate and of the best one; None until known.
    """

    label: str
    weight: int
    candidates: int
    trials: int
    default: float | None
    best: float | None


@dataclass(frozen=True)
class Progress:
    """Progress of a tuning run.

    Attributes
    ----------
    trials, total
        Number of measured candidates, and number requested.
    restored
        Number of `trials` that were measured by earlier runs.
    layers
        One entry for each task.
    failures
        Number of failed trials by kind of failure.
    trials_per_second
        Rate over the most recent trials; None before the second one.
    seconds_left
        Remaining time at that rate; None if unknown.
    """

    trials: int
    total: int
    restored: int
    layers: tuple[LayerProgress, ...]
    failures: Mapping[str, int]
    trials_per_second: float | None
    seconds_left: float | None

    @property
    def default(self) -> float | None:
        """Sum of the default rules' figures over all tuned layers of an inference."""
        return _total([(layer.default, layer.weight) for layer in self.layers])

    @property
    def best(self) -> float | None:
        """Sum of the best candidates' figures over all tuned layers of an inference."""
        return _total([(layer.best, layer.weight) for layer in self.layers])


def _total(figures: Sequence[tuple[float | None, int]]) -> float | None:
    known = [figure * weight for figure, weight in figures if figure is not None]
    return sum(known) if len(known) == len(figures) else None


class Meter:
    """Count trials and compute the progress.

    Parameters
    ----------
    total
        Number of trials requested.
    """

    def __init__(self, tasks: Sequence[Task], total: int) -> None:
        self._tasks = tasks
        self._total = total
        self._trials = Counter[int]()
        self._failures = Counter[str]()
        self._default: dict[int, float] = {}
        self._best: dict[int, float] = {}
        self._times: deque[float] = deque(maxlen=_RATE_TRIALS)
        self.restored = 0

    @property
    def trials(self) -> int:
        """Number of trials so far."""
        return sum(self._trials.values())

    def count(self, trial: Trial, seconds: float | None) -> None:
        """Count a trial that ended `seconds` after the start, or None for one of an earlier run."""
        self._trials[trial.task] += 1
        if seconds is None:
            self.restored += 1
        else:
            self._times.append(seconds)
        if trial.status is not Status.OK and trial.status is not None:
            self._failures[trial.status.value] += 1

    def set_figures(self, task: int, default: float | None, best: float | None) -> None:
        """Set the known figures of a layer."""
        if default is not None:
            self._default[task] = default
        if best is not None:
            self._best[task] = best

    def progress(self) -> Progress:
        """Return the current progress."""
        rate = left = None
        if len(self._times) > 1 and self._times[-1] > self._times[0]:
            rate = (len(self._times) - 1) / (self._times[-1] - self._times[0])
            left = max(0, self._total - self.trials) / rate
        return Progress(
            self.trials,
            self._total,
            self.restored,
            tuple(
                LayerProgress(
                    task.label,
                    task.weight,
                    len(task.space),
                    self._trials[task.position],
                    self._default.get(task.position),
                    self._best.get(task.position),
                )
                for task in self._tasks
            ),
            dict(sorted(self._failures.items())),
            rate,
            left,
        )
