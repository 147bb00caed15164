"""Inspection of any model: supported layers, refused layers, and boards that are large enough."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from tflite_builder import ModelBuilder
from tools import MLPERF_TINY, needs_mlperf_tiny

import tvmtiny
from tvmtiny import models, oracle
from tvmtiny.errors import TvmtinyError
from tvmtiny.frontend.flatbuffer import unpack_model
from tvmtiny.frontend.writer import packed
from tvmtiny.report.inspection import Inspection, inspect_model
from tvmtiny.report.terminal_tables import inspection_tables


def test_activations_and_boards_of_a_shipped_model() -> None:
    found = inspect_model(models.path("digits"))
    assert found.supported and found.state_bytes == 0
    assert found.largest_activations_bytes == max(n.activations_bytes for n in found.nodes)
    boards = {board.board: board for board in found.boards}
    assert boards["microbit"].ram_available == 16 * 1024
    assert all(board.may_fit for board in found.boards)


def test_no_board_that_is_large_enough_is_refused() -> None:
    for name in ("temperature", "sine", "digits"):
        least = inspect_model(models.path(name)).boards[0]
        artifact = tvmtiny.compile(tvmtiny.load(models.path(name)), "cortex-m4", io="arena")
        assert 0 < least.ram_bytes <= artifact.arena_bytes
        assert 0 < least.flash_bytes <= artifact.constants_bytes


@needs_mlperf_tiny
def test_dead_channels_need_no_memory() -> None:
    found = inspect_model(MLPERF_TINY / "vww_int8.tflite")
    assert found.boards[0].flash_bytes < found.weights_bytes // 2
    assert found.live_macs < found.macs


def _layer(operator: str, constants: list[np.ndarray], **options: object) -> bytes:
    """A layer with `constants` instead of its proper ones."""
    b = ModelBuilder()
    x, y = (b.tensor(n, (1, 4, 4, 2), scale=0.1) for n in ("x", "y"))
    b._inputs.append(x)
    others = [b.constant(f"c{i}", c, scale=0.1) for i, c in enumerate(constants)]
    fields = {"padding": "SAME", "stride_h": 1, "stride_w": 1, "depth_multiplier": 1}
    if operator != "DEPTHWISE_CONV_2D":
        fields.pop("depth_multiplier")
    if operator == "FULLY_CONNECTED":
        fields = {}
    b.op(operator, [x, *others], [y], {**fields, **options})
    return b.build([y])


@pytest.mark.parametrize("operator", ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"])
def test_layers_that_are_no_layers_are_shown(operator: str, tmp_path: Path) -> None:
    models = {
        "missing weights": _layer(operator, []),
        "flat weights": _layer(operator, [np.zeros(6, np.int8)]),
        "no weights": _layer(operator, [np.zeros((2, 3, 3, 0), np.int8)]),
        "activation": _layer(operator, [], fused_activation_function=99),
        "dimensions": _layer(operator, [np.zeros((1,) * 32, np.int8)]),
    }
    outputs = unpack_model(_layer(operator, [np.ones((2, 1, 1, 2), np.int8)]))
    outputs.subgraphs[0].operators[0].outputs = [1, 1]
    models["two outputs"] = packed(outputs)
    # A numpy array cannot have as many dimensions.
    many = unpack_model(models["dimensions"])
    many.subgraphs[0].tensors[2].shape = [1] * 2000
    models["many dimensions"] = packed(many)
    for content in models.values():
        (tmp_path / "m.tflite").write_bytes(content)
        found = inspect_model(tmp_path / "m.tflite")
        assert not found.supported and found.macs == 0
        with pytest.raises(TvmtinyError):
            tvmtiny.load(tmp_path / "m.tflite")
    assert re.search(r"of shape \[1, 1, 1|must have four dimensions", str(found.problem))


def test_a_model_that_is_too_large_for_some_boards(tmp_path: Path) -> None:
    b = ModelBuilder()
    x, y = (b.tensor(n, (1, 100, 100, 3), scale=0.1) for n in ("x", "y"))
    b._inputs.append(x)
    b.op("ADD", [x, x], [y], {})
    (tmp_path / "m.tflite").write_bytes(b.build([y]))
    found = inspect_model(tmp_path / "m.tflite")
    fits = {board.board: board.may_fit for board in found.boards}
    assert found.largest_activations_bytes == 60_000
    assert not fits["microbit"] and fits["mps2-an386"]


def test_operators_on_variables_that_have_no_meaning_are_shown(tmp_path: Path) -> None:
    b = ModelBuilder()
    x, y = b.input("x", (1, 4), scale=0.1), b.tensor("y", (1, 4), scale=0.1)
    b.op("READ_VARIABLE", [b.variable("v")], [y], {})
    b.op("CUMSUM", [x, b.constant("axis", np.array(0, np.int32))], [b.tensor("z", (2, 2))], {})
    (tmp_path / "m.tflite").write_bytes(b.build([y]))
    found = inspect_model(tmp_path / "m.tflite")
    problems = {node.operator: node.problems for node in found.nodes if node.problems}
    assert "nothing has assigned variable v" in problems["READ_VARIABLE"][0]
    assert "CUMSUM" in problems and not found.supported


def test_a_model_that_no_microcontroller_holds(tmp_path: Path) -> None:
    b = ModelBuilder()
    x, y = b.input("x", (1 << 15, 1 << 15), scale=0.1), b.tensor("y", (1, 4), scale=0.1)
    b.op("ADD", [x, x], [y], {})
    (tmp_path / "m.tflite").write_bytes(b.build([y]))
    found = inspect_model(tmp_path / "m.tflite")
    assert found.problem is not None and "microcontroller" in found.problem
    assert not any(board.may_fit for board in found.boards)


def _printed(found: Inspection, width: int) -> list[str]:
    output = io.StringIO()
    for table in inspection_tables(found):
        Console(file=output, width=width).print(table)
    return [line.rstrip() for line in output.getvalue().splitlines()]


def _written(b: ModelBuilder, output: int, path: Path) -> Path:
    path.write_bytes(b.build([output]))
    return path


def test_words_stay_whole_in_80_columns(tmp_path: Path) -> None:
    b = ModelBuilder()
    x = b.input("serving_default_keras_tensor_input:0", (1, 4), scale=0.1)
    for name in ("sequential_1/conv2d_1/Relu;sequential_1/conv2d_1/convolution", "a\nb\x1b[31m"):
        y = b.tensor(name, (1, 4), scale=0.1)
        b.op("UNIQUE", [x], [y], {})
        x = y
    found = inspect_model(_written(b, x, tmp_path / "m.tflite"))
    lines = _printed(found, 80)
    assert all(len(line) <= 80 for line in lines)
    text = "\n".join(lines)
    assert "/conv2d_1/Relu;..." in text and r"a\nb\x1b[31m" in text
    # Stated once, with the boards in one line at the end.
    assert text.count("the operator is not supported") == 1
    assert lines[-1].startswith("boards") and "may be large enough" in lines[-1]


def test_a_model_that_litert_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The installed program, see `tests.warm_program`.
    monkeypatch.setattr(oracle, "_PYTHON", sys.executable)
    accepted = inspect_model(models.path("sine"))
    assert accepted.litert is None and not any("LiteRT" in line for line in _printed(accepted, 80))
    b = ModelBuilder()
    x, y = b.input("x", (1, 2, 2, 1), scale=0.1), b.tensor("y", (1, 2, 2, 1), scale=0.1)
    b.op("RELU", [x], [y], version=99)
    found = inspect_model(_written(b, y, tmp_path / "m.tflite"))
    assert found.supported and found.litert is not None and "RELU" in found.litert
    assert any("refuses the model" in line for line in _printed(found, 120))
