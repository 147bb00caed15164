"""Models that cannot be compiled: one line, exit code 2, nothing written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tflite_builder import ModelBuilder
from tools import MLPERF_TINY, needs_mlperf_tiny

from tvmtiny import models

Command = Any

CONTENT = models.path("temperature").read_bytes()


def unsupported_model() -> bytes:
    b = ModelBuilder()
    x = b.input("x", (1, 8), scale=0.5)
    fft = b.tensor("after fft", (1, 8), scale=1 / 128)
    unique = b.tensor("after unique", (1, 8), scale=1 / 128)
    probability = b.tensor("probability", (1, 8), scale=1 / 256, zero_point=-128)
    b.op("RFFT2D", [x], [fft])
    b.op("UNIQUE", [fft], [unique])
    b.op("LOGISTIC", [unique], [probability])
    return b.build([probability])


def dynamic_range_model() -> bytes:
    b = ModelBuilder()
    x = b.input("x", (1, 8), "float32")
    w = b.constant("quantized weights", np.ones((4, 8), np.int8), scale=0.5)
    y = b.tensor("y", (1, 4), "float32")
    b.op("FULLY_CONNECTED", [x, w, None], [y], {}, version=3)
    return b.build([y])


def dynamic_shape_model() -> bytes:
    b = ModelBuilder()
    x = b.input("x", (1, -1, 8), scale=0.5)
    y = b.tensor("y", (1, -1, 8), scale=1 / 256, zero_point=-128)
    b.op("LOGISTIC", [x], [y])
    return b.build([y])


def gather_model() -> bytes:
    """Indices come from an input, and those of the ramp are out of range."""
    b = ModelBuilder()
    x, i = b.input("x", (2, 4), scale=0.5), b.input("i", (1,), "int32")
    y = b.tensor("y", (1, 4), scale=0.5)
    b.op("GATHER", [x, i], [y], {"axis": 0})
    return b.build([y])


CASES = {
    "empty": (b"", ["the file is empty"]),
    "one byte": (b"T", ["not a TFLite file"]),
    "text": (b"This is no model, but a line of text.", ["not a TFLite file", "TFL3"]),
    "zeros": (bytes(4096), ["not a TFLite file"]),
    "only an identifier": (b"\0\0\0\0TFL3", ["truncated or damaged"]),
    "identifier and noise": (b"\x10\0\0\0TFL3" + b"\xff" * 64, ["truncated or damaged"]),
    "unsupported": (
        unsupported_model(),
        ["2 unsupported operators", "RFFT2D (tensor 'after fft')", "UNIQUE (tensor 'after un"],
    ),
    "dynamic range": (
        dynamic_range_model(),
        ["dynamic-range", "FULLY_CONNECTED", "'quantized weights'", "representative_dataset"],
    ),
    "dynamic shape": (dynamic_shape_model(), ["'x'", "1x?x8", "fixed"]),
}


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def bad_model(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, list[str]]:
    content, parts = request.param
    path = tmp_path / "bad.tflite"
    path.write_bytes(content)
    return path, parts


def test_compile(bad_model: tuple[Path, list[str]], command: Command, tmp_path: Path) -> None:
    path, parts = bad_model
    message = command("compile", path, "-t", "cortex-m4", "-o", tmp_path / "out").error(2)
    assert all(part in message for part in parts), message
    assert not (tmp_path / "out").exists()


def test_run(bad_model: tuple[Path, list[str]], command: Command) -> None:
    path, parts = bad_model
    message = command("run", path, "-b", "mps2-an386", "--json").error(2)
    assert all(part in message for part in parts), message


def test_supported_operators_are_not_listed(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(unsupported_model())
    assert "LOGISTIC" not in command("compile", path, "-t", "cortex-m4", "-o", tmp_path).error(2)


def test_as_a_program(program: Command, tmp_path: Path) -> None:
    content, parts = CASES["unsupported"]
    path = tmp_path / "bad.tflite"
    path.write_bytes(content)
    message = program("compile", path, "-t", "cortex-m4", "-o", tmp_path / "out").error(2)
    assert all(part in message for part in parts), message


@pytest.mark.parametrize("size", range(1, len(CONTENT), 41))
def test_truncated(size: int, command: Command, tmp_path: Path) -> None:
    path = tmp_path / "cut.tflite"
    path.write_bytes(CONTENT[:size])
    for words in (["inspect"], ["compile", "-t", "cortex-m4", "-o", tmp_path / "out"]):
        message = command(words[0], path, *words[1:]).error(2)
        assert "not a usable TFLite model" in message
        assert str(path) in message


@pytest.mark.parametrize(
    ("name", "reason"), [("missing.tflite", "No such file"), (".", "Is a directory")]
)
def test_unreadable(name: str, reason: str, command: Command, tmp_path: Path) -> None:
    for words in (["inspect"], ["run", "-b", "microbit"]):
        message = command(words[0], tmp_path / name, *words[1:]).error(2)
        assert reason in message


def test_inspect_shows_what_is_wrong(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    for name in ("unsupported", "dynamic range", "dynamic shape"):
        content, parts = CASES[name]
        path.write_bytes(content)
        found = command("inspect", path, "--json").json
        assert found["supported"] is False
        assert all(part in found["problem"] for part in parts)
        assert "no: " in command("inspect", path).out


@needs_mlperf_tiny
def test_dynamic_range_model_of_the_benchmark(command: Command, tmp_path: Path) -> None:
    path = MLPERF_TINY / "kws_float.tflite"
    message = command("compile", path, "-t", "cortex-m4", "-o", tmp_path / "out").error(2)
    assert "dynamic-range" in message


def test_debug_shows_the_traceback(command: Command, tmp_path: Path) -> None:
    done = command("inspect", tmp_path / "missing.tflite", "--debug")
    assert done.code == 2
    assert "Traceback" in done.err
    assert done.err.splitlines()[-1].startswith("tvmtiny: ")
