"""Provoke every class of `tvmtiny.errors`; its message says what, where and what to do."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tflite_builder import ModelBuilder
from tools import ROOT, on_qemu

from tests.cli.test_bad_arguments import big_model
from tests.cli.test_bad_models import (
    dynamic_range_model,
    dynamic_shape_model,
    gather_model,
    unsupported_model,
)
from tvmtiny import checking, errors, quantizing
from tvmtiny.errors import TvmtinyError

Command = Any
Words = list[str | Path]

#: Abstract classes: only their subclasses are raised.
BASES = {"TvmtinyError", "LinkError"}

#: Classes that need Keras, or a link in a state that other tests create.
ELSEWHERE = {
    "BudgetError": "cli/test_designing.py::test_budgets_that_are_not_met",
    "DeviceFaultError": "project/test_board_errors.py::test_errors_of_a_board",
    "LinkClosedError": "rpc/test_link.py::test_a_board_that_goes_away",
    "LinkProtocolError": "rpc/test_link.py::test_another_hello",
    "LinkTimeoutError": "rpc/test_link.py::test_a_silent_board",
    "ModelMismatchError": "rpc/test_session.py::test_firmware_of_another_model",
}

#: Classes that tests further down provoke.
BELOW = {
    "BuildError",
    "CheckError",
    "DeviceError",
    "DeviceTimeoutError",
    "QuantizeError",
    "ToolMissingError",
}


def _model(content: bytes, folder: Path) -> Path:
    path = folder / "model.tflite"
    path.write_bytes(content)
    return path


def _file(folder: Path) -> Path:
    path = folder / "file"
    path.write_text("kept")
    return path


def _run(model: str | Path = "sine", board: str = "microbit") -> Words:
    return ["run", model, "--board", board]


def _board(folder: Path) -> Path:
    path = folder / "lab.toml"
    path.write_text('name = "lab"\ncpu = "cortex-m44"\n')
    return path


#: For each class, the command line and words that its message must contain.
PROVOKED: dict[str, tuple[Callable[[Path], Words], list[str]]] = {
    "InputError": (
        lambda folder: [*_run(), "--optimize", "fast"],
        ["'fast'", "speed, balanced, size"],
    ),
    "ModelFormatError": (
        lambda folder: _run(_model(b"no model", folder)),
        ["model.tflite", "not a TFLite file", "give a .tflite file"],
    ),
    "OracleRefusalError": (
        lambda folder: [*_run(_model(gather_model(), folder)), "--check"],
        ["LiteRT refuses to run model on this input", "out of bounds", "indices in range"],
    ),
    "UnsupportedModelError": (
        lambda folder: _run(_model(unsupported_model(), folder)),
        ["operator 0", "tensor", "docs/operators.md"],
    ),
    "DynamicRangeModelError": (
        lambda folder: _run(_model(dynamic_range_model(), folder)),
        ["FULLY_CONNECTED", "'quantized weights'", "representative_dataset"],
    ),
    "DynamicShapeError": (
        lambda folder: _run(_model(dynamic_shape_model(), folder)),
        ["tensor 'x'", "1x?x8", "fixed input shape"],
    ),
    "UnknownTargetError": (
        lambda folder: _run(board="micro-bit"),
        ["'micro-bit'", "did you mean microbit", "known: "],
    ),
    "BoardFileError": (
        lambda folder: _run(board=str(_board(folder))),
        ["lab.toml", "cpu is 'cortex-m44'", "did you mean 'cortex-m4'", "allowed: cortex-m0,"],
    ),
    "ImageError": (
        lambda folder: ["image", "show", _model(b"no image", folder)],
        ["model.tflite", "not a model image", "make one with tvmtiny image"],
    ),
    "InputDataError": (
        lambda folder: [*_run(), "--input", folder / "missing.npy"],
        ["missing.npy", "No such file", "expected ramp, zeros"],
    ),
    "OutputPathError": (
        lambda folder: ["compile", "sine", "-t", "cortex-m4", "-o", _file(folder)],
        ["cannot write to", "file", "give a path"],
    ),
    "ProfileBoardError": (
        lambda folder: ["profile", "sine", "--board", "zephyr:mps3_an547"],
        ["zephyr:mps3_an547", "cortex-m55", "boards that can be profiled: microbit"],
    ),
    "PortError": (
        lambda folder: _run(board=str(folder / "ttyACM0")),
        ["ttyACM0", "No such file", "tvmtiny devices"],
    ),
    "CapacityError": (
        lambda folder: _run(_model(big_model(40_000, 6_400), folder)),
        ["microbit", "ram needs", "16,384 available", "more memory or a smaller model"],
    ),
    "RamBudgetError": (
        lambda folder: [*_run("digits"), "--ram-budget", "100"],
        ["arena of digits", "budget of 100", "bounds it", "allow more"],
    ),
}


def _classes(base: type[TvmtinyError] = TvmtinyError) -> Iterator[type[TvmtinyError]]:
    yield base
    for below in base.__subclasses__():
        if below.__module__.startswith("tvmtiny.errors"):
            yield from _classes(below)


def _readable(message: str, parts: list[str]) -> None:
    assert all(part in message for part in parts), message
    # The message separates the problem from the remedy.
    assert re.search(r"[;,(] ?\S", message.removeprefix("tvmtiny: ")), message
    assert "None" not in message and "object at 0x" not in message and "Errno" not in message


#: The class that a run on a board provokes.
ON_A_BOARD = "OracleRefusalError"


@pytest.mark.parametrize("name", [name for name in PROVOKED if name != ON_A_BOARD])
def test_from_the_command_line(name: str, command: Command, tmp_path: Path) -> None:
    _assert_provoked(name, command, tmp_path)


@on_qemu
def test_after_a_run_on_a_board(command: Command, tmp_path: Path) -> None:
    _assert_provoked(ON_A_BOARD, command, tmp_path)


def _assert_provoked(name: str, command: Command, folder: Path) -> None:
    words, parts = PROVOKED[name]
    _readable(command(*words(folder)).error(getattr(errors, name).exit_code), parts)


def _tool(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_tool_missing(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    message = command(*_run()).error(errors.ToolMissingError.exit_code)
    _readable(message, ["arm-none-eabi-gcc", "apt-get install gcc-arm-none-eabi"])


def test_build(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _tool(tmp_path, "arm-none-eabi-gcc", "echo 'sine.c:7: error: no such thing'; exit 1")
    monkeypatch.setenv("PATH", str(tmp_path))
    message = command(*_run()).error(errors.BuildError.exit_code)
    _readable(message, ["arm-none-eabi-gcc failed: sine.c:7: error", "log", "report the failure"])
    log = re.search(r"output is in (\S+?);", message)
    assert log is not None
    assert "no such thing" in Path(log[1]).read_text()


@on_qemu
@pytest.mark.parametrize(
    ("name", "script", "parts"),
    [
        (
            "DeviceError",
            "echo out of order; exit 9",
            ["code 9 on microbit", "out of order", "doct"],
        ),
        ("DeviceTimeoutError", "exec sleep 60", ["microbit", "within 0.5 s", "allow more time"]),
    ],
)
def test_emulator(
    name: str,
    script: str,
    parts: list[str],
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _tool(tmp_path, "qemu-system-arm", script)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    message = command(*_run(), "--timeout", "0.5").error(getattr(errors, name).exit_code)
    _readable(message, parts)


@pytest.mark.parametrize(
    ("step", "replacement", "parts"),
    [
        ("_quantize", lambda *_: (unsupported_model(), []), ["the result cannot be compiled"]),
        ("_with_signature", lambda _: b"", ["ai-edge-quantizer failed with"]),
    ],
)
def test_quantize(
    step: str,
    replacement: Callable[..., Any],
    parts: list[str],
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if step == "_quantize":
        monkeypatch.setattr(quantizing, "_check_package", lambda: None)
    elif find_spec("ai_edge_quantizer") is None:
        pytest.skip("ai-edge-quantizer is not installed")
    b = ModelBuilder()
    x, y = b.input("x", (1, 8), "float32"), b.tensor("y", (1, 8), "float32")
    b.op("LOGISTIC", [x], [y])
    np.savez(tmp_path / "data.npz", x=np.zeros((4, 8), np.float32))
    monkeypatch.setattr(quantizing, step, replacement)
    words = ["--data", tmp_path / "data.npz", "-o", tmp_path / "out.tflite"]
    message = command("quantize", _model(b.build([y]), tmp_path), *words).error(
        errors.QuantizeError.exit_code
    )
    _readable(message, ["model.tflite could not be quantized", *parts, "tools of the framework"])
    assert not (tmp_path / "out.tflite").exists()


@on_qemu
def test_check(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    right = checking.oracle_tensors

    def wrong(*arguments: Any) -> Any:
        name, tensors = right(*arguments)
        return name, {index: values ^ 1 for index, values in tensors.items()}

    monkeypatch.setattr(checking, "oracle_tensors", wrong)
    outcome = command(*_run(), "--check")
    assert outcome.code == errors.CheckError.exit_code
    # The figures are printed in spite of the error.
    assert "instructions" in outcome.out
    parts = ["differ from litert", "3 of 3 layers", "first in layer 0", "instead of", "report it"]
    _readable(outcome.err.splitlines()[-1], parts)


def test_no_class_is_left_out() -> None:
    covered = {*BASES, *ELSEWHERE, *PROVOKED, *BELOW}
    assert {cls.__name__ for cls in _classes()} == covered
    for name, place in ELSEWHERE.items():
        file, _, test = place.partition("::")
        text = (ROOT / "tests" / file).read_text()
        body = text.partition(f"def {test}(")[2].partition("\ndef ")[0]
        assert name in body, place
    for path in (ROOT / "tvmtiny").rglob("*.py"):
        assert not re.search(rf"raise ({'|'.join(BASES)})\(", path.read_text()), path
