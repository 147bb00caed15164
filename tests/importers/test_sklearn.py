"""scikit-learn's estimators: equal predictions of C on this machine, on 360 images of digits."""

from __future__ import annotations

import pickle
import warnings
from importlib import import_module
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

#: Keys of `sklearn_estimators.ESTIMATORS` and `REFUSED`, which only their own tests import.
NAMES = (
    *("logistic", "logistic_two", "ridge_classes", "ridge", "vectors", "vectors_pairs"),
    *("vectors_two", "perceptron", "perceptron_two", "perceptron_number", "tree", "forest"),
    *("forest_scaled", "forest_shallow", "forest_number", "boosted", "boosted_two", "clusters"),
)
REFUSED = (
    *("not_fitted", "kernel", "no_conversion", "no_scaling", "bytes", "nibbles"),
    "several_outputs",
)


@pytest.fixture(scope="module")
def sklearn() -> Any:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    return import_module("tests.importers.sklearn_estimators")


@pytest.fixture(scope="module")
def made(sklearn: Any) -> dict[str, Imported]:
    data, labels, _ = sklearn.images()
    found = {}
    with warnings.catch_warnings():
        # Few steps are enough here.
        warnings.simplefilter("ignore")
        for name, (estimator, options, two) in sklearn.ESTIMATORS.items():
            estimator.fit(data, labels > 4 if two else labels)
            found[name] = import_model(estimator, options)
    return found


@pytest.fixture(scope="module")
def outputs(sklearn: Any, made: dict[str, Imported]) -> dict[str, list[np.ndarray]]:
    """The predictions of C for 360 images."""
    compiler_or_skip("cc")
    merged = merge_models({name: m.content for name, m in made.items()})
    artifact = tvmtiny.compile(tvmtiny.load(merged, name="estimators"), "cortex-m4")
    given = []
    for m in made.values():
        (features,) = m.inputs
        steps = sklearn.images()[2] / (features.scale or 1.0)
        given.append(steps.astype(features.dtype)[:, None])
    with NativeModel(artifact) as native:
        results = iter(native.run(*given))
    return {name: [next(results) for _ in m.outputs] for name, m in made.items()}


def test_every_estimator_has_a_test(sklearn: Any) -> None:
    assert (*sklearn.ESTIMATORS,) == NAMES
    assert (*sklearn.REFUSED,) == REFUSED


@pytest.mark.parametrize("name", NAMES)
def test_predictions(
    name: str, sklearn: Any, made: dict[str, Imported], outputs: dict[str, list[np.ndarray]]
) -> None:
    estimator, _, two = sklearn.ESTIMATORS[name]
    data = sklearn.images()[2]
    first = outputs[name][0].reshape(360, -1)
    predicted = estimator.predict(data)
    if name == "clusters":
        np.testing.assert_allclose(first, estimator.transform(data), rtol=1e-5)
        assert (outputs[name][1].reshape(-1) == predicted).all()
        return
    if not hasattr(estimator, "classes_"):
        np.testing.assert_allclose(first[:, 0], predicted, rtol=0, atol=1e-4)
        return
    # With fewer agreements, the cause would not be rounding: all but forests and trees sum floats.
    assert int((first.argmax(axis=1) == predicted).sum()) == 360
    assert made[name].classes == (("False", "True") if two else tuple("0123456789"))
    if made[name].outputs[0].name == "probabilities":
        wanted = estimator.predict_proba(data)
        np.testing.assert_allclose(first, wanted, rtol=0, atol=2e-5)


def test_a_forest_of_bytes_is_small(sklearn: Any, made: dict[str, Imported]) -> None:
    """A node has 2 elements of 2 bytes, a leaf 1 element; a table holds the votes of classes."""
    forest, _, _ = sklearn.ESTIMATORS["forest"]
    leaves = sum(int((t.tree_.children_left < 0).sum()) for t in forest)
    graph = tvmtiny.load(made["forest"].content).graph
    nodes = graph.nodes[0].input(1)
    assert nodes.nbytes <= 6 * leaves
    artifact = tvmtiny.compile(tvmtiny.load(made["forest"].content, name="forest"), "cortex-m4")
    # 64 features and 10 shares, and no other RAM.
    assert artifact.arena_bytes == 104


def test_a_file(sklearn: Any, tmp_path: Path) -> None:
    data, labels, _ = sklearn.images()
    file = tmp_path / "digit forest.pkl"
    file.write_bytes(pickle.dumps(sklearn.DecisionTreeClassifier(max_depth=2).fit(data, labels)))
    with pytest.raises(InputError, match=r"is a program.*--trust"):
        tvmtiny.load(file)
    model = tvmtiny.load(file, options=ImportOptions(trust=True))
    assert model.name == "digit_forest"
    file.write_bytes(b"no pickle")
    with pytest.raises(ModelFormatError, match="not a usable scikit-learn model"):
        tvmtiny.load(file, options=ImportOptions(trust=True))


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str, sklearn: Any) -> None:
    estimator, options, message = sklearn.REFUSED[name]
    data, labels, _ = sklearn.images()
    options = dict(options)
    columns = options.pop("labels", 1)
    if "not fitted" not in message:
        target = labels[:60] if columns == 1 else np.stack([labels[:60], labels[1:61]], 1)
        estimator.fit(data[:60, :4], target)
    with pytest.raises(InputError) as caught:
        tvmtiny.load(estimator, options=ImportOptions(**options))
    assert message in str(caught.value)
