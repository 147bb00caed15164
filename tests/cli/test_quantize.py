"""``tvmtiny quantize``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.cli.conftest import Command
from tests.test_quantizing import _classifier, _data, needs_quantizer


@needs_quantizer
def test_a_model_and_what_it_costs(command: Command, tmp_path: Path) -> None:
    (tmp_path / "float.tflite").write_bytes(_classifier())
    np.savez(tmp_path / "data.npz", **_data(9))
    words = ("quantize", tmp_path / "float.tflite", "--data", tmp_path / "data.npz")
    found = command(*words, "-o", tmp_path / "int8.tflite", "--json").json
    assert found["samples"] == 9 and found["accuracy_after"] == 1.0
    assert found["bytes_after"] == (tmp_path / "int8.tflite").stat().st_size
    shown = command(*words, "-o", tmp_path / "again.tflite")
    assert shown.code == 0 and "accuracy" in shown.out and "100.0%" in shown.out
    assert (tmp_path / "again.tflite").read_bytes() == (tmp_path / "int8.tflite").read_bytes()


@needs_quantizer
def test_what_speaks_against_the_samples(command: Command, tmp_path: Path) -> None:
    (tmp_path / "float.tflite").write_bytes(_classifier())
    np.save(tmp_path / "one.npy", _data(1)["x"])
    words = ("quantize", tmp_path / "float.tflite", "--data", tmp_path / "one.npy")
    shown = command(*words, "-o", tmp_path / "int8.tflite")
    assert shown.code == 0 and "note: one sample cannot show" in shown.err
    words = (*words, "-o", tmp_path / "int8.tflite", "--image-range", "1;2")
    assert "such as 0,1 or -1,1" in command(*words).error(2)


@needs_quantizer
def test_data_that_is_not_there(command: Command, tmp_path: Path) -> None:
    (tmp_path / "float.tflite").write_bytes(_classifier())
    words = ("quantize", tmp_path / "float.tflite", "--data", tmp_path / "none.npz")
    assert "none.npz" in command(*words, "-o", tmp_path / "out.tflite").error(2)
    assert not (tmp_path / "out.tflite").exists()
