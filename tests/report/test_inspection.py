"""Looking at any model: what runs, what does not, and which boards are large enough."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tflite_builder import ModelBuilder
from tools import MLPERF_TINY, needs_mlperf_tiny

import tvmtiny
from tvmtiny import models
from tvmtiny.report.inspection import inspect_model


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
