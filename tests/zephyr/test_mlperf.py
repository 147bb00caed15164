"""The mode mlperf on Zephyr's boards in QEMU: the runner's protocol, by a client of ours."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tools import on_zephyr
from zephyr_applications import ARM_BOARDS, RISCV_BOARD

import tvmtiny
from tests.mlperf_client import Client, laps, results
from tvmtiny import models
from tvmtiny.creating import create_zephyr_application
from tvmtiny.errors import BuildError
from tvmtiny.oracle import run_litert_outputs
from tvmtiny.project.zephyr.application import Application, ApplicationOptions
from tvmtiny.project.zephyr.board import find_zephyr_board
from tvmtiny.project.zephyr.build import build_application
from tvmtiny.project.zephyr.mlperf import serve_application
from tvmtiny.project.zephyr.source_tree import find_tree

_BENCHMARKS = {"digits": "kws01", "sine": "ad01"}


def _create(board: str, directory: Path, mode: str = "mlperf") -> Application:
    loaded = [tvmtiny.load(models.path(name)) for name in _BENCHMARKS]
    options = ApplicationOptions(mode, stack_bytes=2048, benchmarks=tuple(_BENCHMARKS.values()))
    return create_zephyr_application(loaded, find_zephyr_board(board), directory, options)


@contextlib.contextmanager
def _client(directory: Path) -> Iterator[Client]:
    with serve_application(directory, kind="socket") as served:
        client = Client(served.url)
        try:
            yield client
        finally:
            client.close()


@on_zephyr
@pytest.mark.parametrize("board", [ARM_BOARDS[0], ARM_BOARDS[2], RISCV_BOARD])
def test_results_and_times(board: str, tmp_path: Path) -> None:
    application = _create(board, tmp_path / "a")
    build_application(application, find_tree())
    digits, sine = (
        tvmtiny.compile(tvmtiny.load(models.path(name)), application.board.target)
        for name in _BENCHMARKS
    )
    inputs = np.random.default_rng(8).integers(-128, 128, (3, *digits.inputs[0].shape))
    given = [x.astype(np.int8) for x in inputs]
    outputs = run_litert_outputs(models.path("digits").read_bytes(), [[x] for x in given])
    with _client(application.directory) as client:
        assert client.greeting[0] == "m-timestamp-mode-performance"
        assert client.greeting[-1] == "m-init-done"
        assert client.ask("name") == ["m-name-dut-[tvmtiny]"]
        assert client.ask("profile")[1] == "m-model-[kws01]"
        assert client.ask("bogus") == ["e-[Unknown command: bogus]"]
        assert client.ask("x" * 300) == [f"e-[Unknown command: ?{'x' * 126}]"]
        for x, (expected,) in zip(given, outputs, strict=True):
            assert client.load(x.tobytes()) == ["m-load-done"]
            wanted = [f"{value:.3f}" for value in digits.outputs[0].dequantize(expected).flat]
            # The input survives inferences.
            for command in ("infer 1 0", "infer 3 2", "results"):
                assert results(client.ask(command)) == wanted
        few, many = (laps(client.ask(f"infer {count} 0")) for count in (100, 400))
        assert few[0] < few[1] < many[0] < many[1]
        assert (many[1] - many[0]) / (few[1] - few[0]) == pytest.approx(4, rel=0.05)

        real = np.full(sine.inputs[0].shape, 1.25, np.float32)
        ((output,),) = run_litert_outputs(
            models.path("sine").read_bytes(), [[sine.inputs[0].quantize(real)]]
        )
        assert client.ask("model ad01") == ["m-model-[ad01]"]
        assert client.load(real.astype("<f4").tobytes()) == ["m-load-done"]
        (score,) = results(client.ask("infer 1 0"))
    difference = sine.outputs[0].dequantize(output) - real
    assert abs(float(score) - float((difference**2).mean())) <= 0.001


@on_zephyr
@pytest.mark.parametrize("board", [ARM_BOARDS[0]])
def test_energy_needs_a_pin(board: str, tmp_path: Path) -> None:
    application = _create(board, tmp_path / "a", "mlperf-energy")
    with pytest.raises(BuildError, match="a property mlperf-gpios"):
        build_application(application, find_tree())
    overlay = tmp_path / "pin.overlay"
    overlay.write_text("/ { zephyr,user { mlperf-gpios = <&gpio0 3 0>; }; };\n")
    build_application(application, find_tree(), None, {"DTC_OVERLAY_FILE": str(overlay)})
    with _client(application.directory) as client:
        assert client.greeting == ["m-timestamp-mode-energy", "m-init-done"]
        client.load(bytes(64))
        lines = client.ask("infer 2 0")
    assert laps(lines) == []
    assert len(results(lines)) == 10
