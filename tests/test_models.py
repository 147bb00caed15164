"""The shipped models on emulated boards: their stated quality, and equality with LiteRT."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tools import on_qemu, on_qemu_boards

import tvmtiny
from tvmtiny import models
from tvmtiny.oracle import run_litert
from tvmtiny.project.registry import platform_for
from tvmtiny.results import Firmware

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TABLE = tomllib.loads((models.path("digits").parent / "models.toml").read_text())

Run = Callable[[np.ndarray], tvmtiny.RunResult]


@pytest.fixture
def on_board(tmp_path: Path) -> Callable[[str, str], tuple[tvmtiny.Model, Firmware, Run]]:
    """Build firmware once, and run it on many inputs."""

    def build(name: str, board_name: str) -> tuple[tvmtiny.Model, Firmware, Run]:
        board = tvmtiny.boards()[board_name]
        platform = platform_for(board)
        model = tvmtiny.load(models.path(name))
        artifact = tvmtiny.compile(model, board_name)
        firmware = platform.build(platform.generate(artifact, board, tmp_path))
        return model, firmware, lambda value: platform.run(firmware, [value], timeout=60)

    return build


@on_qemu
def test_digits_is_as_accurate_as_stated(on_board: Callable[..., tuple]) -> None:
    stated = TABLE["digits"]
    images, labels = models.digits_test()
    assert len(images) == len(labels) == stated["held_out_images"]
    model, _, run = on_board("digits", "mps2-an386")
    output = model.graph.outputs[0].index
    right = 0
    for index, label in enumerate(labels):
        image = images[index : index + 1]
        got = run(image).outputs[0].data
        np.testing.assert_array_equal(got, run_litert(model.content, [image])[output])
        right += int(got.argmax()) == label
    assert round(right / len(labels), 4) == stated["held_out_accuracy"]


@on_qemu_boards("microbit", "sifive-e")
@pytest.mark.parametrize("name", ["temperature", "sine"])
def test_small_models_on_small_boards(
    name: str, board: str, on_board: Callable[..., tuple]
) -> None:
    model, firmware, run = on_board(name, board)
    for level in [*range(-128, 128, 5), 127]:
        inputs = [np.array([[level]], np.int8)]
        result = run(inputs[0])
        assert tvmtiny.check(model, firmware.project.artifact, result, inputs).exact, level
    assert result.cpu == tvmtiny.boards()[board].cpu.name
    assert result.static_ram_bytes + result.stack_bytes < 2048


def levels(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Every input of a model with one int8 input, and the reference's result of each."""
    entry = TABLE[name]
    model = tvmtiny.load(models.path(name))
    inputs = np.arange(-128, 128)
    index = model.graph.outputs[0].index
    outputs = np.array(
        [model.reference([np.array([[x]], np.int8)])[index].item() for x in inputs], float
    )
    given, found = entry["input"], entry["output"]
    return (
        (inputs - given["zero_point"]) * given["scale"],
        (outputs - found["zero_point"]) * found["scale"],
    )


def test_temperature_switches_where_it_says() -> None:
    celsius, probability = levels("temperature")
    assert (np.diff(probability) >= 0).all()
    switch = celsius[probability >= 0.5].min()
    assert abs(switch - TABLE["temperature"]["switches_at_celsius"]) < 0.5


def test_sine_is_as_near_as_stated() -> None:
    angle, value = levels("sine")
    inside = angle <= 2 * np.pi
    largest = np.abs(value[inside] - np.sin(angle[inside])).max()
    assert largest <= TABLE["sine"]["largest_error"] + 1e-4


@pytest.mark.parametrize("name", models.names())
def test_the_table_describes_the_file(name: str) -> None:
    entry, path = TABLE[name], models.path(name)
    assert path.stat().st_size == entry["file_bytes"] < 12_000
    graph = tvmtiny.load(path).graph
    for kind, (tensor,) in (("input", graph.inputs), ("output", graph.outputs)):
        described = entry[kind]
        assert (tensor.name, tensor.dtype) == (described["name"], described["dtype"])
        assert list(tensor.shape) == described["shape"]
        assert (tensor.scale, tensor.zero_point) == (described["scale"], described["zero_point"])


def test_unknown_model() -> None:
    with pytest.raises(ValueError, match="temperature, sine, digits"):
        models.path("digit")


@on_qemu_boards("sifive-e")
def test_digits_fits_16_kilobytes(board: str, on_board: Callable[..., tuple]) -> None:
    model, firmware, run = on_board("digits", board)
    image = models.digits_test()[0][:1]
    assert tvmtiny.check(model, firmware.project.artifact, run(image), [image]).exact
