"""Quantizing a float model: what comes out, and what is said where it cannot be done."""

from __future__ import annotations

import builtins
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tflite_builder import ModelBuilder

import tvmtiny
from tvmtiny import models
from tvmtiny.errors import InputDataError, InputError, ToolMissingError

needs_quantizer = pytest.mark.skipif(
    find_spec("ai_edge_quantizer") is None, reason="ai-edge-quantizer is not installed"
)


def _classifier(old: bool = False, named: bool = False) -> bytes:
    """Three classes: the channel with the largest mean.

    Parameters
    ----------
    old
        Whether operators are numbered as before TFLite 2.4.
    named
        Whether a signature names the input.
    """
    b = ModelBuilder()
    x = b.input("x", (1, 6, 6, 3), "float32")
    w = b.constant("w", np.eye(3, dtype=np.float32).reshape(3, 1, 1, 3))
    bias = b.constant("bias", np.zeros(3, np.float32))
    y = b.tensor("y", (1, 6, 6, 3), "float32")
    axes = b.constant("axes", np.array([1, 2], np.int32))
    mean = b.tensor("mean", (1, 3), "float32")
    p = b.tensor("p", (1, 3), "float32")
    b.op("CONV_2D", [x, w, bias], [y], {"padding": "SAME", "stride_h": 1, "stride_w": 1})
    b.op("MEAN", [y, axes], [mean], {"keep_dims": False})
    b.op("SOFTMAX", [mean], [p], {"beta": 1.0})
    for code in b._codes if old else ():
        # Before TFLite 2.4 there was only the narrow field.
        code.builtinCode = 0
    if named:
        b.signature([("image", x)], [])
    return b.build([p])


def _data(count: int = 24) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(4)
    labels = np.arange(count) % 3
    x = rng.normal(size=(count, 6, 6, 3)).astype(np.float32)
    x[np.arange(count), :, :, labels] += 1
    return {"x": x, "labels": labels}


@needs_quantizer
@pytest.mark.parametrize("old", [False, True])
def test_a_classifier(old: bool) -> None:
    made = tvmtiny.quantize(_classifier(old, named=old), _data())
    assert made.samples == 24
    assert made.accuracy_before == 1.0 and made.accuracy_after == 1.0
    (change,) = made.outputs
    assert change.name == "p" and change.same_argmax == 1.0
    assert 0 < change.max_abs_diff < 0.1 < change.largest
    model = tvmtiny.load(made.content, name="q")
    assert [t.dtype for t in model.graph.inputs] == ["int8"]
    assert model.graph.input_labels == ("image" if old else "input_0",)
    tvmtiny.compile(model, "cortex-m4")


@needs_quantizer
def test_int16_activations() -> None:
    b = ModelBuilder()
    x, y = b.input("x", (1, 8), "float32"), b.tensor("y", (1, 4), "float32")
    rng = np.random.default_rng(1)
    w = b.constant("w", rng.normal(size=(4, 8)).astype(np.float32))
    bias = b.constant("bias", rng.normal(size=4).astype(np.float32))
    b.op("FULLY_CONNECTED", [x, w, bias], [y], {})
    data = {"x": rng.normal(size=(10, 8)).astype(np.float32)}
    made = tvmtiny.quantize(b.build([y]), data, activations="int16")
    model = tvmtiny.load(made.content, name="q")
    assert [t.dtype for t in (*model.graph.inputs, *model.graph.outputs)] == ["int16", "int16"]
    assert made.outputs[0].max_abs_diff < 0.05 < made.outputs[0].largest
    assert made.accuracy_before is None


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({}, "missing"),
        ({"x": np.zeros((4, 5), np.float32)}, "wrong dtype or shape"),
        ({"x": np.full((2, 6, 6, 3), "a")}, "wrong dtype or shape"),
        ({**_data(6), "labels": np.zeros(5, np.int32)}, "labels"),
    ],
)
def test_data_that_does_not_fit(data: dict[str, np.ndarray], reason: str) -> None:
    with pytest.raises(InputDataError, match=reason):
        tvmtiny.quantize(_classifier(), data)


def test_a_model_that_is_no_float_model() -> None:
    with pytest.raises(InputError, match="takes a float model"):
        tvmtiny.quantize(models.path("digits"), {})


def test_activations_of_another_width() -> None:
    with pytest.raises(InputError, match="int8, int16"):
        tvmtiny.quantize(_classifier(), _data(), activations="int4")


def test_a_file_that_holds_no_arrays(tmp_path: Path) -> None:
    (tmp_path / "data.npz").write_bytes(b"no archive")
    with pytest.raises(InputDataError, match=r"not a \.npz file"):
        tvmtiny.quantize(_classifier(), tmp_path / "data.npz")


def test_without_the_quantizer(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def importing(name: str, *arguments: Any) -> Any:
        if name.startswith("ai_edge_quantizer"):
            raise ModuleNotFoundError(name, name=name)
        return original(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", importing)
    with pytest.raises(ToolMissingError, match=r"pip install 'tvmtiny\[quantize\]'"):
        tvmtiny.quantize(_classifier(), _data())
