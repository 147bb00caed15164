"""A gradient-boosted cost model of scheduling decisions.

MetaSchedule's `XGBModel` learns from the stores in a TIR function. The candidates here are
stand-ins with a single store, and the real layers are calls of micro-kernels, so stores carry no
information. `XGBModel` also gives failed candidates no weight in its loss, and predicts at random
until it has seen a hundred candidates, half of what a whole tuning run measures here. This module
therefore defines its own `PyCostModel`: XGBoost on the decisions and on numbers derived from them.

The estimates of `tvmtiny.cost`, where a CPU has them, rank candidates before there is any
measurement. Later, XGBoost learns by how much measurements differ from these estimates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from tvm.ir.utils import derived_object
from tvm.s_tir import meta_schedule as ms
from tvm.s_tir.meta_schedule.cost_model import PyCostModel

if TYPE_CHECKING:
    import xgboost
    from tvm.s_tir import Schedule

__all__ = ["DecisionModel"]

#: Least number of measurements for training.
_LEAST_SAMPLES = 4

#: Cost of a failed candidate, relative to the slowest one of its layer.
_FAILED = 1.5

#: Logarithm of the estimated cost of a candidate that cannot be implemented.
_IMPOSSIBLE = 50.0

#: The emulators need the other processors, and training takes only milliseconds.
_THREADS = 1
_ROUNDS = 100
_PARAMETERS = {
    "max_depth": 5,
    "eta": 0.15,
    "lambda": 0.3,
    "min_child_weight": 1.0,
    "objective": "reg:squarederror",
    "tree_method": "exact",
    "nthread": _THREADS,
}


@derived_object
class DecisionModel(PyCostModel):  # type: ignore[misc]
    """Predict how fast candidates are, across layers.

    Parameters
    ----------
    describe
        Returns the named features of a layer's candidate, given the layer's workload key and the
        schedule of its stand-in.
    seed
        Seed of the random scores used until there is enough data, if there are no estimates.
    estimate
        Returns the estimated cost of a layer's candidate; None if it cannot be implemented.
        Without estimates, None.
    """

    def __init__(
        self,
        describe: Callable[[str, Schedule], Mapping[str, float]],
        seed: int,
        estimate: Callable[[str, Schedule], float | None] | None = None,
    ) -> None:
        super().__init__()
        self.describe = describe
        self.estimate = estimate
        self.random = np.random.default_rng(seed)
        #: For each layer, features, estimates and measurements.
        self.samples: dict[str, list[tuple[Mapping[str, float], float, float | None]]] = {}
        self.columns: dict[str, int] = {}
        self.booster: xgboost.Booster | None = None
        self.stale = False

    def update(
        self,
        context: ms.TuneContext,
        candidates: Sequence[ms.MeasureCandidate],
        results: Sequence[ms.runner.RunnerResult],
    ) -> None:
        key = str(context.task_name)
        for candidate, result in zip(candidates, results, strict=True):
            seconds = result.run_secs
            cost = float(np.median([float(s) for s in seconds])) if seconds else None
            features, expected = self.describe(key, candidate.sch), self.expected(key, candidate)
            self.samples.setdefault(key, []).append((features, expected, cost))
            self.stale = True

    def predict(
        self, context: ms.TuneContext, candidates: Sequence[ms.MeasureCandidate]
    ) -> np.ndarray:
        if self.stale:
            self.train()
        key = str(context.task_name)
        costs = np.array([self.expected(key, candidate) for candidate in candidates])
        if self.booster is not None:
            described = [self.describe(key, candidate.sch) for candidate in candidates]
            costs = costs + self.booster.predict(self.matrix(described))
        elif self.estimate is None:
            return self.random.uniform(size=len(candidates))
        # Costs are logarithms. MetaSchedule expects non-negative scores where higher is better.
        return np.exp(-(costs - min(costs, default=0.0))).astype(np.float64)

    def expected(self, key: str, candidate: ms.MeasureCandidate) -> float:
        """Return the logarithm of the estimate; without estimates, it is the same for all."""
        if self.estimate is None:
            return 0.0
        found = self.estimate(key, candidate.sch)
        return _IMPOSSIBLE if found is None else float(np.log(max(found, 1.0)))

    def train(self) -> None:
        """Fit to all measurements, each relative to the fastest candidate of its layer."""
        # Importing XGBoost takes longer than importing TVM, and few commands train.
        import xgboost

        self.stale = False
        described: list[Mapping[str, float]] = []
        labels: list[float] = []
        for samples in self.samples.values():
            costs = [cost for *_, cost in samples if cost is not None]
            if not costs:
                continue
            # What all candidates of a layer differ by from their estimates does not order them.
            shares = [np.log(cost) - expected for _, expected, cost in samples if cost is not None]
            level = min(shares) if self.estimate is None else np.median(shares)
            failed = max(costs) * _FAILED
            for features, expected, cost in samples:
                if expected < _IMPOSSIBLE:
                    described.append(features)
                    share = np.log(failed if cost is None else cost) - expected
                    labels.append(float(share - level))
        if len(labels) < _LEAST_SAMPLES:
            return
        for features in described:
            for name in features:
                self.columns.setdefault(name, len(self.columns))
        self.booster = xgboost.train(_PARAMETERS, self.matrix(described, labels), _ROUNDS)

    def matrix(
        self, described: Sequence[Mapping[str, float]], labels: Sequence[float] | None = None
    ) -> xgboost.DMatrix:
        """Arrange features as rows, omitting features that were never measured."""
        import xgboost

        data = np.zeros((len(described), max(len(self.columns), 1)), np.float32)
        for row, features in zip(data, described, strict=True):
            for name, value in features.items():
                if name in self.columns:
                    row[self.columns[name]] = value
        return xgboost.DMatrix(
            data, label=None if labels is None else np.array(labels), nthread=_THREADS
        )
