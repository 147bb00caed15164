"""Convert decision trees, random and extra forests, and gradient boosting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tvmtiny.errors import InputDataError
from tvmtiny.importers.results import ImportOptions
from tvmtiny.importers.sklearn.features import Affine, refused
from tvmtiny.importers.sklearn.network import Network
from tvmtiny.ops.shared.tree_tables import Split, TableError, Tree, encode, from_keys, keys

__all__ = ["boosted", "forest"]

#: The number that represents a share of 1.
_ONE = 65535


class _Features:
    """The representation of features: their dtype, and the conversion of thresholds to it."""

    def __init__(self, options: ImportOptions, scaler: Affine) -> None:
        self.dtype = options.dtype
        self.scale = None if self.dtype == "float32" else options.scale
        self._scaler = scaler
        if (scaler.factor <= 0).any():
            raise InputDataError("features", "a scaler turns them around", "positive scales", "")

    def thresholds(self, features: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Convert thresholds to integers or keys: features up to them take the first branch.

        The result is the largest number whose real value, scaled and rounded as scikit-learn does,
        is at most the threshold. Scaling keeps the order, so a binary search finds this number.
        """
        low, high = (np.full(len(values), limit) for limit in self._limits)
        while (low < high).any():
            middle = (low + high + 1) // 2
            below = self._scaler.scaled(features, self._real(middle)).astype(np.float64) <= values
            low, high = np.where(below, middle, low), np.where(below, high, middle - 1)
        return low

    @property
    def _limits(self) -> tuple[int, int]:
        """The smallest number, which is below every threshold, and the largest."""
        if self.dtype == "float32":
            largest = int(keys(np.array([np.finfo(np.float32).max], np.float32))[0])
            return -largest - 1, largest
        limits = np.iinfo(self.dtype)
        return int(limits.min), int(limits.max)

    def _real(self, numbers: np.ndarray) -> np.ndarray:
        if self.dtype == "float32":
            return from_keys(numbers).astype(np.float64)
        return numbers * float(np.float32(self.scale or 1.0))


def forest(
    estimator: Any, options: ImportOptions, scaler: Affine
) -> tuple[Network, dict[str, int]]:
    """Convert DecisionTree, RandomForest and ExtraTrees, for classes or numbers."""
    trees = [t.tree_ for t in getattr(estimator, "estimators_", [estimator])]
    if any(t.n_outputs != 1 for t in trees):
        raise refused(estimator, "it has several outputs", "one output")
    if hasattr(estimator, "classes_"):
        rows = np.concatenate([_of_leaves(t, _shares(t)) for t in trees])
        count = rows.shape[1]
        distinct, numbers = np.unique(rows, axis=0, return_inverse=True)
        # If all leaves are pure, each tree votes, and no table of shares is needed.
        if np.array_equal(np.unique(distinct), [0, _ONE]):
            distinct, numbers = _ONE * np.eye(count, dtype=np.int64), rows.argmax(axis=1)
        values = distinct.astype(np.uint16)
        name = "probabilities"
    else:
        means = np.concatenate([_of_leaves(t, t.value[:, 0, 0]) for t in trees]) / len(trees)
        distinct, numbers = np.unique(means.astype(np.float32), return_inverse=True)
        values, count, name = distinct, 1, "prediction"
    return _network(estimator, options, scaler, trees, numbers, values, np.zeros(count), name)


def boosted(
    estimator: Any, options: ImportOptions, scaler: Affine
) -> tuple[Network, dict[str, int]]:
    """Convert GradientBoosting to numbers, or to raw scores whose largest gives the class."""
    grid = np.asarray(estimator.estimators_)
    trees = [t.tree_ for t in grid.reshape(-1)]
    classes = len(getattr(estimator, "classes_", ()))
    zero = np.zeros((1, estimator.n_features_in_), np.float32)
    start = np.asarray(estimator._raw_predict_init(zero), np.float64).reshape(-1)
    if estimator.init_ != "zero" and type(estimator.init_).__name__ not in (
        "DummyClassifier",
        "DummyRegressor",
    ):
        raise refused(estimator, "init is a model of its own", "no init, or 'zero'")
    means = np.concatenate([_of_leaves(t, t.value[:, 0, 0]) for t in trees])
    means = means * estimator.learning_rate
    probable = classes and estimator.loss == "log_loss"
    name = "probabilities" if probable else "scores" if classes else "prediction"
    distinct, numbers = np.unique(means.astype(np.float32), return_inverse=True)
    both = classes == 2
    return _network(
        estimator, options, scaler, trees, numbers, distinct, start, name, both, scored=True
    )


def _of_leaves(tree: Any, values: np.ndarray) -> np.ndarray:
    """Return the value of each node; inner nodes are never results and get the last node's value.

    A parent precedes its children, so the last node is a leaf.
    """
    inner = tree.children_left >= 0
    return np.where(inner.reshape(-1, *[1] * (values.ndim - 1)), values[-1], values)


def _shares(tree: Any) -> np.ndarray:
    """The share of each class at every node, in units of 1/65535."""
    value = tree.value[:, 0, :]
    shares = value / value.sum(axis=1, keepdims=True)
    return np.rint(shares * _ONE).astype(np.int64)


def _network(
    estimator: Any,
    options: ImportOptions,
    scaler: Affine,
    trees: Sequence[Any],
    numbers: np.ndarray,
    values: np.ndarray,
    start: np.ndarray,
    name: str,
    both: bool = False,
    scored: bool = False,
) -> tuple[Network, dict[str, int]]:
    """Build the operator with its tables.

    Parameters
    ----------
    numbers
        The leaf number of each node of each tree, as if the node were a leaf.
    values, start
        See `tvmtiny.ops.tvmtiny_trees`.
    both
        Whether one score is turned into the scores of two classes.
    scored
        Whether the outputs are scores, which softmax turns into probabilities.
    """
    features = _Features(options, scaler)
    starts = np.cumsum([0, *(t.node_count for t in trees)])
    written = []
    for tree, first in zip(trees, starts, strict=False):
        written.append(_tree(tree, features, numbers[first : first + tree.node_count]))
    count = estimator.n_features_in_
    try:
        table, roots = encode(written, features.dtype, count, len(values))
    except TableError as error:
        raise refused(estimator, str(error), "smaller trees, or fewer of them") from error
    net = Network(count, features.dtype, features.scale)
    inputs = [
        net.writer.constant(net.name(what), data)
        for what, data in (
            ("nodes", table),
            ("roots", roots),
            ("leaves", values),
            ("start", start.astype(np.float32)),
        )
    ]
    y = net.writer.tensor("sums", (1, len(start)), "float32")
    net.writer.op("CUSTOM:TVMTINY_TREES", [net.input, *inputs], [y], custom_options=b"")
    if both:
        y = net.dense(y, np.array([[-0.5], [0.5]]), np.zeros(2))
    if scored and name == "probabilities":
        y = net.unary("SOFTMAX", y, max(len(start), 2))
    return net, {name: y}


def _tree(tree: Any, features: _Features, numbers: np.ndarray) -> Tree:
    """Convert a tree of scikit-learn, in which parents precede their children."""
    inner = tree.children_left >= 0
    thresholds = np.zeros(tree.node_count, np.int64)
    thresholds[inner] = features.thresholds(tree.feature[inner], tree.threshold[inner])
    made: dict[int, Tree] = {}
    for node in reversed(range(tree.node_count)):
        if not inner[node]:
            made[node] = int(numbers[node])
            continue
        below, above = made[int(tree.children_left[node])], made[int(tree.children_right[node])]
        if not isinstance(below, Split) and below == above:
            # Both branches lead to the same result.
            made[node] = below
        else:
            made[node] = Split(int(tree.feature[node]), int(thresholds[node]), below, above)
    return made[0]
