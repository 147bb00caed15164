"""Least squares for ``scripts/calibrate_cost.py``: coefficients of keys that refine each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tvmtiny.estimation.expressions import BY_ONE

__all__ = ["TRUST", "Coefficients", "Sample", "fit_keys", "fit_row"]

#: Cost of one unit of each named amount: one value for each target.
Coefficients = dict[str, list[float]]

#: Least number of samples for which a key is fitted by itself.
_LEAST_SAMPLES = 3

#: Lower limit on the value that errors are relative to.
_LEAST_WEIGHED = 30.0

#: Weight of the regularization without prior values, for columns of length 1.
_RIDGE = 0.003

#: Number of relative errors of 1 that weigh as much as a coefficient that is off by its whole
#: share; more for tables of many more samples than those of a fit.
TRUST = 0.3


@dataclass(frozen=True)
class Sample:
    """A measured item.

    Attributes
    ----------
    keys
        Keys from the most to the least specific; equal first keys imply equal other keys.
    amounts
        For each target, the number of times that each part of the item ran.
    took
        Measured cost for each target.
    whole
        Value that errors are relative to, for each target.
    """

    keys: Sequence[str]
    amounts: Sequence[Mapping[str, float]]
    took: Sequence[float]
    whole: Sequence[float]


def fit_keys(
    samples: Sequence[Sample], known: Mapping[str, Coefficients], certainty: float = TRUST
) -> dict[str, Coefficients]:
    """Fit the coefficients of all keys with enough samples.

    The coefficients of a key are drawn towards those of the same key in `known`, or else towards
    those of the next, less specific key, unless its samples indicate otherwise.

    Parameters
    ----------
    known
        Coefficients of a similar core.
    certainty
        Weight of expected coefficients, see `TRUST`.
    """
    groups: defaultdict[str, list[Sample]] = defaultdict(list)
    following: dict[str, str | None] = {}
    for sample in samples:
        keys = list(dict.fromkeys(sample.keys))
        for key, after in zip(keys, [*keys[1:], None], strict=True):
            groups[key].append(sample)
            following[key] = after
    rows: dict[str, Coefficients] = {}

    def row(key: str) -> Coefficients:
        after = following[key]
        expected = {} if after is None else row(after)
        if key in rows:
            return {**expected, **rows[key]}
        group = groups[key]
        repeats = after is not None and len(group) == len(groups[after]) and key not in known
        if len(group) < _LEAST_SAMPLES or repeats:
            return expected
        expected = {**expected, **known.get(key, {})}
        rows[key] = fit_row(group, expected, certainty)
        return {**expected, **rows[key]}

    for key in groups:
        row(key)
    return rows


def fit_row(
    samples: Sequence[Sample],
    expected: Mapping[str, Sequence[float]],
    certainty: float = TRUST,
) -> Coefficients:
    """Fit coefficients that are non-negative, except for those of short loops.

    Parameters
    ----------
    expected
        Values that coefficients are drawn towards unless samples indicate otherwise; may be empty.
    certainty
        Weight of these values, see `TRUST`.
    """
    found: defaultdict[str, list[float]] = defaultdict(list)
    none = [0.0] * len(samples[0].took)
    for target in range(len(samples[0].took)):
        names = sorted({name for sample in samples for name in sample.amounts[target]})
        # Short loops may cost more or less than other loops.
        signed = [name for name in names if "turn of " in name or "loop of " in name]
        matrix = np.array(
            [
                [sample.amounts[target].get(name, 0.0) for name in names]
                + [-sample.amounts[target].get(name, 0.0) for name in signed]
                for sample in samples
            ]
        )
        near = np.array(
            [
                expected.get(name, expected.get(name.removesuffix(BY_ONE), none))[target]
                for name in names
            ]
        )
        below = np.array([-min(near[names.index(name)], 0.0) for name in signed])
        near = np.concatenate([np.maximum(near, 0.0), below])
        used = np.maximum((matrix != 0).sum(axis=0), 1)
        trust = certainty**2 / used if expected else np.full(len(near), _RIDGE**2)
        weights = 1 / np.maximum([abs(s.whole[target]) for s in samples], _LEAST_WEIGHED)
        took = np.array([sample.took[target] for sample in samples])
        solved = _non_negative(matrix * weights[:, None], took * weights, near, trust)
        values = dict(zip(names, solved[: len(names)], strict=True))
        for name, value in zip(signed, solved[len(names) :], strict=True):
            values[name] -= value
        for name in names:
            found[name].append(float(f"{values[name]:.5g}"))
        for name in found.keys() - values.keys():
            found[name].append(0.0)
    count = len(samples[0].took)
    return {name: [0.0] * (count - len(row)) + row for name, row in found.items()}


def _non_negative(
    matrix: np.ndarray,
    values: np.ndarray,
    near: np.ndarray,
    trust: np.ndarray,
    turns: int = 3000,
) -> np.ndarray:
    """Minimize ``|A x - b|^2 + trust |s (x - near)|^2`` for x >= 0 with Lawson and Hanson's method.

    `s` contains the lengths of the columns of A.
    """
    scale = np.linalg.norm(matrix, axis=0)
    scale[scale == 0] = 1
    a = matrix / scale
    products = a.T @ a + np.diag(trust)
    wanted = a.T @ values + trust * near * scale
    x = np.zeros(a.shape[1])
    active = np.zeros(a.shape[1], bool)
    for _ in range(turns):
        gradient = wanted - products @ x
        gradient[active] = -np.inf
        best = int(np.argmax(gradient))
        if gradient[best] <= 1e-9:
            break
        active[best] = True
        while active.any():
            solved = np.zeros_like(x)
            solved[active] = np.linalg.solve(products[np.ix_(active, active)], wanted[active])
            negative = active & (solved <= 0)
            if not negative.any():
                x = solved
                break
            step = np.min(x[negative] / np.maximum(x[negative] - solved[negative], 1e-30))
            x = x + step * (solved - x)
            active &= x > 1e-12
            x[~active] = 0
    return np.asarray(x / scale)
