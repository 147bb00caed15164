"""The main loop of tuning: choose candidates, measure them, and record the results."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tvmtiny.schedule import decisions_key
from tvmtiny.schedule.records import Record, Status, append_record
from tvmtiny.tuning.allocation import History, next_task
from tvmtiny.tuning.measure import Trial
from tvmtiny.tuning.progress import Meter, Progress
from tvmtiny.tuning.search import Search, guided_searches

if TYPE_CHECKING:
    from typing import Protocol

    from tvmtiny.ops import Node
    from tvmtiny.schedule import Decisions, Goal
    from tvmtiny.tuning.tasks import Task

    class Measures(Protocol):
        """The interface of `tvmtiny.tuning.measure.Measurer`."""

        @property
        def parallel(self) -> int: ...
        def submit(self, task: Task, decisions: Decisions) -> Future[Trial]: ...


__all__ = ["Tuner"]

#: Candidates in one round of a layer: no more than keep all processors busy, since the cost model
#: improves with each round.
_ROUND = 4


#: Limit on the hints tried for a layer.
_HINTS = 3


@dataclass
class _Layer:
    """State of one task."""

    task: Task
    search: Search
    history: History
    default: Trial | None = None
    measured: dict[str, Record] = field(default_factory=dict)
    pending: int = 0


class Tuner:
    """Tune the layers of a model.

    Parameters
    ----------
    tasks
        At least one task.
    measurer
        Measures candidates.
    cpu, metric, provenance
        CPU, metric and provenance to write into the records.
    goal
        Goal of the optimization.
    trials
        Number of candidates to measure, including those of `earlier`.
    seed
        Seed of the search, at least 1.
    path
        File to which every trial is appended.
    earlier
        Trials of an earlier run of the same tasks, which are not measured again.
    progress
        Called after each trial.
    hints
        Records of good candidates from elsewhere, such as another CPU; they are tried after the
        default rules.
    searches
        One search for each task; by default MetaSchedule's evolutionary search with a cost model.
    estimate
        Returns the estimated cost of a layer's candidate, for that cost model.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        measurer: Measures,
        *,
        cpu: str,
        metric: str,
        goal: Goal,
        trials: int,
        seed: int,
        path: Path,
        provenance: Mapping[str, str],
        earlier: Sequence[Record] = (),
        progress: Callable[[Progress], None] | None = None,
        hints: Sequence[Record] = (),
        searches: Sequence[Search] | None = None,
        estimate: Callable[[Node, Decisions], float | None] | None = None,
    ) -> None:
        self._measurer = measurer
        self._cpu, self._metric, self._goal = cpu, metric, goal
        self._trials = trials
        self._path = path
        self._provenance = dict(provenance)
        self._progress = progress or (lambda _: None)
        self._meter = Meter(tasks, trials)
        found: Sequence[Search] = (
            searches
            if searches is not None
            else guided_searches([(t.node, t.space) for t in tasks], seed, _ROUND, estimate)
        )
        self._layers = [
            _Layer(task, search, History(task.weight))
            for task, search in zip(tasks, found, strict=True)
        ]
        self._running: dict[Future[Trial], _Layer] = {}
        self._begin = time.monotonic()
        self._restore(earlier)
        self._hints = hints

    def run(self) -> Progress:
        """Measure candidates until the number of trials is reached or no candidates are left.

        Raises
        ------
        TvmtinyError
            A runner is gone, or a record could not be written.
        """
        for layer in self._layers:
            if layer.default is None and self._left > 0:
                self._submit(layer, [_default(layer)])
        for layer in self._layers:
            good = self._hinted(layer)[: max(0, self._left)]
            if good:
                self._submit(layer, good)
        while True:
            while self._left > 0 and len(self._running) < self._measurer.parallel:
                position = next_task([layer.history for layer in self._layers])
                if position is None:
                    break
                self._next_round(self._layers[position])
            if not self._running:
                return self._meter.progress()
            done, _ = wait(self._running, return_when=FIRST_COMPLETED)
            # Process results in the order of submission, because `wait` returns an unordered set.
            for future in [f for f in self._running if f in done]:
                self._finish(self._running.pop(future), future.result())

    def _hinted(self, layer: _Layer) -> list[Decisions]:
        ranked = sorted(
            (r for r in self._hints if r.workload == layer.task.space.workload and r.merit < 1),
            key=lambda record: record.merit,
        )
        known = {decisions_key(_default(layer)), *layer.measured}
        found: dict[str, Decisions] = {}
        for record in ranked:
            decisions = dict(record.decisions)
            key = decisions_key(decisions)
            if decisions in layer.task.space and key not in known:
                found.setdefault(key, decisions)
        return list(found.values())[:_HINTS]

    @property
    def _left(self) -> int:
        return self._trials - self._meter.trials - len(self._running)

    def _restore(self, earlier: Sequence[Record]) -> None:
        by_key = {layer.task.space.workload.key: layer for layer in self._layers}
        told: dict[int, list[Trial]] = {}
        for record in earlier:
            layer = by_key.get(record.workload.key)
            wanted = (self._cpu, self._metric, self._goal)
            if layer is None or (record.cpu, record.metric, record.goal) != wanted:
                continue
            decisions = dict(record.decisions)
            key = decisions_key(decisions)
            if decisions not in layer.task.space or key in layer.measured:
                continue
            layer.measured[key] = record
            trial = Trial(
                layer.task.position,
                decisions,
                record.status,
                record.figure,
                record.flash_bytes,
                record.workspace_bytes,
                record.log,
            )
            if key == decisions_key(_default(layer)):
                layer.default = trial
            self._meter.count(trial, None)
            told.setdefault(layer.task.position, []).append(trial)
        for position, trials in told.items():
            layer = self._layers[position]
            layer.search.tell([(trial.decisions, self._cost(layer, trial)) for trial in trials])
            if layer.default is not None:
                self._end_round(layer)
        self._show()

    def _next_round(self, layer: _Layer) -> None:
        asked = layer.search.ask(min(_ROUND, self._left))
        fresh = [d for d in asked if decisions_key(d) not in layer.measured]
        if not asked:
            layer.history.exhausted = True
        elif fresh:
            self._submit(layer, fresh)

    def _submit(self, layer: _Layer, candidates: Sequence[Decisions]) -> None:
        layer.history.busy = True
        layer.pending += len(candidates)
        for decisions in candidates:
            self._running[self._measurer.submit(layer.task, decisions)] = layer

    def _finish(self, layer: _Layer, trial: Trial) -> None:
        layer.pending -= 1
        if trial.status is not None:
            if decisions_key(trial.decisions) == decisions_key(_default(layer)):
                layer.default = trial
            record = self._record(layer, trial)
            append_record(self._path, record)
            layer.measured[decisions_key(trial.decisions)] = record
            self._meter.count(trial, time.monotonic() - self._begin)
        layer.search.tell([(trial.decisions, self._cost(layer, trial))])
        if layer.pending == 0:
            self._end_round(layer)
        self._show()

    def _end_round(self, layer: _Layer) -> None:
        layer.history.busy = False
        best = self.best(layer.task)
        if best is not None and best.figure is not None:
            layer.history.best.append(best.figure)
        elif layer.default is not None and not layer.history.best:
            # The default rule's own candidate failed, so there is nothing to compare with.
            layer.history.exhausted = True

    def _record(self, layer: _Layer, trial: Trial) -> Record:
        assert trial.status is not None
        default = layer.default
        return Record(
            layer.task.space.workload,
            self._cpu,
            self._metric,
            trial.decisions,
            trial.status,
            self._goal,
            trial.figure,
            None if default is None else default.figure,
            trial.flash_bytes,
            None if default is None else default.flash_bytes,
            trial.workspace_bytes,
            trial.log,
            self._provenance,
        )

    def _cost(self, layer: _Layer, trial: Trial) -> float | None:
        """Return the cost to minimize: the figure, plus flash weighted by the goal."""
        if trial.status is not Status.OK or trial.figure is None:
            return None
        if layer.default is None or layer.default.figure is None:
            return trial.figure
        return layer.default.figure * self._record(layer, trial).merit

    def best(self, task: Task) -> Record | None:
        """Return the best record of a task for the goal, possibly the default rule's own."""
        layer = self._layers[task.position]
        ended = [r for r in layer.measured.values() if r.status is Status.OK]
        return min(ended, key=lambda record: record.merit, default=None)

    def _show(self) -> None:
        for layer in self._layers:
            best = self.best(layer.task)
            self._meter.set_figures(
                layer.task.position,
                None if layer.default is None else layer.default.figure,
                None if best is None else best.figure,
            )
        self._progress(self._meter.progress())


def _default(layer: _Layer) -> Decisions:
    default = layer.task.space.default
    assert default is not None
    return default
