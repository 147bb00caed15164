"""Searching, pruning and quantizing Keras models; skipped where Keras or Optuna is missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tvmtiny
from tests.design.keras_samples import every_layer, keras, stripes
from tests.tools import ROOT
from tvmtiny.design.distilling import DistilOptions, distil
from tvmtiny.design.figures import Budget
from tvmtiny.design.keras_import import from_keras
from tvmtiny.design.network import guessed_ranges, to_tflite
from tvmtiny.design.network_spaces import space_of
from tvmtiny.design.pruning import PruneOptions, prune
from tvmtiny.design.search import search
from tvmtiny.design.training import TrainOptions, integers, read_keras, train
from tvmtiny.errors import InputError
from tvmtiny.oracle import run_litert_outputs
from tvmtiny.report.search_page import search_page

CPU = "cortex-m4"


def test_every_layer_computes_what_keras_does() -> None:
    model, x = every_layer(), stripes().x_test[:6]
    content = to_tflite(from_keras(model), None)
    found = np.concatenate([o[0] for o in run_litert_outputs(content, [[v[None]] for v in x])])
    assert np.abs(found - model.predict(x, verbose=0)).max() < 1e-5
    made = integers(model, stripes())
    assert tvmtiny.cost(tvmtiny.load(made.content, name="every"), CPU).total.instructions > 0


def test_keras_is_imported_without_messages() -> None:
    keras()
    program = "from tvmtiny.design.training import keras_package; keras_package()"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")


def test_signals_are_reduced_and_have_narrow_kernels() -> None:
    k = keras()
    optuna = pytest.importorskip("optuna", reason="not installed: optuna")
    chosen = {"stem": "conv", "stem_filters": 4, "stem_kernel": 5, "stem_stride": 2, "blocks": 1}
    block = {"kind_0": "separable", "filters_0": 4, "kernel_0": 3, "stride_0": 2}
    for shape, kernels, pixels in (
        ((64, 1, 2), [(5, 1), (3, 1)], (16, 1)),
        ((8, 8, 1), [(5, 5), (3, 3)], (2, 2)),
        ((2, 2, 1), [(3, 3), (3, 3)], (2, 2)),
    ):
        trial = optuna.trial.FixedTrial({**chosen, **block, "head": "mean", "hidden": 8})
        model = space_of("ds-cnn", shape, 3)(trial)
        found = [x.kernel_size for x in model.layers if hasattr(x, "depth_multiplier")]
        found += [x.kernel_size for x in model.layers if isinstance(x, k.layers.Conv2D)]
        assert {*kernels} <= {*found} <= {*kernels, (1, 1)}
        (mean,) = (x for x in model.layers if isinstance(x, k.layers.GlobalAveragePooling2D))
        assert tuple(mean.input.shape[1:3]) == pixels
        assert [x.units for x in model.layers if isinstance(x, k.layers.Dense)] == [8, 3]
        network = from_keras(model)
        assert tvmtiny.load(to_tflite(network, guessed_ranges(network)), name="signal")
    plain = optuna.trial.FixedTrial({"stem": "none", "blocks": 0, "hidden": 0})
    assert len(from_keras(space_of("ds-cnn", (8, 8, 1), 3)(plain)).ops) == 3


def test_models_that_cannot_be_taken() -> None:
    k = keras()
    layers = k.layers
    source = k.Input((6, 6, 1))
    for output, words in (
        (layers.Conv2DTranspose(2, 3)(source), "is a Conv2DTranspose"),
        (layers.Conv2D(2, 3, activation="tanh")(source), "the activation 'tanh'"),
        (layers.Dense(2)(source), "put a Flatten before it"),
        (layers.BatchNormalization()(source), "put it behind one"),
    ):
        with pytest.raises(InputError, match=words) as caught:
            from_keras(k.Model(source, output))
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="known size"):
        from_keras(k.Sequential([k.Input((None, None, 1)), layers.Conv2D(2, 3)]))
    wide = k.Sequential([k.Input((4, 4, 1)), layers.Flatten(), layers.Dense(3)])
    with pytest.raises(InputError, match="samples have shape"):
        train(wide, stripes(), TrainOptions(1))


def test_a_search(tmp_path: Path) -> None:
    k = keras()
    pytest.importorskip("optuna", reason="not installed: optuna")

    def build(trial: Any) -> Any:
        filters = trial.suggest_categorical("filters", (4, 64))
        source = k.Input((6, 6, 1))
        x = k.layers.Conv2D(filters, 3, activation="relu")(source)
        x = k.layers.Flatten()(x)
        return k.Model(source, k.layers.Dense(3, activation="softmax")(x))

    found = search(
        build,
        stripes(),
        CPU,
        budget=Budget(cycles=12_000),
        trials=5,
        options=TrainOptions(epochs=3, rate=0.02),
        folder=tmp_path,
        storage=f"sqlite:///{tmp_path / 'study.db'}",
    )
    states = {c.parameters["filters"]: c.state for c in found.candidates}
    assert states == {4: "complete", 64: "pruned"}
    # There are no others, and none is trained twice.
    assert len(found.candidates) == 2 and found.front
    best = found.front[0]
    assert best.figures.cycles <= 12_000 and best.accuracy is not None and best.file is not None
    estimated = tvmtiny.cost(tvmtiny.load(best.file), CPU).total.estimated_cycles
    assert estimated == best.figures.cycles
    page = search_page(found)
    assert page.count("<circle") == sum(c.state == "complete" for c in found.candidates)
    assert "filters 4" in page


def test_build_functions_that_fail() -> None:
    keras()
    pytest.importorskip("optuna", reason="not installed: optuna")

    def failing(trial: Any) -> Any:
        raise KeyError("nowhere")

    for build, words in ((failing, "KeyError: 'nowhere'"), (lambda trial: 1, "returned a int")):
        with pytest.raises(InputError, match=words) as caught:
            search(build, stripes(), CPU, trials=1)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("method", ["filters", "blocks"])
def test_pruning(method: str) -> None:
    k = keras()
    data = stripes()
    source = k.Input((6, 6, 1))
    x = k.layers.Conv2D(16, 3, padding="same", use_bias=False)(source)
    x = k.layers.ReLU()(k.layers.BatchNormalization(momentum=0.8)(x))
    x = k.layers.Conv2D(16, 3, activation="relu")(x)
    x = k.layers.Flatten()(x)
    model = k.Model(source, k.layers.Dense(3, activation="softmax")(x))
    train(model, data, TrainOptions(8))
    full = tvmtiny.cost(tvmtiny.load(integers(model, data).content, name="full"), CPU).total
    goal = 0.5 if method == "filters" else 0.9
    budget = Budget(cycles=round(goal * full.estimated_cycles))
    options = PruneOptions(method, 2, TrainOptions(3, rate=0.003))
    found = prune(model, data, CPU, budget, options)
    assert not found.over and found.after.figures.cycles <= budget.cycles
    assert found.before.figures.cycles == pytest.approx(full.estimated_cycles, rel=0.1)
    assert found.after.figures.flash_bytes < found.before.figures.flash_bytes
    assert {row.method for row in found.table} == {"filters", "blocks"}
    if method == "filters":
        assert any(left < there for left, there, _ in found.kept.values())
    else:
        assert any(zeros for *_, zeros in found.kept.values())


def test_prunings_that_make_no_sense(tmp_path: Path) -> None:
    k = keras()
    flat = k.Sequential([k.Input((6, 6, 1)), k.layers.Flatten(), k.layers.Dense(3)])
    for budget, options, words in (
        (Budget(cycles=1), PruneOptions("magic"), "there is no method"),
        (Budget(), None, "pruning needs a budget"),
        (Budget(cycles=1), None, "no layer to prune"),
    ):
        with pytest.raises(InputError, match=words):
            prune(flat, stripes(), CPU, budget, options)
    with pytest.raises(InputError, match="is not a readable Keras model"):
        read_keras(tmp_path / "missing.keras")


def test_distillation() -> None:
    k = keras()
    data = stripes()

    def classifier(filters: int) -> Any:
        source = k.Input((6, 6, 1))
        x = k.layers.Flatten()(k.layers.Conv2D(filters, 3, activation="relu")(source))
        return k.Model(source, k.layers.Dense(3, activation="softmax")(x))

    teacher, student = classifier(12), classifier(2)
    train(teacher, data, TrainOptions(8))
    options = DistilOptions(training=TrainOptions(12), compare=True)
    found = distil(teacher, student, data, CPU, options)
    assert found.teacher_accuracy > 0.9 and found.teacher is not None
    assert found.student.accuracy > 0.7
    assert found.alone is not None and found.alone.accuracy > 0.5
    assert found.student.figures.cycles < found.teacher.figures.cycles
    softened = student.predict(data.x_test, verbose=0)
    assert np.abs(softened - teacher.predict(data.x_test, verbose=0)).mean() < 0.2
    with pytest.raises(InputError, match="out of range"):
        distil(teacher, student, data, CPU, DistilOptions(temperature=0.5))
    for other, words in (
        (k.Sequential([k.Input((6, 6, 1)), k.layers.Flatten(), k.layers.Dense(4)]), "same classes"),
        (k.Sequential([k.Input((36,)), k.layers.Dense(3)]), "samples have shape"),
    ):
        with pytest.raises(InputError, match=words):
            distil(other, student, data, CPU)
