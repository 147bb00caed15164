"""Quantizing a float model: the results, and the messages where that is impossible."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from control_models import recurrent
from tflite_builder import ModelBuilder

import tvmtiny
from tvmtiny import models
from tvmtiny.errors import (
    DynamicRangeModelError,
    InputDataError,
    InputError,
    ToolMissingError,
)

needs_quantizer = pytest.mark.skipif(
    find_spec("ai_edge_quantizer") is None, reason="ai-edge-quantizer is not installed"
)


def _classifier(
    old: bool = False, named: bool = False, weights: str = "float32", activation: str = "NONE"
) -> bytes:
    """Three classes: the channel with the largest mean.

    Parameters
    ----------
    old
        Whether operators are numbered as before TFLite 2.4.
    named
        Whether a signature names the input.
    weights
        Dtype of the weights: float16 ones lie behind DEQUANTIZE, int8 ones have a scale.
    """
    b = ModelBuilder()
    x = b.input("x", (1, 6, 6, 3), "float32")
    filters = np.eye(3, dtype=weights).reshape(3, 1, 1, 3)
    w = b.constant("w", filters, **({"scale": 1.0} if weights == "int8" else {}))
    if weights == "float16":
        half, w = w, b.tensor("w/float", filters.shape, "float32")
        b.op("DEQUANTIZE", [half], [w], {})
    bias = b.constant("bias", np.zeros(3, np.float32))
    y = b.tensor("y", (1, 6, 6, 3), "float32")
    axes = b.constant("axes", np.array([1, 2], np.int32))
    mean = b.tensor("mean", (1, 3), "float32")
    p = b.tensor("p", (1, 3), "float32")
    options = {"padding": "SAME", "stride_h": 1, "stride_w": 1}
    b.op("CONV_2D", [x, w, bias], [y], {**options, "fused_activation_function": activation})
    b.op("MEAN", [y, axes], [mean], {"keep_dims": False})
    b.op("SOFTMAX", [mean], [p], {"beta": 1.0})
    for code in b._codes if old else ():
        # Before TFLite 2.4 the narrow field was the only one.
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


@needs_quantizer
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({}, "missing in the data; expected an array named x or input_0 or images or"),
        ({"picture": np.zeros((4, 6, 6, 3))}, "missing in the data.*got picture"),
        ({"x": np.zeros((4, 5), np.float32)}, "wrong shape of the samples;"),
        ({"x": np.zeros((6, 6, 3), np.float32)}, r"counts samples, as in array\[None\]"),
        ({"x": np.zeros((4, 3, 6, 6), np.float32)}, r"as in array.transpose\(0, 2, 3, 1\)"),
        ({"x": np.full((2, 6, 6, 3), "a")}, "wrong dtype"),
        ({"x": np.full((2, 6, 6, 3), np.nan)}, "finite samples"),
        ({"x": np.zeros((0, 6, 6, 3))}, "at least one"),
        ({**_data(6), "labels": np.zeros(5, np.int32)}, "labels"),
    ],
)
def test_data_that_does_not_fit(data: dict[str, np.ndarray], reason: str) -> None:
    with pytest.raises(InputDataError, match=reason):
        tvmtiny.quantize(_classifier(), data)


@needs_quantizer
def test_ways_to_give_samples(tmp_path: Path) -> None:
    """Arrays by name and by position, one array, and files of these."""
    data = _data(9)
    wanted = tvmtiny.quantize(_classifier(), data).content
    np.savez(tmp_path / "named.npz", images=data["x"], y=data["labels"])
    np.savez(tmp_path / "positions.npz", data["x"], data["labels"])
    np.save(tmp_path / "one.npy", data["x"])
    given: list[Any] = [
        *(data["x"], [data["x"], data["labels"]]),
        *(tmp_path / name for name in ("named.npz", "positions.npz", "one.npy")),
    ]
    for samples, labelled in zip(given, (False, True, True, True, False), strict=True):
        made = tvmtiny.quantize(_classifier(), samples)
        assert made.content == wanted
        assert (made.accuracy_before is not None) == labelled


@needs_quantizer
def test_a_folder_of_images(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    data = _data(9)
    for i, (x, label) in enumerate(zip(data["x"], data["labels"], strict=True)):
        folder = tmp_path / "images" / "abc"[label]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = (np.clip(x / 8 + 0.5, 0, 1) * 255).astype(np.uint8)
        image.fromarray(pixels).resize((12, 12), 0).save(folder / f"{i}.png")
    made = tvmtiny.quantize(_classifier(), tmp_path / "images", image_range=(-4, 4))
    assert made.samples == 9 and made.accuracy_before == 1.0
    range_note, size_note, class_note, few = made.notes
    assert "numbers from -4 to 4; give another --image-range" in range_note
    assert "resized to 6x6" in size_note and "0 a, 1 b, 2 c" in class_note
    assert "9 samples cannot show" in few
    (tmp_path / "images" / "a" / "0.png").write_bytes(b"none")
    with pytest.raises(InputDataError, match="not a readable image"):
        tvmtiny.quantize(_classifier(), tmp_path / "images")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputDataError, match="the folder has no images"):
        tvmtiny.quantize(_classifier(), tmp_path / "empty")


@needs_quantizer
@pytest.mark.parametrize(
    ("samples", "note"),
    [
        (_data()["x"][:1], "one sample cannot show what range each layer has; give about 100"),
        (np.round(np.abs(_data()["x"]) * 50), "as raw bytes are; a model that was trained on 0"),
        (np.ones((20, 6, 6, 3)), "is 1 in all samples, so that its range is unknown"),
        (np.ones((20, 6, 6, 3)), "with these samples, y, mean never change"),
    ],
)
def test_samples_that_are_doubtful(samples: np.ndarray, note: str) -> None:
    made = tvmtiny.quantize(_classifier(), samples)
    assert any(note in said for said in made.notes), made.notes


@needs_quantizer
def test_ranges_that_cannot_be_known() -> None:
    """If the result cannot be compiled, the message gives the reason."""
    samples = -1 - np.abs(_data()["x"])
    with pytest.raises(InputDataError, match=r"y, mean never change.*cover the model's use"):
        tvmtiny.quantize(_classifier(activation="RELU"), samples)


@needs_quantizer
def test_samples_that_are_fine() -> None:
    assert tvmtiny.quantize(_classifier(), _data()).notes == ()


@needs_quantizer
def test_a_float16_model_is_a_float_model() -> None:
    made = tvmtiny.quantize(_classifier(weights="float16"), _data())
    assert made.notes == ("1 float16 constants were taken as float32",)
    operators = [n.operator for n in tvmtiny.load(made.content).graph.nodes]
    assert operators == ["CONV_2D", "MEAN", "SOFTMAX"]
    assert made.accuracy_after == 1.0


@needs_quantizer
def test_a_dynamic_range_model() -> None:
    with pytest.raises(DynamicRangeModelError, match="convert it again as plain float32"):
        tvmtiny.quantize(_classifier(weights="int8"), _data())


@needs_quantizer
def test_a_model_that_is_quantized_already() -> None:
    with pytest.raises(InputError, match=r"quantized already \(.*int8\).*without optimizations"):
        tvmtiny.quantize(models.path("digits"), {})


@needs_quantizer
def test_a_loop() -> None:
    with pytest.raises(InputError, match=r"a loop \(WHILE\).*recurrent layers with unroll=True"):
        tvmtiny.quantize(recurrent().model(), np.zeros((20, 4, 1, 3), np.float32))


def test_activations_of_another_width() -> None:
    with pytest.raises(InputError, match="int8, int16"):
        tvmtiny.quantize(_classifier(), _data(), activations="int4")


@needs_quantizer
def test_a_file_that_holds_no_arrays(tmp_path: Path) -> None:
    (tmp_path / "data.npz").write_bytes(b"no archive")
    with pytest.raises(InputDataError, match=r"not a numpy file.*expected FILE.npz, FILE.npy or a"):
        tvmtiny.quantize(_classifier(), tmp_path / "data.npz")


def test_without_the_quantizer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error comes before the model and the data are read."""
    monkeypatch.setitem(sys.modules, "ai_edge_quantizer", None)
    with pytest.raises(ToolMissingError, match=r"pip install 'tvmtiny\[quantize\]'"):
        tvmtiny.quantize("none.tflite", "none.npz")


@needs_quantizer
def test_without_what_reads_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ToolMissingError, match=r"pip install 'tvmtiny\[pictures\]'"):
        tvmtiny.quantize(_classifier(), tmp_path)
