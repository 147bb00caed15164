"""The applications in ``examples/``, on a small cut and for a few epochs; skipped without Keras."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from tests.design.keras_samples import keras
from tests.tools import ROOT, on_qemu

EXAMPLES = ROOT / "examples"

#: Applications, and the package that holds their data.
NAMES = {
    "agriculture": "aeon",
    "bearing": "numpy",
    "health": "heartpy",
    "industry": "aeon",
    "vision": "sklearn",
    "wearables": "aeon",
}


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The modules of the folder import each other by name."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    yield
    for name in (*NAMES, "application", "signal_network"):
        sys.modules.pop(name, None)


def test_every_application_is_tested() -> None:
    files = {path.stem for path in EXAMPLES.glob("*.py")} - {"application", "signal_network"}
    assert files == NAMES.keys()


@on_qemu
@pytest.mark.parametrize("name", list(NAMES))
def test_a_small_cut(name: str, tmp_path: Path) -> None:
    keras()
    pytest.importorskip(NAMES[name], reason=f"not installed: {NAMES[name]}")
    application = import_module(name).APPLICATION
    outcome = import_module("application").run(application, tmp_path, epochs=2, samples=40)
    assert outcome.verified.equal
    assert outcome.verified.accuracy == outcome.verified.host_accuracy
    assert outcome.verified.samples == outcome.test_samples <= 40
    assert (tmp_path / "zephyr" / "CMakeLists.txt").is_file()
    assert (tmp_path / "arduino" / "library.properties").is_file()
