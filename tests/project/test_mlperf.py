"""Firmware for MLPerf Tiny's runner, by a client of ours and by the official one."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import serial
from tflite_builder import ModelBuilder

import tvmtiny
from tests import mlperf_runner
from tests.tools import on_qemu
from tvmtiny.errors import InputError
from tvmtiny.oracle import run_litert_outputs
from tvmtiny.project.qemu.mlperf import MlperfOptions, build_mlperf, load_mlperf, serve_mlperf
from tvmtiny.targets import find_board, resolve

_BOARD = "mps2-an386"
#: Where a copy of mlcommons/tiny is.
_TINY = os.environ.get("TVMTINY_MLPERF_TINY", "")
#: Packages that the runner imports.
_NEEDS = ("yaml", "sklearn", "matplotlib")


def _dense(outputs: int = 12) -> bytes:
    rng = np.random.default_rng(4)
    b = ModelBuilder()
    x = b.input("x", (1, 40), "int8", scale=0.1, zero_point=-3)
    w = b.constant("w", rng.integers(-127, 128, (outputs, 40)).astype(np.int8), scale=0.01)
    bias = b.constant("b", np.zeros(outputs, np.int32), scale=0.001)
    y = b.tensor("y", (1, outputs), "int8", scale=0.05, zero_point=5)
    b.op("FULLY_CONNECTED", [x, w, bias], [y], {})
    return b.build([y])


class _Client:
    """The runner's side of the protocol."""

    def __init__(self, directory: Path) -> None:
        self._transport = serve_mlperf(directory, find_board(_BOARD), "socket")
        self._port = serial.serial_for_url(self._transport.url, timeout=60)
        self.greeting = self._answer()

    def ask(self, command: str) -> list[str]:
        self._port.write(f"{command}%".encode())
        return self._answer()

    def load(self, data: bytes) -> list[str]:
        answer = self.ask(f"db load {len(data)}")
        for start in range(0, len(data), 31):
            answer = self.ask(f"db {data[start : start + 31].hex()}")
        return answer

    def close(self) -> None:
        self._port.close()
        self._transport.close()

    def _answer(self) -> list[str]:
        received = b""
        while not received.endswith(b"m-ready\r\n"):
            byte = self._port.read(1)
            assert byte, received
            received += byte
        return received.decode().splitlines()[:-1]


def _build(
    directory: Path, content: bytes, options: MlperfOptions, name: str = "dense"
) -> tvmtiny.Artifact:
    artifact = tvmtiny.compile(tvmtiny.load(content, name=name), _BOARD)
    board = resolve(_BOARD).board
    assert board is not None
    build_mlperf(artifact, board, directory, options)
    return artifact


@pytest.fixture(scope="module")
def firmware(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("mlperf")
    _build(directory, _dense(), MlperfOptions("kws01", clock_mhz=1))
    return directory


@pytest.fixture(scope="module")
def client(firmware: Path) -> Iterator[_Client]:
    client = _Client(firmware)
    yield client
    client.close()


def _results(lines: list[str]) -> list[str]:
    (line,) = [line for line in lines if line.startswith("m-results-[")]
    return line[len("m-results-[") : -1].split(",")


@on_qemu
def test_the_device_says_who_it_is(client: _Client) -> None:
    assert client.greeting == ["m-timestamp-mode-performance", "m-lap-us-0", "m-init-done"]
    assert client.ask("name") == ["m-name-dut-[tvmtiny]"]
    assert client.ask("profile")[1] == "m-model-[kws01]"
    assert client.ask("timestamp")[0].startswith("m-lap-us-")


@on_qemu
def test_inputs_survive_inferences(client: _Client) -> None:
    model = tvmtiny.load(_dense(), name="dense")
    inputs = [np.arange(40, dtype=np.int8).reshape(1, 40) * 6, np.full((1, 40), -128, np.int8)]
    outputs = run_litert_outputs(model.content, [[x] for x in inputs])
    for x, (expected,) in zip(inputs, outputs, strict=True):
        assert client.load(x.tobytes()) == ["m-load-done"]
        real = (expected.reshape(-1).astype(np.float32) - 5) * np.float32(0.05)
        wanted = [f"{value:.3f}" for value in real]
        for command in ("infer 1 0", "infer 3 2", "infer 2"):
            assert _results(client.ask(command)) == wanted
        assert _results(client.ask("results")) == wanted
        shown = "".join(client.ask("db print")).replace("m-buffer-", "-").replace("-", "")
        assert bytes.fromhex(shown) == x.tobytes()


@on_qemu
def test_time_is_that_of_the_clock(client: _Client) -> None:
    client.load(bytes(40))
    laps = []
    for command in ("infer 10 0", "infer 40 5"):
        lines = client.ask(command)
        begin, end = (int(line[9:]) for line in lines if line.startswith("m-lap-us-"))
        laps.append(end - begin)
    assert 3.9 < laps[1] / laps[0] < 4.1


@on_qemu
def test_time_is_that_of_a_watch(client: _Client) -> None:
    """An emulator that is faster than the clock waits, since the runner times whole commands."""
    client.load(bytes(40))
    began = time.monotonic()
    lines = client.ask("infer 400 100")
    took = time.monotonic() - began
    begin, end = (int(line[9:]) for line in lines if line.startswith("m-lap-us-"))
    assert took * 1e6 >= (end - begin) * 1.25


@on_qemu
@pytest.mark.parametrize(
    ("command", "answer"),
    (
        ("bogus", "e-[Unknown command: bogus]"),
        ("", "e-[Unknown command: ]"),
        ("db", "e-[Command 'db' requires a subcommand]"),
        ("db load", "e-[Command 'db load' must be >0 bytes]"),
        ("db load 41", "e-[Supplied buffer size exceeds maximum of 40]"),
        ("db 0", "e-[Insufficent number of hex digits]"),
        ("db 0g", "e-[Invalid hex digit]"),
        ("infer 0", "e-[Inference iterations must be >0]"),
        ("infer 1 -1", "e-[Inference warmup must be >=0]"),
        ("x" * 300, f"e-[Unknown command: ?{'x' * 126}]"),
    ),
)
def test_commands_that_are_wrong(client: _Client, command: str, answer: str) -> None:
    assert client.ask(command) == [answer]


@on_qemu
def test_an_input_that_is_not_whole(client: _Client) -> None:
    client.ask("db load 40")
    client.ask("db 0102")
    assert client.ask("infer 1 0") == ["e-[Input has 2 bytes, expected 40]"]


@on_qemu
def test_energy_sends_no_timestamps(tmp_path: Path) -> None:
    _build(tmp_path, _dense(), MlperfOptions("kws01", energy=True))
    client = _Client(tmp_path)
    try:
        assert client.greeting == ["m-timestamp-mode-energy", "m-init-done"]
        client.load(bytes(40))
        lines = client.ask("infer 2 0")
    finally:
        client.close()
    assert not [line for line in lines if line.startswith("m-lap")]
    assert len(_results(lines)) == 12


@on_qemu
def test_an_error_score_of_floats(tmp_path: Path) -> None:
    artifact = _build(tmp_path, _dense(40), MlperfOptions("ad01"))
    real = np.random.default_rng(6).normal(0, 3, (1, 40)).astype(np.float32)
    x = artifact.inputs[0].quantize(real)
    ((output,),) = run_litert_outputs(_dense(40), [[x]])
    difference = artifact.outputs[0].dequantize(output) - real
    client = _Client(tmp_path)
    try:
        client.load(real.astype("<f4").tobytes())
        (score,) = _results(client.ask("infer 1 0"))
    finally:
        client.close()
    assert abs(float(score) - float((difference**2).mean())) <= 0.001


@pytest.mark.parametrize(
    ("options", "message"),
    (
        (MlperfOptions("kws02"), "no benchmark 'kws02'"),
        (MlperfOptions("kws01", clock_mhz=0), "a clock of 0 MHz"),
        (MlperfOptions("ad01"), "ad01 needs an output"),
    ),
)
def test_options_that_cannot_be(tmp_path: Path, options: MlperfOptions, message: str) -> None:
    with pytest.raises(InputError, match=message):
        _build(tmp_path, _dense(), options)


def test_a_folder_without_firmware(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no firmware for MLPerf Tiny"):
        load_mlperf(tmp_path)


@on_qemu
@pytest.mark.skipif(not _TINY, reason="TVMTINY_MLPERF_TINY names no copy of mlcommons/tiny")
def test_the_official_runner(firmware: Path, tmp_path: Path) -> None:
    missing = [name for name in _NEEDS if find_spec(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    folder = tmp_path / "data" / "kws01"
    folder.mkdir(parents=True)
    inputs = np.random.default_rng(1).integers(-128, 128, (12, 1, 40)).astype(np.int8)
    rows = []
    for number, x in enumerate(inputs):
        (folder / f"{number}.bin").write_bytes(x.tobytes())
        rows.append([f"{number}.bin", 12, number, 40, 40])
    with (folder / "y_labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    runner = Path(_TINY, "benchmark", "runner")
    transport = serve_mlperf(firmware, find_board(_BOARD), "pty")
    try:
        command = [sys.executable, mlperf_runner.__file__, str(runner), transport.url]
        command += ["-d", str(runner / "devices_kws_ic_vww.yaml"), "-s", str(tmp_path / "data")]
        command += ["-t", str(runner / "tests_accuracy.yaml"), "-m", "a"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    finally:
        transport.close()
    assert done.returncode == 0, done.stderr
    (results,) = tmp_path.glob("sessions/*/results.json")
    found = [entry for entry in json.loads(results.read_text()) if "file" in entry]
    outputs = run_litert_outputs(_dense(), [[x] for x in inputs])
    for entry, (expected,) in zip(found, outputs, strict=True):
        real = (expected.reshape(-1).astype(np.float32) - 5) * np.float32(0.05)
        assert entry["infer"]["results"] == [float(f"{value:.3f}") for value in real]
