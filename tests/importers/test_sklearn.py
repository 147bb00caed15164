"""scikit-learn's estimators: the same predictions as C on this machine, on 360 images of digits."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from host_runner import compiler_or_skip
from merge_models import merge_models

import tvmtiny
from tvmtiny.errors import InputError, ModelFormatError
from tvmtiny.importers import Imported, ImportOptions, import_model
from tvmtiny.native import NativeModel

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

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

_BYTES = ImportOptions(dtype="int8")
_SHORTS = ImportOptions(dtype="int16", scale=0.25)
#: Estimators, how their features are given, and whether all images show two kinds of digits alone.
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
    "vectors_two": (SVC(kernel="linear"), ImportOptions(), True),
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


def images() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images to learn from and their digits, and 360 others."""
    data, labels = load_digits(return_X_y=True)
    return data[:-360], labels[:-360], data[-360:]


@pytest.fixture(scope="module")
def made() -> dict[str, Imported]:
    data, labels, _ = images()
    found = {}
    with warnings.catch_warnings():
        # Few steps are enough here.
        warnings.simplefilter("ignore")
        for name, (estimator, options, two) in ESTIMATORS.items():
            estimator.fit(data, labels > 4 if two else labels)
            found[name] = import_model(estimator, options)
    return found


@pytest.fixture(scope="module")
def outputs(made: dict[str, Imported]) -> dict[str, list[np.ndarray]]:
    """What C makes of 360 images."""
    compiler_or_skip("cc")
    merged = merge_models({name: m.content for name, m in made.items()})
    artifact = tvmtiny.compile(tvmtiny.load(merged, name="estimators"), "cortex-m4")
    given = []
    for m in made.values():
        (features,) = m.inputs
        steps = images()[2] / (features.scale or 1.0)
        given.append(steps.astype(features.dtype)[:, None])
    with NativeModel(artifact) as native:
        results = iter(native.run(*given))
    return {name: [next(results) for _ in m.outputs] for name, m in made.items()}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_predictions(
    name: str, made: dict[str, Imported], outputs: dict[str, list[np.ndarray]]
) -> None:
    estimator, _, two = ESTIMATORS[name]
    data = images()[2]
    first = outputs[name][0].reshape(360, -1)
    predicted = estimator.predict(data)
    if name == "clusters":
        np.testing.assert_allclose(first, estimator.transform(data), rtol=1e-5)
        assert (outputs[name][1].reshape(-1) == predicted).all()
        return
    if not hasattr(estimator, "classes_"):
        np.testing.assert_allclose(first[:, 0], predicted, rtol=0, atol=1e-4)
        return
    # With fewer, it would be rounding: all but forests and trees add up floats.
    assert int((first.argmax(axis=1) == predicted).sum()) == 360
    assert made[name].classes == (("False", "True") if two else tuple("0123456789"))
    if made[name].outputs[0].name == "probabilities":
        wanted = estimator.predict_proba(data)
        np.testing.assert_allclose(first, wanted, rtol=0, atol=2e-5)


def test_a_forest_of_bytes_is_small(made: dict[str, Imported]) -> None:
    """2 elements of 2 bytes for a node, 1 for a leaf; a table with the votes of classes."""
    leaves = sum(int((t.tree_.children_left < 0).sum()) for t in ESTIMATORS["forest"][0])
    graph = tvmtiny.load(made["forest"].content).graph
    nodes = graph.nodes[0].input(1)
    assert nodes.nbytes <= 6 * leaves
    artifact = tvmtiny.compile(tvmtiny.load(made["forest"].content, name="forest"), "cortex-m4")
    # 64 features and 10 shares: no RAM beside.
    assert artifact.arena_bytes == 104


def test_a_file(tmp_path: Path) -> None:
    data, labels, _ = images()
    file = tmp_path / "digit forest.pkl"
    file.write_bytes(pickle.dumps(DecisionTreeClassifier(max_depth=2).fit(data, labels)))
    with pytest.raises(InputError, match=r"is a program.*--trust"):
        tvmtiny.load(file)
    model = tvmtiny.load(file, options=ImportOptions(trust=True))
    assert model.name == "digit_forest"
    file.write_bytes(b"no pickle")
    with pytest.raises(ModelFormatError, match="not a usable scikit-learn model"):
        tvmtiny.load(file, options=ImportOptions(trust=True))


@pytest.mark.parametrize(
    ("estimator", "options", "message"),
    [
        (Ridge(), {}, "Ridge cannot be imported: it is not fitted"),
        (SVC(kernel="rbf"), {}, "kernel rbf; allowed: kernel='linear'"),
        (KNeighborsClassifier(), {}, "there is no conversion for it; allowed: linear models"),
        (make_pipeline(PolynomialFeatures(2), Ridge()), {}, "does not scale; allowed: Standard"),
        (Ridge(), {"dtype": "int8"}, "features of int8; allowed: float32 features"),
        (Ridge(), {"dtype": "int4"}, "features cannot be 'int4'; known: float32, int8, int16"),
        (
            RandomForestClassifier(2),
            {"labels": 2},
            "RandomForestClassifier cannot be imported: it has several outputs",
        ),
    ],
)
def test_what_is_refused(estimator: Any, options: dict[str, Any], message: str) -> None:
    data, labels, _ = images()
    columns = options.pop("labels", 1)
    if "not fitted" not in message:
        target = labels[:60] if columns == 1 else np.stack([labels[:60], labels[1:61]], 1)
        estimator.fit(data[:60, :4], target)
    with pytest.raises(InputError) as caught:
        tvmtiny.load(estimator, options=ImportOptions(**options))
    assert message in str(caught.value)
