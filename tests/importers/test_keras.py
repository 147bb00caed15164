"""Keras models: from objects and from files."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import tvmtiny
from tvmtiny.errors import InputError, ModelFormatError, ToolMissingError
from tvmtiny.importers import import_model

needs_tensorflow = pytest.mark.skipif(
    find_spec("tensorflow") is None, reason="tensorflow is not installed"
)


@needs_tensorflow
def test_a_model_and_its_file(tmp_path: Path) -> None:
    import keras

    image = keras.Input((8, 8, 3), name="image")
    y = keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(image)
    y = keras.layers.GlobalAveragePooling2D()(keras.layers.BatchNormalization()(y))
    model = keras.Model(image, {"digit": keras.layers.Dense(5, activation="softmax")(y)})
    model.save(tmp_path / "digit net.keras")
    made = tvmtiny.load(model, name="net")
    graph = made.graph
    assert (graph.input_labels, graph.output_labels) == (("image",), ("digit",))
    assert graph.inputs[0].shape == (1, 8, 8, 3)
    x = np.random.default_rng(0).normal(size=(1, 8, 8, 3)).astype(np.float32)
    expected = model(x)["digit"].numpy()
    for loaded in (made, tvmtiny.load(tmp_path / "digit net.keras")):
        got = loaded.reference([x])[loaded.graph.outputs[0].index]
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6)
    with pytest.raises(InputError, match="has no inputs yet"):
        tvmtiny.load(keras.Sequential([keras.layers.Dense(3)]))
    (tmp_path / "junk.keras").write_bytes(b"junk")
    with pytest.raises(ModelFormatError, match="not a usable Keras model"):
        tvmtiny.load(tmp_path / "junk.keras")


def test_an_old_file_can_hold_code(tmp_path: Path) -> None:
    (tmp_path / "model.h5").write_bytes(b"")
    with pytest.raises(InputError, match=r"can hold code.*--trust"):
        tvmtiny.load(tmp_path / "model.h5")


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.keras").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(ToolMissingError, match="pip install tensorflow"):
        import_model(tmp_path / "model.keras")
