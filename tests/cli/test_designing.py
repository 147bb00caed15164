"""``tvmtiny search``, ``prune``, ``distil`` and ``precision``; skipped where they need Keras."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.conftest import Command
from tests.design.keras_samples import keras, stripes
from tests.tools import on_qemu
from tvmtiny.errors import BudgetError

CPU = ("--cpu", "cortex-m4")

#: Arguments of each command, with the files of `_files`.
COMMANDS = {
    "search": ("data.npz", *CPU, "-o", "networks", "--trials", 1, "--epochs", 1),
    "prune": ("big.keras", "data.npz", *CPU, "-o", "out.tflite", "--deadline", "5k"),
    "distil": ("big.keras", "small.keras", "data.npz", *CPU, "-o", "out.tflite", "--epochs", 2),
    "precision": ("big.keras", "data.npz", *CPU, "-o", "out.tflite"),
}

_BUILD = """
import keras
from keras import layers


def build(trial):
    source = keras.Input((6, 6, 1))
    x = layers.Conv2D(trial.suggest_int("filters", 2, 4), 3, activation="relu")(source)
    return keras.Model(source, layers.Dense(3)(layers.Flatten()(x)))


def raises(trial):
    raise KeyError("nowhere")


def unknown(trial):
    source = keras.Input((6, 6, 1))
    return keras.Model(source, layers.Conv2DTranspose(2, 3)(source))


def ends(trial):
    raise SystemExit(0)


def images(trial):
    source = keras.Input((6, 6, 1))
    return keras.Model(source, layers.Conv2D(3, 1)(source))


def unknown_input(trial):
    return keras.Sequential([layers.Flatten(), layers.Dense(3)])


def operation(trial):
    source = keras.Input((6, 6, 1))
    return keras.Model(source, layers.Dense(3)(layers.Flatten()(2 * source)))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A current folder with a data set."""
    monkeypatch.chdir(tmp_path)
    _write_data()
    return tmp_path


def _write_data(**changed: np.ndarray) -> None:
    np.savez("data.npz", **{**vars(stripes()), **changed})


def _write_models(k: Any, unknown: bool = False, size: int = 6, classes: int = 3) -> None:
    """Write a large and a small classifier, if requested with a layer that is not supported."""
    layers = k.layers
    for name, filters in (("big", 12), ("small", 2)):
        source = k.Input((size, size, 1))
        x = layers.Conv2D(filters, 3, activation="relu")(source)
        if unknown:
            x = layers.Conv2DTranspose(2, 3)(x)
        x = layers.Dense(classes, activation="softmax")(layers.Flatten()(x))
        k.Model(source, x).save(f"{name}.keras")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", list(COMMANDS))
def test_data_that_cannot_be_used(command: Command, name: str) -> None:
    data = stripes()
    broken = data.x_train.copy()
    broken[7, 0, 0, 0] = np.nan
    _write_data(y_train=data.y_train * 0)
    assert "only one class" in command(name, *COMMANDS[name]).error(2)
    _write_data(x_train=broken)
    assert "NaN or infinity" in command(name, *COMMANDS[name]).error(2)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", ["prune", "distil", "precision"])
def test_layers_that_are_not_supported(command: Command, name: str) -> None:
    _write_models(keras(), unknown=True)
    message = command(name, *COMMANDS[name]).error(2)
    assert "is a Conv2DTranspose, which is not supported; supported: Activation, " in message
    assert not Path("out.tflite").exists()


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", ["prune", "distil", "precision"])
def test_models_that_do_not_fit_the_data(command: Command, name: str) -> None:
    _write_models(keras(), size=8)
    assert "of shape [8, 8, 1], but samples have" in command(name, *COMMANDS[name]).error(2)
    _write_models(keras(), classes=2)
    assert "has 2 outputs, but the data has 3" in command(name, *COMMANDS[name]).error(2)
    Path("big.keras").write_text("nothing")
    assert "it is no zip archive" in command(name, *COMMANDS[name]).error(2)
    Path("big.keras").unlink()
    assert "'big.keras' is not a readable Keras model: there is no such file" in command(
        name, *COMMANDS[name]
    ).error(2)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", ["search", "prune", "precision"])
def test_budgets_that_are_not_met(command: Command, name: str) -> None:
    _write_models(keras())
    pytest.importorskip("optuna", reason="not installed: optuna")
    Path("mine.py").write_text(_BUILD, encoding="utf-8")
    words = (*COMMANDS[name], *(("--build", "mine.py") if name == "search" else ()))
    found = command(name, *words, "--ram", 1)
    assert found.code == BudgetError.exit_code and "over the budget" in found.out
    assert "exceeds the budget of ram_bytes; allow more" in found.err.splitlines()[-1]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", list(COMMANDS))
def test_places_are_checked_before_the_training(command: Command, name: str) -> None:
    """Here, no model exists that could be trained."""
    assert "no target 'nowhere'" in command(name, *COMMANDS[name], "--verify", "nowhere").error(2)
    Path("file").touch()
    out = "file" if name == "search" else "missing/out.tflite"
    assert f"cannot write to {out}" in command(name, *COMMANDS[name], "-o", out).error(2)


@pytest.mark.usefixtures("folder")
def test_build_functions_that_fail(command: Command) -> None:
    keras()
    pytest.importorskip("optuna", reason="not installed: optuna")
    Path("mine.py").write_text(_BUILD, encoding="utf-8")
    for function, words in (
        ("raises", "the build function failed in trial 0: KeyError: 'nowhere'"),
        ("unknown", "is a Conv2DTranspose, which is not supported"),
        ("ends", "the build function failed in trial 0: SystemExit: 0"),
        ("images", "the model has outputs of shape [6, 6, 3], but a classifier has one for each"),
        ("unknown_input", "a model without a known input in trial 0; begin it with keras.Input"),
        ("operation", "the operation 'multiply' is not a layer"),
    ):
        found = command("search", *COMMANDS["search"], "--build", f"mine.py:{function}")
        assert words in found.error(2)


@pytest.mark.usefixtures("folder")
def test_a_search(command: Command) -> None:
    keras()
    pytest.importorskip("optuna", reason="not installed: optuna")
    Path("mine.py").write_text(_BUILD, encoding="utf-8")
    words = (*COMMANDS["search"], "--build", "mine.py", "--storage", "sqlite:///study.db")
    found = command("search", *words, "--report", "search.html", "--json").json
    assert [c["state"] for c in found["candidates"]] == ["complete"]
    assert Path(found["front"][0]["file"]).is_file()
    assert "<svg" in Path("search.html").read_text(encoding="utf-8")
    shown = command("search", *words)
    assert shown.code == 0 and "Networks that no other one beats" in shown.out


@pytest.mark.usefixtures("folder")
def test_a_pruning(command: Command) -> None:
    _write_models(keras())
    words = (*COMMANDS["prune"], "--steps", 1, "--epochs", 1)
    shown = command("prune", *words)
    assert shown.code == 0 and "What pruning one layer alone saves" in shown.out
    assert Path("out.tflite").is_file()
    found = command("prune", *words, "--json").json
    assert found["after"]["figures"]["cycles"] < found["before"]["figures"]["cycles"]


@pytest.mark.usefixtures("folder")
def test_a_distillation(command: Command) -> None:
    _write_models(keras())
    found = command("distil", *COMMANDS["distil"], "--compare", "--fine-tune", 1, "--json").json
    assert found["student"]["figures"]["cycles"] < found["teacher"]["figures"]["cycles"]
    assert found["alone"]["figures"]["cycles"] > 0
    assert Path("out.tflite").is_file()
    shown = command("distil", *COMMANDS["distil"])
    assert shown.code == 0 and "Int8 models on cortex-m4" in shown.out
    assert "out of range" in command("distil", *COMMANDS["distil"], "--share", 2).error(2)


@pytest.mark.usefixtures("folder")
def test_precisions(command: Command) -> None:
    _write_models(keras())
    found = command("precision", *COMMANDS["precision"], "--json").json
    assert found["alone"][0]["precisions"] == {}
    assert {p for one in found["alone"] for p in one["precisions"].values()} == {"int4", "int16"}
    assert Path("out.tflite").is_file()
    shown = command("precision", *COMMANDS["precision"], "--flash", "100")
    assert shown.code == 3 and "over the budget of flash_bytes" in shown.out
    words = (*COMMANDS["precision"], "--least-agreement", 2)
    assert "out of range" in command("precision", *words).error(2)


@on_qemu
@pytest.mark.usefixtures("folder")
def test_both_sides_of_a_pruning_run_on_a_board(command: Command) -> None:
    _write_models(keras())
    words = (*COMMANDS["prune"], "--steps", 1, "--epochs", 1, "--verify", "mps2-an386")
    found = command("prune", *words, "--json").json
    before, after = found["verified_before"], found["verified"]
    assert after["instructions"] < before["instructions"]
    assert before["equal"] and after["equal"]
