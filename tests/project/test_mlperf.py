"""Firmware for MLPerf Tiny's runner, by a client of ours and by the official one."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
import wave
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import serial
from small_networks import Network
from tflite_builder import ModelBuilder

import tvmtiny
from tests import mlperf_runner
from tests.mlperf_client import Client, laps, results
from tests.preprocessing.features import in_turn
from tests.sounds import sound
from tests.tools import on_qemu
from tvmtiny.errors import InputError
from tvmtiny.oracle import run_litert_outputs
from tvmtiny.preprocessing import Detector
from tvmtiny.project.qemu.interface_board import InterfaceBoard
from tvmtiny.project.qemu.mlperf import (
    MlperfOptions,
    build_mlperf,
    load_mlperf,
    serve_mlperf,
    serve_with_sounds,
)
from tvmtiny.targets import find_board, resolve

_BOARD = "mps2-an386"
#: Folder of a copy of mlcommons/tiny.
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


def _listening() -> tvmtiny.Model:
    """A model that decides every 8 ms over windows of six rows."""
    network = Network(2)
    x = network.input(1, 6, 1, 8, scale=0.005)
    x = network.conv(network.conv(x, 8, (3, 1), padding="VALID"), 8, (4, 1), padding="VALID")
    model = tvmtiny.load(network.build(network.dense(x, 2)), name="listening")
    settings = {"convention": "mlperf", "channels": 8, "window_ms": 16.0}
    front_end = tvmtiny.front_end("log-mel", step="8ms", settings=settings)
    return tvmtiny.with_front_end(model, front_end, detection=tvmtiny.Detection(threshold=0.05))


def _write_wav(path: Path, samples: np.ndarray, rate: int = 16000, channels: int = 2) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, 2, rate, 0, "NONE", "not compressed"))
        # The other channel is not heard.
        frames = np.stack([samples, *[samples[::-1]] * (channels - 1)], axis=-1)
        file.writeframes(frames.astype("<i2").tobytes())


class _Client(Client):
    """A client of an emulated board that ends with it."""

    def __init__(self, directory: Path, line: Path | None = None) -> None:
        self._transport = serve_mlperf(directory, find_board(_BOARD), "socket", line)
        super().__init__(self._transport.url)

    def close(self) -> None:
        super().close()
        self._transport.close()


def _build(
    directory: Path, content: bytes, options: MlperfOptions, more: Sequence[tvmtiny.Artifact] = ()
) -> tvmtiny.Artifact:
    artifact = tvmtiny.compile(tvmtiny.load(content, name="dense"), _BOARD)
    board = resolve(_BOARD).board
    assert board is not None
    build_mlperf([artifact, *more], board, directory, options)
    return artifact


@pytest.fixture(scope="module")
def firmware(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("mlperf")
    more = [tvmtiny.compile(_listening(), _BOARD, stream="time")]
    _build(directory, _dense(), MlperfOptions(("kws01", "sww01"), clock_mhz=1), more)
    return directory


@pytest.fixture(scope="module")
def client(firmware: Path) -> Iterator[_Client]:
    client = _Client(firmware)
    yield client
    client.close()


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
            assert results(client.ask(command)) == wanted
        assert results(client.ask("results")) == wanted
        shown = "".join(client.ask("db print")).replace("m-buffer-", "-").replace("-", "")
        assert bytes.fromhex(shown) == x.tobytes()


@on_qemu
def test_time_is_that_of_the_clock(client: _Client) -> None:
    client.load(bytes(40))
    took = []
    for command in ("infer 10 0", "infer 40 5"):
        lines = client.ask(command)
        begin, end = laps(lines)
        took.append(end - begin)
    assert 3.9 < took[1] / took[0] < 4.1


@on_qemu
def test_time_is_that_of_a_watch(client: _Client) -> None:
    """An emulator that is faster than the clock waits, since the runner times whole commands."""
    client.load(bytes(40))
    began = time.monotonic()
    lines = client.ask("infer 400 100")
    took = time.monotonic() - began
    begin, end = laps(lines)
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
        ("start", "e-[Unknown command: start]"),
        ("model", "e-[Known models: kws01 sww01]"),
        ("model ic01", "e-[Known models: kws01 sww01]"),
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
    _build(tmp_path, _dense(), MlperfOptions(("kws01",), energy=True))
    client = _Client(tmp_path)
    try:
        assert client.greeting == ["m-timestamp-mode-energy", "m-init-done"]
        client.load(bytes(40))
        lines = client.ask("infer 2 0")
    finally:
        client.close()
    assert not [line for line in lines if line.startswith("m-lap")]
    assert len(results(lines)) == 12


@on_qemu
def test_an_error_score_of_floats(tmp_path: Path) -> None:
    artifact = _build(tmp_path, _dense(40), MlperfOptions(("ad01",)))
    real = np.random.default_rng(6).normal(0, 3, (1, 40)).astype(np.float32)
    x = artifact.inputs[0].quantize(real)
    ((output,),) = run_litert_outputs(_dense(40), [[x]])
    difference = artifact.outputs[0].dequantize(output) - real
    client = _Client(tmp_path)
    try:
        client.load(real.astype("<f4").tobytes())
        (score,) = results(client.ask("infer 1 0"))
    finally:
        client.close()
    assert abs(float(score) - float((difference**2).mean())) <= 0.001


@pytest.mark.parametrize(
    ("options", "message"),
    (
        (MlperfOptions(("kws02",)), "no benchmark 'kws02'"),
        (MlperfOptions(("kws01",), clock_mhz=0), "a clock of 0 MHz"),
        (MlperfOptions(("ad01",)), "ad01 needs an output"),
        (MlperfOptions(("sww01",)), "sww01 needs a model that takes samples"),
        (MlperfOptions(("kws01", "ic01")), "2 benchmarks for 1 models"),
    ),
)
def test_options_that_cannot_be(tmp_path: Path, options: MlperfOptions, message: str) -> None:
    with pytest.raises(InputError, match=message):
        _build(tmp_path, _dense(), options)


class _Interface:
    """The runner's side of the interface board."""

    def __init__(self, board: InterfaceBoard) -> None:
        self._port = serial.Serial(board.url, timeout=30)

    def ask(self, command: str) -> list[str]:
        self._port.write(f"{command}%".encode())
        answer = self._port.read_until(b"m-ready\r\n")
        assert answer.endswith(b"m-ready\r\n"), answer
        return answer.decode().splitlines()[:-1]

    def close(self) -> None:
        self._port.close()


@on_qemu
def test_words_in_streamed_sound(firmware: Path, tmp_path: Path) -> None:
    """Scores and detections are those of the numpy reference, and times those of the samples."""
    model = _listening()
    assert model.feed is not None
    samples = np.concatenate([sound("sweep", 6000), sound("noise", 2000), sound("square", 4000)])
    sounds, line = tmp_path / "sounds", tmp_path / "line"
    sounds.mkdir(), line.mkdir()
    _write_wav(sounds / "words.wav", samples)
    blocks = samples[: len(samples) // 128 * 128].reshape(-1, 1, 128)
    outputs = [y.reshape(-1).tolist() for y in in_turn(model, [[block] for block in blocks])]
    detector = Detector(model.feed)
    events = [detector.event(output) is not None for output in outputs]
    assert {*events} == {False, True}
    board = InterfaceBoard(line, sounds, 16000, 128)
    client, interface = _Client(firmware, line), _Interface(board)
    try:
        assert client.ask("model sww01") == ["m-model-[sww01]"]
        assert client.ask("profile")[1] == "m-model-[sww01]"
        assert client.ask("stop") == ["I2S is idle"]
        assert client.ask("infer 1 0") == ["e-[Unknown command: infer]"]
        for _ in range(2):
            assert client.ask("start")[0] == "Listening for I2S data ..."
            assert client.ask("start") == ["e-[Samples are being received]"]
            assert interface.ask("record_detections") == ["Now recording detections"]
            assert interface.ask("play words.wav")[-1] == "succeeded."
            lines = client.ask("stop")
            scores = "".join(lines[lines.index("target activations: ") + 1 :])
            positions = [output[model.feed.classes[0]] for output in outputs]
            assert json.loads(scores) == positions
            words = interface.ask("print_detections")
            # The first decision gives an edge to begin with.
            assert len(words) - 1 == sum([True, *events[1:]])
            duty = interface.ask("print_dutycycle")
            starts, stops = ([int(t) for t in times.split(",")] for times in duty[1::2])
            assert len(starts) == len(stops) == len(blocks)
            assert starts[0] == 800 and all(b > a for a, b in zip(starts, stops, strict=True))
        assert client.ask("model kws01") == ["m-model-[kws01]"]
    finally:
        interface.close()
        client.close()
        board.close()


def test_what_an_interface_board_cannot_play(tmp_path: Path) -> None:
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    _write_wav(sounds / "slow.wav", np.zeros(10, np.int16), rate=8000)
    (sounds / "no.wav").write_bytes(b"RIFF")
    board = InterfaceBoard(tmp_path, sounds, 16000, 128)
    interface = _Interface(board)
    try:
        assert interface.ask("name") == ["tvmtiny interface board"]
        assert interface.ask("setbaud 115200") == ["set baud to: 115200"]
        assert interface.ask("ls") == ["no.wav", "slow.wav"]
        assert "16-bit samples at 16000 Hz" in interface.ask("play slow.wav")[1]
        for name in ("no.wav", "absent.wav", "../line/x.wav", ""):
            assert interface.ask(f"play {name}")[1].startswith("Error playing file.")
        assert interface.ask("bogus \x1b") == ["e-[Unknown command: bogus]"]
    finally:
        interface.close()
        board.close()
    with pytest.raises(InputError, match="is not a folder of WAV files"):
        InterfaceBoard(tmp_path, tmp_path / "absent", 16000, 128)


@on_qemu
def test_serving_a_model_that_is_not_there(firmware: Path, tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="no model for 'ic01': kws01, sww01"),
        serve_with_sounds(firmware, "ic01"),
    ):
        pass
    with (
        pytest.raises(InputError, match="is not a folder of WAV files"),
        serve_with_sounds(firmware, "sww01", tmp_path / "absent"),
    ):
        pass


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


@on_qemu
@pytest.mark.skipif(not _TINY, reason="TVMTINY_MLPERF_TINY names no copy of mlcommons/tiny")
def test_the_official_runner_streams(firmware: Path, tmp_path: Path) -> None:
    missing = [name for name in _NEEDS if find_spec(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    folder = tmp_path / "data" / "sww01"
    folder.mkdir(parents=True)
    _write_wav(folder / "words.wav", sound("sweep", 16000))
    truth = {"wav_file": "words.wav", "sample_rate": 16000, "length_sec": 1.0}
    (folder / "truth.json").write_text(json.dumps([{**truth, "detection_windows": [[0.2, 0.4]]}]))
    script = {"name": "sww", "model": "sww01", "truth_file": "truth.json", "script": ["stream"]}
    (tmp_path / "tests.yaml").write_text(json.dumps({"sww01": script}))
    runner = Path(_TINY, "benchmark", "runner")
    with serve_with_sounds(firmware, "sww01", folder) as served:
        command = [sys.executable, mlperf_runner.__file__, str(runner)]
        command += [f"{served.url},{served.interface_url}", "-d", str(runner / "devices_sww.yaml")]
        command += ["-s", str(tmp_path / "data"), "-t", str(tmp_path / "tests.yaml"), "-m", "p"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (results,) = tmp_path.glob("sessions/*/results.json")
    (found,) = json.loads(results.read_text())
    assert len(found["activations"]) == 125
    assert found["dutycycle"]["period"] >= 0.008
    assert "True positives" in done.stdout
