"""scikit-learn's estimators, in a separate module because importing them takes seconds."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, PolynomialFeatures, StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from tvmtiny.importers import ImportOptions

_BYTES = ImportOptions(dtype="int8")
_SHORTS = ImportOptions(dtype="int16", scale=0.25)
#: Estimators, the form of their features, and whether all images show only two digits.
ESTIMATORS: dict[str, tuple[Any, ImportOptions, bool]] = {
    "logistic": (
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=60)),
        ImportOptions(),
        False,
    ),
    "logistic_two": (LogisticRegression(max_iter=60), ImportOptions(), True),
    "ridge_classes": (RidgeClassifier(), ImportOptions(), False),
    "ridge": (Ridge(), ImportOptions(), False),
    "vectors": (LinearSVC(max_iter=200, dual=False), ImportOptions(), False),
    "vectors_pairs": (SVC(kernel="linear"), ImportOptions(), False),
    # With the default C, the fit takes over a second, as no plane separates these digits.
    "vectors_two": (SVC(kernel="linear", C=0.01), ImportOptions(), True),
    "perceptron": (MLPClassifier((16, 12), max_iter=30), ImportOptions(), False),
    "perceptron_two": (
        make_pipeline(MinMaxScaler(), MLPClassifier((8,), activation="tanh", max_iter=30)),
        ImportOptions(),
        True,
    ),
    "perceptron_number": (
        MLPRegressor(hidden_layer_sizes=(8,), activation="logistic", max_iter=20),
        ImportOptions(),
        False,
    ),
    "tree": (DecisionTreeClassifier(random_state=0), ImportOptions(), False),
    "forest": (RandomForestClassifier(20, random_state=0), _BYTES, False),
    "forest_scaled": (
        make_pipeline(StandardScaler(), RandomForestClassifier(8, random_state=0)),
        _SHORTS,
        False,
    ),
    "forest_shallow": (
        RandomForestClassifier(15, max_depth=5, random_state=0),
        ImportOptions(),
        False,
    ),
    "forest_number": (
        make_pipeline(MinMaxScaler(), ExtraTreesRegressor(6, max_depth=6, random_state=0)),
        ImportOptions(),
        False,
    ),
    "boosted": (
        GradientBoostingClassifier(n_estimators=4, max_depth=2, random_state=0),
        _BYTES,
        False,
    ),
    "boosted_two": (
        GradientBoostingClassifier(n_estimators=8, random_state=0),
        ImportOptions(),
        True,
    ),
    "clusters": (
        make_pipeline(StandardScaler(), KMeans(10, n_init=1, random_state=0)),
        ImportOptions(),
        False,
    ),
}
#: Estimators, options, and the message that refuses them.
REFUSED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "not_fitted": (Ridge(), {}, "Ridge cannot be imported: it is not fitted"),
    "kernel": (SVC(kernel="rbf"), {}, "kernel rbf; allowed: kernel='linear'"),
    "no_conversion": (
        KNeighborsClassifier(),
        {},
        "there is no conversion for it; allowed: linear models",
    ),
    "no_scaling": (
        make_pipeline(PolynomialFeatures(2), Ridge()),
        {},
        "does not scale; allowed: Standard",
    ),
    "bytes": (Ridge(), {"dtype": "int8"}, "features of int8; allowed: float32 features"),
    "nibbles": (
        Ridge(),
        {"dtype": "int4"},
        "features cannot be 'int4'; known: float32, int8, int16",
    ),
    "several_outputs": (
        RandomForestClassifier(2),
        {"labels": 2},
        "RandomForestClassifier cannot be imported: it has several outputs",
    ),
}


@cache
def images() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Training images and their digits, and 360 others; nobody may change them."""
    data, labels = load_digits(return_X_y=True)
    return data[:-360], labels[:-360], data[-360:]
