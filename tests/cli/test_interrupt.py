"""An interrupt at any time: no QEMU is left, no temporary file, no half-written output."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tflite_builder import ModelBuilder
from tools import on_qemu

import tvmtiny
from tvmtiny import models

Command = Any

PROGRAM = Path(sys.executable).with_name("tvmtiny")


def slow_model() -> bytes:
    """A model that takes QEMU many seconds: a billion multiplications in little memory."""
    b = ModelBuilder()
    x = b.input("x", (1, 64, 64, 64), scale=1.0)
    w = b.constant("w", np.ones((64, 9, 9, 64), np.int8), scale=1 / 5184)
    y = b.tensor("y", (1, 64, 64, 64), scale=1.0)
    options = {"padding": "SAME", "stride_h": 1, "stride_w": 1}
    b.op("CONV_2D", [x, w, None], [y], options, version=3)
    return b.build([y])


def start(temporary: Path, *words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [PROGRAM, *map(str, words)],
        env={**os.environ, "TMPDIR": str(temporary)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def qemu_in(temporary: Path) -> list[int]:
    """Processes of QEMU whose program lies in `temporary`."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"qemu-system-arm" in words[0] and any(str(temporary).encode() in w for w in words):
            found.append(int(entry.name))
    return found


@on_qemu
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_while_qemu_runs(number: signal.Signals, tmp_path: Path) -> None:
    model, temporary = tmp_path / "slow.tflite", tmp_path / "tmp"
    model.write_bytes(slow_model())
    temporary.mkdir()
    process = start(temporary, "run", model, "--board", "mps2-an386", "--json")
    try:
        deadline = time.monotonic() + 60
        while not qemu_in(temporary):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 128 + number
    assert out == ""
    assert "Traceback" not in err
    if number == signal.SIGINT:
        assert err.splitlines()[-1] == "tvmtiny: interrupted"
    assert qemu_in(temporary) == []
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("seconds", [0.0, 0.9])
def test_while_files_are_made(seconds: float, tmp_path: Path) -> None:
    output, temporary = tmp_path / "out", tmp_path / "tmp"
    temporary.mkdir()
    process = start(temporary, "compile", "sine", "-t", "cortex-m4", "-o", output)
    try:
        assert process.stderr is not None
        # The first step is under way, so that the command line itself has been loaded.
        process.stderr.readline()
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    # Once the command is done, the interpreter that shuts down dies of the signal itself.
    done = process.returncode in (0, -signal.SIGINT)
    assert done or (process.returncode == 130 and "Traceback" not in err)
    written = {path.name for path in output.iterdir()} if output.exists() else set()
    artifact = tvmtiny.compile(tvmtiny.load(models.path("sine")), "cortex-m4")
    whole = {*artifact.files, "sine.tar"}
    assert written <= whole
    if done or "sine.tar" in written:
        assert written == whole
    assert list(temporary.iterdir()) == []


def test_while_a_file_is_written(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before any of the files gets its name; the archive, which vouches for all, comes last."""
    whole = {*tvmtiny.compile(tvmtiny.load(models.path("sine")), "cortex-m4").files, "sine.tar"}
    replace, names = Path.replace, Counter[str]()

    def interrupted(path: Path, target: Path) -> Path:
        names[target.parent.name] += 1
        if names[target.parent.name] > int(target.parent.name):
            signal.raise_signal(signal.SIGINT)
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", interrupted)
    for position in range(len(whole)):
        output = tmp_path / str(position)
        message = command("compile", "sine", "-t", "cortex-m4", "-o", output).error(130)
        assert message == "tvmtiny: interrupted"
        written = {path.name for path in output.iterdir()}
        assert len(written) == position and written < whole and "sine.tar" not in written
