"""An interrupt at any time leaves no QEMU, no temporary file and no half-written output."""

from __future__ import annotations

import importlib.util
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tflite_builder import ModelBuilder
from tools import ROOT, on_qemu

import tvmtiny
from tvmtiny import models

SIGNAL_TRIAL = ROOT / "scripts" / "signal_trial.py"


def slow_model() -> bytes:
    """A model that keeps QEMU busy for many seconds: a billion multiplications in little memory."""
    b = ModelBuilder()
    x = b.input("x", (1, 64, 64, 64), scale=1.0)
    w = b.constant("w", np.ones((64, 9, 9, 64), np.int8), scale=1 / 5184)
    y = b.tensor("y", (1, 64, 64, 64), scale=1.0)
    options = {"padding": "SAME", "stride_h": 1, "stride_w": 1}
    b.op("CONV_2D", [x, w, None], [y], options, version=3)
    return b.build([y])


def start(program: Path, temporary: Path, *words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [program, *map(str, words)],
        env={**os.environ, "TMPDIR": str(temporary)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def qemu_in(temporary: Path) -> list[int]:
    """The QEMU processes whose program lies in `temporary`."""
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
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_while_qemu_runs(number: signal.Signals, warm_programs: Path, tmp_path: Path) -> None:
    model, temporary = tmp_path / "slow.tflite", tmp_path / "tmp"
    model.write_bytes(slow_model())
    temporary.mkdir()
    program = warm_programs / "tvmtiny"
    process = start(program, temporary, "run", model, "--board", "mps2-an386", "--json")
    try:
        deadline = time.monotonic() + 60
        while not qemu_in(temporary):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        emulators = [os.pidfd_open(found) for found in qemu_in(temporary)]
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert out == ""
    if number == signal.SIGKILL:
        assert process.returncode == -number
        for emulator in emulators:
            # The watchdog process ends QEMU.
            assert select.select([emulator], [], [], 30)[0]
            os.close(emulator)
        return
    assert process.returncode == 128 + number
    word = "interrupted" if number == signal.SIGINT else "terminated"
    assert err.splitlines()[-1] == f"tvmtiny: {word}"
    assert "Traceback" not in err
    assert qemu_in(temporary) == []
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("seconds", [0.0, 0.05, 0.1])
def test_while_files_are_made(seconds: float, warm_programs: Path, tmp_path: Path) -> None:
    output, temporary = tmp_path / "out", tmp_path / "tmp"
    temporary.mkdir()
    program = warm_programs / "tvmtiny"
    process = start(program, temporary, "compile", "sine", "-t", "cortex-m4", "-o", output)
    try:
        assert process.stderr is not None
        # Wait until the first step runs, so that the command line itself is loaded.
        process.stderr.readline()
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    done = process.returncode == 0
    assert done or (process.returncode, err.splitlines()[-1]) == (130, "tvmtiny: interrupted")
    assert "Traceback" not in err
    # The folder is complete or absent. A signal may come after it is written, too.
    assert output.exists() or not done
    if output.exists():
        artifact = tvmtiny.compile(tvmtiny.load(models.path("sine")), "cortex-m4")
        assert {path.name for path in output.iterdir()} == {*artifact.files, "sine.tar"}
    assert {path.name for path in tmp_path.iterdir()} <= {"out", "tmp"}
    assert list(temporary.iterdir()) == []


IMPORTING = """
import signal, sys
from tvmtiny.__main__ import start

class Interrupting:
    def find_spec(self, name, path, target=None):
        if name == wanted:
            signal.raise_signal(signal.SIGINT)

wanted = sys.argv.pop(1)
sys.modules.pop(wanted, None)
sys.meta_path.insert(0, Interrupting())
start()
"""


@pytest.mark.parametrize(
    "module", ["typer", "tvmtiny.cli.config", "tvmtiny.codegen.saving", "tvm.ir", "numpy.linalg"]
)
def test_inside_an_import(module: str, warm_programs: Path, tmp_path: Path) -> None:
    """An interrupt during an import leaves nothing, whatever the import does with the exception."""
    # Imports that follow the import of TVM need no interrupt of their own.
    python = warm_programs / "python" if "saving" in module else sys.executable
    words = ["compile", "sine", "-t", "cortex-m4", "-o", str(tmp_path / "out"), "--json"]
    done = subprocess.run(
        [python, "-c", IMPORTING, module, *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "tvmtiny: interrupted\n")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def signal_trial() -> Any:
    """Load the script of that name."""
    spec = importlib.util.spec_from_file_location("signal_trial", SIGNAL_TRIAL)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["signal_trial"] = module
    spec.loader.exec_module(module)
    return module


def test_signals_at_random_moments(signal_trial: Any, warm_programs: Path, tmp_path: Path) -> None:
    """Interrupt at a few lines outside of TVM's import; the script tries as many as asked."""
    program = [str(warm_programs / "tvmtiny")]
    found = signal_trial.run_trials(tmp_path, ["export"], count=6, seed=1, program=program)
    assert [outcome.faults for _, outcome in found] == [()] * 6
    assert {number for (_, number), _ in found} == {"SIGINT", "SIGTERM", "SIGKILL"}


def test_what_the_trial_calls_left(signal_trial: Any, tmp_path: Path) -> None:
    known = signal_trial.Reference(1.0, frozenset({"out/a.c", "out/b.c"}))

    def faults(*files: str) -> list[str]:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        for name in ("tmp/", *files):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            if not name.endswith("/"):
                (folder / name).touch()
        (folder / "tmp").mkdir(parents=True, exist_ok=True)
        remains: list[str] = signal_trial._remains(folder, "compile", known)
        return remains

    assert faults() == faults("out/a.c", "out/b.c") == []
    for left in ("tmp/x", ".out.1", "out/.a.c.1", "out/a.c"):
        assert faults(left), left
    with subprocess.Popen(
        ["/bin/cat"],
        env={**os.environ, "TMPDIR": str(tmp_path / "tmp")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        # Linux shows an environment only when the program itself runs.
        process.stdin.write(b"running\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"running\n"
        signal_trial._END_SECONDS = 0.0
        left = list(signal_trial._left(tmp_path))
        process.kill()
    assert len(left) == 1
    assert list(signal_trial._left(tmp_path)) == []
