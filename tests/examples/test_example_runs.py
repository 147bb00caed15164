"""The applications in ``examples/``: with the models that ship, and trained on request."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.design.keras_samples import keras, stripes
from tests.tools import ROOT, on_qemu
from tvmtiny.design.data import Dataset
from tvmtiny.design.training import TrainOptions, accuracy

EXAMPLES = ROOT / "examples"
FIGURES = ROOT / "docs" / "figures" / "examples"

#: Modules that are no applications.
SHARED = {"application", "package_data", "signal_network"}

NAMES = ("agriculture", "bearing", "health", "industry", "person", "vision", "wearables")


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The modules of the folder import each other by name."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    yield
    for name in (*NAMES, *SHARED):
        sys.modules.pop(name, None)


def _application(name: str) -> tuple[Any, Dataset]:
    """An application and its data; skips the test without data, and names what would bring it."""
    found = import_module(name).APPLICATION
    try:
        return found, found.data()
    except ModuleNotFoundError as error:
        pytest.skip(f"not installed: {error}")


def test_every_application_is_tested() -> None:
    files = {path.stem for path in EXAMPLES.glob("*.py")} - SHARED
    assert files == set(NAMES)
    assert {path.stem for path in (EXAMPLES / "models").iterdir()} == files


@pytest.mark.parametrize("name", NAMES)
def test_the_model_is_as_accurate_as_the_page_says(name: str) -> None:
    data = _application(name)[1]
    stored = json.loads((FIGURES / f"{name}.json").read_text(encoding="utf-8"))
    assert [len(data.x_train), len(data.x_test)] == [
        stored["train_samples"],
        stored["test_samples"],
    ]
    content = (EXAMPLES / "models" / f"{name}.tflite").read_bytes()
    assert accuracy(content, data.x_test, data.y_test) == stored["accuracy"]


@on_qemu
@pytest.mark.parametrize("name", NAMES)
def test_a_small_cut(name: str, tmp_path: Path) -> None:
    application = _application(name)[0]
    outcome = import_module("application").run(application, tmp_path, samples=20)
    assert outcome.verified.equal
    assert outcome.verified.accuracy == outcome.verified.host_accuracy == outcome.accuracy
    assert outcome.verified.samples == outcome.test_samples <= 20
    if name == "person":
        assert outcome.rows.equal and outcome.rows.samples == outcome.test_samples
        assert outcome.rows.arena_bytes < outcome.verified.arena_bytes
    assert (tmp_path / "zephyr" / "CMakeLists.txt").is_file()
    assert (tmp_path / "arduino" / "library.properties").is_file()


def _broken(data: Dataset, kind: str) -> Dataset:
    if kind == "class":
        return Dataset(data.x_train, data.y_train * 0, data.x_test, data.y_test)
    return Dataset(np.full_like(data.x_train, np.nan), data.y_train, data.x_test, data.y_test)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("class", "only one class; expected at least two"),
        ("nan", "NaN or infinity"),
        ("package", "No module named 'nowhere'; docs/examples.md lists what to install"),
    ],
)
def test_data_that_cannot_be_used(
    kind: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def data() -> Dataset:
        import_module("nowhere" if kind == "package" else "json")
        return _broken(stripes(), kind)

    application = import_module("application")
    broken = application.Application("broken", data, lambda *_: None, TrainOptions())
    monkeypatch.setattr(sys, "argv", ["broken.py", "--out", str(tmp_path), "--train"])
    with pytest.raises(SystemExit) as ended:
        application.main(broken)
    assert ended.value.code in (2, 4)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("broken: ") and words in line


@on_qemu
@pytest.mark.skipif(
    not os.environ.get("TVMTINY_EXAMPLES"),
    reason="TVMTINY_EXAMPLES is not set: training takes a minute",
)
@pytest.mark.parametrize("name", NAMES)
def test_training_on_a_small_cut(name: str, tmp_path: Path) -> None:
    keras()
    application = _application(name)[0]
    run = import_module("application").run
    outcome = run(application, tmp_path, training=True, epochs=2, samples=40)
    assert outcome.verified.equal and outcome.float_accuracy is not None
    assert outcome.verified.accuracy == outcome.verified.host_accuracy
