"""Choose the converter of an estimator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tvmtiny.errors import InputError
from tvmtiny.errors.base import quoted
from tvmtiny.frontend.reader import read_graph
from tvmtiny.importers.results import Imported, ImportedTensor, ImportOptions
from tvmtiny.importers.sklearn.features import Affine, affine, class_names, refused, steps
from tvmtiny.importers.sklearn.linear import clusters, linear, perceptron, support_vectors
from tvmtiny.importers.sklearn.network import Network
from tvmtiny.importers.sklearn.trees import boosted, forest

__all__ = ["DTYPES", "convert"]

#: Supported dtypes of features; integers are only for trees.
DTYPES = ("float32", "int8", "int16")
_TREES = (
    *("DecisionTreeClassifier", "DecisionTreeRegressor", "ExtraTreeClassifier"),
    *("ExtraTreeRegressor", "ExtraTreesClassifier", "ExtraTreesRegressor"),
    *("RandomForestClassifier", "RandomForestRegressor"),
)
_BOOSTED = ("GradientBoostingClassifier", "GradientBoostingRegressor")
_PROBABILITIES = ("LogisticRegression", "LogisticRegressionCV")
_ALLOWED = (
    "linear models, MLPClassifier and MLPRegressor, decision trees, random and extra forests, "
    "GradientBoosting, SVC and SVR with kernel='linear', LinearSVC, KMeans, and scalers in front "
    "in a Pipeline"
)

Made = tuple[Network, dict[str, int]]


def convert(estimator: Any, options: ImportOptions, notes: tuple[str, ...]) -> Imported:
    """Convert a fitted estimator, or a pipeline that ends in one.

    Parameters
    ----------
    notes
        Remarks from earlier steps of the import.

    Raises
    ------
    InputError
        If the estimator is not supported or not fitted, or features cannot have this dtype.
    """
    transformers, last = steps(estimator)
    features = getattr(estimator, "n_features_in_", getattr(last, "n_features_in_", None))
    if features is None:
        raise refused(last, "it is not fitted", "a fitted estimator")
    if options.dtype not in DTYPES:
        known = ", ".join(DTYPES)
        raise InputError(f"features cannot be {quoted(options.dtype)}; known: {known}")
    name = type(last).__name__
    if options.dtype != "float32" and name not in (*_TREES, *_BOOSTED):
        raise refused(
            last,
            f"features of {options.dtype}",
            "float32 features; tvmtiny quantize makes integers of the model",
        )
    scaler = affine(transformers, int(features))
    net, outputs = _maker(last)(last, options, scaler)
    content = net.build(outputs)
    graph = read_graph(content, name)
    described = [
        tuple(
            ImportedTensor(
                what,
                t.shape,
                t.dtype,
                t.scale if t.quantization else None,
                0,
                t.shape,
                tuple(range(len(t.shape))),
            )
            for what, t in zip(names, tensors, strict=True)
        )
        for names, tensors in ((["features"], graph.inputs), ([*outputs], graph.outputs))
    ]
    return Imported("scikit-learn", content, described[0], described[1], notes, class_names(last))


def _maker(estimator: Any) -> Callable[[Any, ImportOptions, Affine], Made]:
    name = type(estimator).__name__
    if name in _TREES:
        return forest
    if name in _BOOSTED:
        return boosted
    if name in ("SVC", "SVR", "NuSVC", "NuSVR"):
        return lambda e, _, s: support_vectors(e, s)
    if name in ("KMeans", "MiniBatchKMeans", "BisectingKMeans"):
        return lambda e, _, s: clusters(e, s)
    if hasattr(estimator, "coefs_") and hasattr(estimator, "out_activation_"):
        return lambda e, _, s: perceptron(e, s)
    coefficients = getattr(estimator, "coef_", None)
    if coefficients is not None and hasattr(estimator, "intercept_"):
        if not np.isfinite(np.asarray(coefficients, np.float64)).all():
            raise refused(estimator, "its coefficients are not finite", "finite ones")
        return lambda e, _, s: linear(e, s, name in _PROBABILITIES)
    raise refused(estimator, "there is no conversion for it", _ALLOWED)
