"""Choose the candidate of a layer to measure next.

A search is asked for candidates and told their costs. It does not run trials itself, so that it can
be tested on a table of measurements.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
import tvm
from tvm.s_tir import meta_schedule as ms

from tvmtiny.schedule import decisions_key
from tvmtiny.tuning.cost_model import DecisionModel
from tvmtiny.tuning.design_space import decisions_of, schedule_of, stand_in, tune_context
from tvmtiny.tuning.features import LayerFeatures

if TYPE_CHECKING:
    from tvm.s_tir import Schedule

    from tvmtiny.ops import Node
    from tvmtiny.schedule import Decisions, Space

__all__ = ["GuidedSearch", "RandomSearch", "Search", "guided_searches"]

#: MetaSchedule treats costs as seconds, and abandons a layer at a billion milliseconds.
_SECONDS = 1e-9

#: Number of attempts if MetaSchedule proposes only known candidates.
_PATIENCE = 3

_MORE_THAN_ANY_SPACE = 1_000_000


class Search(Protocol):
    """A search over the candidates of one layer."""

    def ask(self, count: int) -> list[Decisions]:
        """Return up to `count` candidates whose cost is unknown; none if there are no more."""

    def tell(self, results: Sequence[tuple[Decisions, float | None]]) -> None:
        """Report the cost of candidates, whether asked for or not; None for a failure."""


class RandomSearch:
    """Yield all candidates in random order."""

    def __init__(self, space: Space, seed: int) -> None:
        self._left = list(space)
        random.Random(seed).shuffle(self._left)
        self._told: set[str] = set()

    def ask(self, count: int) -> list[Decisions]:
        found: list[Decisions] = []
        while self._left and len(found) < count:
            decisions = self._left.pop()
            if decisions_key(decisions) not in self._told:
                found.append(decisions)
        return found

    def tell(self, results: Sequence[tuple[Decisions, float | None]]) -> None:
        self._told.update(decisions_key(decisions) for decisions, _ in results)


def guided_searches(
    layers: Sequence[tuple[Node, Space]],
    seed: int,
    batch: int,
    estimate: Callable[[Node, Decisions], float | None] | None = None,
) -> list[GuidedSearch]:
    """Create a search for each layer; all of them share one cost model.

    Parameters
    ----------
    layers
        Layers with distinct workloads, and their design spaces.
    batch
        Limit on the candidates requested from a search at a time.
    estimate
        Returns the estimated cost of a layer's candidate; see `DecisionModel`.
    """
    spaces = {space.workload.key: space for _, space in layers}
    describe = {space.workload.key: LayerFeatures(node) for node, space in layers}

    def features(key: str, schedule: Schedule) -> Mapping[str, float]:
        return describe[key](decisions_of(schedule, spaces[key]))

    nodes = {space.workload.key: node for node, space in layers}

    def estimated(key: str, schedule: Schedule) -> float | None:
        assert estimate is not None
        return estimate(nodes[key], decisions_of(schedule, spaces[key]))

    model = DecisionModel(features, seed, estimated if estimate is not None else None)
    return [
        GuidedSearch(space, model, seed * 1000 + position + 1, batch)
        for position, (_, space) in enumerate(layers)
    ]


class GuidedSearch:
    """MetaSchedule's evolutionary search with a cost model.

    Parameters
    ----------
    model
        Cost model, which several searches may share.
    seed
        Seed of the search, at least 1.
    batch
        Limit on the candidates requested at a time.
    """

    def __init__(self, space: Space, model: DecisionModel, seed: int, batch: int) -> None:
        self._space = space
        self._model = model
        self._module = stand_in(space.workload.key)
        self._context = tune_context(self._module, space, _strategy(len(space)), seed)
        self._database = ms.database.MemoryDatabase()
        self._workload = self._database.commit_workload(self._module)
        self._target = tvm.target.Target("c")
        self._context.pre_tuning(
            _MORE_THAN_ANY_SPACE, batch, database=self._database, cost_model=model
        )
        self._candidates: dict[str, ms.MeasureCandidate] = {}
        self._told: set[str] = set()
        self._ready: list[Decisions] = []

    def ask(self, count: int) -> list[Decisions]:
        for _ in range(_PATIENCE):
            if self._ready or not self._propose():
                break
        if not self._ready:
            self._ready = self._rest(count)
        found, self._ready = self._ready[:count], self._ready[count:]
        return found

    def _rest(self, count: int) -> list[Decisions]:
        """Return the candidates with the best predictions among all that are left.

        MetaSchedule excludes only candidates that it has proposed itself, so it may propose
        candidates that an earlier run measured; and it gives up before a space is exhausted.
        """
        left = [d for d in self._space if decisions_key(d) not in self._told]
        if not left:
            return []
        scores = self._model.predict(self._context, [self._candidate(d) for d in left])
        return [left[int(i)] for i in np.argsort(-scores, kind="stable")[:count]]

    def _propose(self) -> bool:
        """Let MetaSchedule propose candidates; return False once it proposes no more."""
        proposed = self._context.generate_measure_candidates()
        if proposed is None:
            return False
        for candidate in proposed:
            decisions = decisions_of(candidate.sch, self._space)
            key = decisions_key(decisions)
            self._candidates[key] = candidate
            if key not in self._told:
                self._ready.append(decisions)
        # MetaSchedule only counts these results; the costs go to the database and the cost model.
        self._context.notify_runner_results(list(proposed), [_result(None)] * len(proposed))
        return True

    def tell(self, results: Sequence[tuple[Decisions, float | None]]) -> None:
        known = [(self._candidate(decisions), _result(cost)) for decisions, cost in results]
        self._told.update(decisions_key(decisions) for decisions, _ in results)
        self._ready = [d for d in self._ready if decisions_key(d) not in self._told]
        if not known:
            return
        self._model.update(self._context, [c for c, _ in known], [r for _, r in known])
        for candidate, result in known:
            if result.run_secs:
                self._database.commit_tuning_record(
                    ms.database.TuningRecord(
                        candidate.sch.trace,
                        self._workload,
                        [float(s) for s in result.run_secs],
                        self._target,
                        candidate.args_info,
                    )
                )

    def _candidate(self, decisions: Decisions) -> ms.MeasureCandidate:
        key = decisions_key(decisions)
        if key not in self._candidates:
            schedule = schedule_of(self._module, self._space, decisions)
            arguments = ms.arg_info.ArgInfo.from_entry_func(self._module, remove_preproc=True)
            self._candidates[key] = ms.MeasureCandidate(schedule, arguments)
        return self._candidates[key]


def _result(cost: float | None) -> ms.runner.RunnerResult:
    if cost is None:
        return ms.runner.RunnerResult(None, "failed")
    return ms.runner.RunnerResult([cost * _SECONDS], None)


def _strategy(size: int) -> ms.search_strategy.EvolutionarySearch:
    """Configure evolution with a population that suits a space of `size` candidates."""
    return ms.search_strategy.EvolutionarySearch(
        population_size=max(16, min(64, size)),
        init_measured_ratio=0.2,
        init_min_unmeasured=4,
        max_fail_count=5,
        genetic_num_iters=3,
        genetic_mutate_prob=0.85,
        genetic_max_fail_count=10,
        eps_greedy=0.15,
    )
