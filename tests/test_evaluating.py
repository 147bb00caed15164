"""Figures of merit on test sets, on this machine and on a board."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from host_runner import compiler_or_skip
from tflite_builder import ModelBuilder
from tools import on_qemu

import tvmtiny
from tvmtiny import models
from tvmtiny.evaluating import TestSet, evaluate, read_test_set
from tvmtiny.inputs import real_inputs
from tvmtiny.native import NativeModel


@pytest.fixture(scope="module")
def digits() -> tvmtiny.Artifact:
    return tvmtiny.compile(tvmtiny.load(models.path("digits")), "mps2-an386")


@pytest.fixture(scope="module")
def copied() -> tvmtiny.Artifact:
    """Doubles its input: an autoencoder that is right for zeros only."""
    b = ModelBuilder()
    x = b.input("x", (1, 4), "float32")
    y = b.tensor("y", (1, 4), "float32")
    b.op("ADD", [x, x], [y], {"fused_activation_function": "NONE"})
    return tvmtiny.compile(tvmtiny.load(b.build([y]), name="copied"), "cortex-m4")


def test_digits_on_this_machine(digits: tvmtiny.Artifact) -> None:
    compiler_or_skip("cc")
    images, labels = models.digits_test()
    found = evaluate(digits, TestSet((images,), labels))
    assert (found.metric, found.right, found.samples) == ("accuracy", 354, 360)
    assert found.where == "this machine"
    model = tvmtiny.load(models.path("digits"))
    for image, output in zip(images[:5], found.outputs, strict=False):
        (reference,) = (
            model.reference([image[None]])[tensor.index] for tensor in model.graph.outputs
        )
        np.testing.assert_array_equal(output, digits.outputs[0].dequantize(reference))
    # Real pixels are quantized as the model's input requires.
    real = digits.inputs[0].dequantize(images)
    again = evaluate(digits, TestSet((real[..., 0],), labels))
    np.testing.assert_array_equal(again.outputs, found.outputs)


@on_qemu
def test_a_board_gives_the_same(digits: tvmtiny.Artifact) -> None:
    images, labels = models.digits_test()
    part = TestSet((images[:12],), labels[:12])
    here, there = evaluate(digits, part), evaluate(digits, part, board="mps2-an386")
    assert (there.where, there.right) == ("mps2-an386", here.right)
    np.testing.assert_array_equal(there.outputs, here.outputs)


@on_qemu
def test_anomalies_on_a_board() -> None:
    """The board gives the same area under the curve and the same bytes as this machine."""
    b = ModelBuilder()
    x = b.input("x", (1, 8), "int8", scale=0.05, zero_point=3)
    y = b.tensor("y", (1, 8), "int8", scale=0.04, zero_point=-9)
    rng = np.random.default_rng(2)
    w = b.constant("w", rng.integers(-99, 99, (8, 8), np.int8), scale=0.01)
    bias = b.constant("bias", np.zeros(8, np.int32), scale=0.0005)
    b.op("FULLY_CONNECTED", [x, w, bias], [y], {"fused_activation_function": "NONE"})
    artifact = tvmtiny.compile(tvmtiny.load(b.build([y]), name="copies"), "mps2-an386")
    samples = rng.normal(size=(16, 8)).astype(np.float32)
    data = TestSet((samples,), (np.abs(samples).mean(axis=1) > 0.8).astype(np.int64))
    here, there = evaluate(artifact, data), evaluate(artifact, data, board="mps2-an386")
    assert here.metric == there.metric == "auc" and 0 < here.value < 1
    assert here.value == there.value
    np.testing.assert_array_equal(here.outputs, there.outputs)


def test_anomalies_and_errors(copied: tvmtiny.Artifact) -> None:
    compiler_or_skip("cc")
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(30, 4)).astype(np.float32)
    scores = np.square(samples).mean(axis=1)
    labels = (scores + rng.normal(size=30) > 1).astype(np.int64)
    pairs = [(a > b) + 0.5 * (a == b) for a in scores[labels == 1] for b in scores[labels == 0]]
    found = evaluate(copied, TestSet((samples,), labels))
    assert found.metric == "auc" and found.right is None
    assert found.value == pytest.approx(np.mean(pairs))
    error = evaluate(copied, TestSet((samples,), samples * 2 + 0.25))
    assert error.metric == "error"
    assert error.value == pytest.approx(0.25, abs=1e-6)


_X, _Y = np.zeros((5, 8, 8)), np.arange(5)


@pytest.mark.parametrize(
    ("samples", "labels", "options", "message"),
    [
        (_X, np.array([1, 2, 3, 4, 10]), {}, "expected 0 to 9, got 1 to 10"),
        (np.zeros((5, 7, 8)), _Y, {}, "expected [samples, 8, 8, 1], got [5, 7, 8]"),
        (np.full((5, 8, 8), np.nan), _Y, {}, "expected finite samples"),
        (_X, _Y[:4], {}, "as many labels as samples, got 5, 4"),
        (_X[:0], _Y[:0], {}, "as many labels as samples, got 0, 0"),
        (_X, _Y, {"metric": "f1"}, "known: accuracy, auc, error"),
        (_X, np.zeros(5, int), {"metric": "auc"}, "only one class"),
        (_X, np.array([0, 1, 0, 1, 0]), {"metric": "auc"}, "not a score"),
        (_X, np.zeros((5, 3)), {}, "expected 10 numbers for each sample"),
        (_X, np.zeros((5, 2), int), {"metric": "accuracy"}, "one integer a sample"),
    ],
)
def test_what_does_not_fit(
    digits: tvmtiny.Artifact,
    samples: np.ndarray,
    labels: np.ndarray,
    options: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(tvmtiny.errors.InputError) as caught:
        evaluate(digits, TestSet((samples,), labels), **options)
    assert message in str(caught.value)


def test_outside_of_the_arena(digits: tvmtiny.Artifact) -> None:
    outside = tvmtiny.compile(tvmtiny.load(models.path("sine")), "cortex-m4", io="external")
    with pytest.raises(tvmtiny.errors.InputError, match="without --io external"):
        NativeModel(outside)


def test_files(digits: tvmtiny.Artifact, tmp_path: Path) -> None:
    def problem(name: str, **arrays: np.ndarray) -> str:
        np.savez(tmp_path / name, **arrays)
        with pytest.raises(tvmtiny.errors.InputDataError) as caught:
            read_test_set(tmp_path / name, digits.inputs)
        return str(caught.value)

    np.savez(tmp_path / "good.npz", image=_X, labels=_Y)
    found = read_test_set(tmp_path / "good.npz", digits.inputs)
    assert found.inputs[0].shape == _X.shape and found.labels.tolist() == _Y.tolist()
    assert "an array named y or labels" in problem("a.npz", x=_X)
    assert "an array named" in problem("b.npz", y=_Y)
    assert "expected numbers" in problem("c.npz", x=_X, y=np.array(["a"] * 5))
    assert "not a numpy file" in problem("d.npz", x=np.array([{}], object), y=_Y)
    for name, content in {"e.npz": b"no", "f.npy": b""}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(tvmtiny.errors.InputDataError, match="not a numpy file"):
            read_test_set(tmp_path / name, digits.inputs)
    np.save(tmp_path / "g.npy", _X)
    with pytest.raises(tvmtiny.errors.InputDataError, match="an array named y or labels"):
        read_test_set(tmp_path / "g.npy", digits.inputs)


def test_real_inputs(digits: tvmtiny.Artifact, tmp_path: Path) -> None:
    (tensor,) = digits.inputs
    reals = np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 8, 8, 1)
    np.save(tmp_path / "x.npy", reals)
    (got,) = real_inputs(tmp_path / "x.npy", digits.inputs)
    np.testing.assert_array_equal(got, tensor.quantize(reals))
    with pytest.raises(tvmtiny.errors.InputDataError) as caught:
        tvmtiny.make_inputs(str(tmp_path / "x.npy"), digits.inputs)
    assert (
        f"round(x / {tensor.scale:.6g}) + {tensor.zero_point}; pass a file of real numbers with "
        "--real" in str(caught.value)
    )
    with pytest.raises(tvmtiny.errors.InputDataError) as caught:
        tvmtiny.run(digits, reals)
    assert f"round(x / {tensor.scale:.6g}) + {tensor.zero_point}: the input's quantize" in str(
        caught.value
    )
    for bad, message in (
        (reals[..., 0], "expected numbers [1, 8, 8, 1]"),
        (reals + np.inf, "finite"),
    ):
        np.save(tmp_path / "bad.npy", bad)
        with pytest.raises(tvmtiny.errors.InputDataError) as caught:
            real_inputs(tmp_path / "bad.npy", digits.inputs)
        assert message in str(caught.value)


@on_qemu
def test_real_numbers_over_a_session(digits: tvmtiny.Artifact) -> None:
    images, _ = models.digits_test()
    real = digits.inputs[0].dequantize(images[:1])
    with tvmtiny.Session(digits, "mps2-an386") as session:
        (got,) = session.run(real, real=True)
        (expected,) = session.run(images[:1])
    np.testing.assert_array_equal(got, digits.outputs[0].dequantize(expected))
