"""Blocks of zeros on cores without the DSP extension and on RISC-V: order, choice, speed, size."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from zeroed_weights import Zeroed, implemented, run_with_zeros, zero_anywhere, zero_unevenly, zeroed

import tvmtiny
from tests.ops.test_conv_2d import Conv
from tests.ops.test_fully_connected import Dense
from tests.ops.three_ways import Case, SideBySide
from tests.tools import board_on_qemu
from tvmtiny.schedule import Goal
from tvmtiny.schedule.product_blocks import visits

#: The sketch of each CPU.
SKETCHES = {"cortex-m0": "sparse_pairs", "cortex-m3": "sparse_pairs", "rv32imc": "riscv_sparse"}

_SPARSE = Conv((9, 10), 64, 32, (1, 1), zeros=0.75)

#: Layers of one pixel, on which the families share a kernel.
_DENSE = Zeroed(Dense((1, 128), 128, 16, output_scale=2.0))
PIXELS: dict[str, Case] = {
    "dense": _DENSE,
    "by_sign": Zeroed(Dense((1, 64), 64, 6, output_scale=0.3, per_channel=True)),
    "uneven": Zeroed(Dense((1, 120), 120, 22, output_scale=0.3), zero_unevenly),
    "far": Zeroed(Dense((1, 1600), 1600, 4, output_scale=2.0), zero_unevenly),
    "pointwise": Conv((1, 1), 44, 10, (1, 1), zeros=0.8, activation="RELU6"),
    "lowest": Conv((1, 1), 72, 4, (1, 1), zeros=0.8, weight_range=(-128, -127)),
    "all_zero": Conv((1, 1), 24, 4, (1, 1), zeros=1.0),
}

#: The family that computes them on a board.
FAMILIES = {"mps2-an385": "thumb", "microbit": "thumb", "riscv-virt": "riscv"}


@cache
def _pixels() -> SideBySide:
    return SideBySide("blocks", PIXELS, 0.0)


@pytest.mark.parametrize("cpu", ["cortex-m3", "rv32imc"])
def test_pixels_on_host(cpu: str, tmp_path: Path) -> None:
    _pixels().check_host(cpu, tmp_path)


@pytest.mark.parametrize("board", [board_on_qemu(board) for board in FAMILIES])
def test_pixels_on_a_board(board: str) -> None:
    _pixels().check_board(board)
    schedules = [layer.schedule for layer in _pixels().compile(board).layers]
    wanted = f"{FAMILIES[board]}, blocks of a pixel"
    assert [schedule for schedule in schedules if not schedule.startswith(wanted)] == []
    assert {"", ", rounding by sign"} <= {schedule.removeprefix(wanted) for schedule in schedules}


@pytest.mark.parametrize("cpu", SKETCHES)
def test_blocks_of_one_pixel(cpu: str) -> None:
    dense, sparse = (
        implemented(_DENSE.case.model(), target=cpu),
        implemented(_DENSE.model(), target=cpu),
    )
    assert str(sparse.decisions["sketch"]).endswith("sparse_single")
    assert sparse.instructions < 0.7 * dense.instructions
    assert sparse.constants_bytes < 0.4 * dense.constants_bytes
    scattered = implemented(zeroed(_DENSE.case.model(), zero_anywhere), target=cpu)
    assert scattered.decisions["sketch"] == dense.decisions["sketch"]
    assert scattered.constants_bytes == dense.constants_bytes


@pytest.mark.parametrize("cpu", ["cortex-m0", "cortex-m3"])
def test_costs_of_one_pixel_are_known(cpu: str) -> None:
    (layer,) = tvmtiny.cost(tvmtiny.load(_DENSE.model(), name="sparse"), cpu).layers
    assert not layer.rough


@pytest.mark.parametrize("behind", [0, 1])
@pytest.mark.parametrize(
    "kept",
    [[], [0], [1], [7], [0, 1], [3, 9, 200, 599], [0, 127, 255], [0, 254, 599], [599], [300, 301]],
)
def test_every_block_is_visited_once(kept: list[int], behind: int) -> None:
    mask = np.zeros(600, bool)
    mask[kept] = True
    order, steps = visits(mask, behind)
    assert len(order) == len(steps) >= 2
    assert len(set(order.tolist())) == len(order) and set(kept) <= set(order.tolist())
    assert (steps[:-1] >= 0).all() and steps[:-1].max() < 128 and -129 < steps[-1] < 0
    at = np.cumsum(steps) + behind * np.arange(len(steps))
    assert (at == order).all() and order.max() < 600


@pytest.mark.parametrize("cpu", SKETCHES)
@pytest.mark.parametrize("goal", list(Goal))
def test_blocks_of_zeros_are_left_out(goal: Goal, cpu: str) -> None:
    dense = implemented(replace(_SPARSE, zeros=0.0).model(), goal, target=cpu)
    sparse = implemented(_SPARSE.model(), goal, target=cpu)
    assert sparse.decisions["sketch"] == SKETCHES[cpu] != dense.decisions["sketch"]
    assert sparse.instructions < 0.6 * dense.instructions
    assert sparse.constants_bytes < 0.55 * dense.constants_bytes


@pytest.mark.parametrize("cpu", SKETCHES)
def test_zeros_anywhere_and_few_blocks_change_nothing(cpu: str) -> None:
    model = replace(_SPARSE, zeros=0.0).model()
    dense, scattered = (implemented(m, target=cpu) for m in (model, zeroed(model, zero_anywhere)))
    assert scattered.decisions["sketch"] == dense.decisions["sketch"]
    assert scattered.constants_bytes == dense.constants_bytes
    few = implemented(replace(_SPARSE, zeros=0.05).model(), target=cpu)
    assert few.decisions["sketch"] == dense.decisions["sketch"]


@pytest.mark.parametrize("board", [board_on_qemu("mps2-an385"), board_on_qemu("riscv-virt")])
def test_a_benchmark_model(board: str) -> None:
    """Exact, and faster with three of four blocks zero."""
    instructions, compiled = run_with_zeros("kws", board)
    constants = [artifact.constants_bytes for _, artifact in compiled]
    assert 2 * instructions[1] < instructions[0]
    assert constants[1] < 0.65 * constants[0]
