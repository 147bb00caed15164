"""Blocks of zeros with vectors of RISC-V: exact on host and boards, choice, speed and size."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
from zeroed_weights import (
    Change,
    Zeroed,
    implemented,
    run_with_zeros,
    zero_anywhere,
    zero_blocks,
    zero_unevenly,
    zeroed,
)

from tests.ops.test_conv_2d import Conv
from tests.ops.test_fully_connected import Dense
from tests.ops.three_ways import Case, SideBySide
from tests.schedule.candidates import Candidates
from tests.tools import on_qemu_boards
from tvmtiny.schedule import Goal
from tvmtiny.schedule.families.rvv.sparse_blocks import blocks_of, offsets_of
from tvmtiny.schedule.families.rvv.sparse_pairs import PairLanes
from tvmtiny.schedule.families.rvv.strips import Patch

BOARD, LONG = "riscv-virt-v", "riscv-virt-v256"

_RELU = Conv(activation="RELU", zero_points=(-128, -128), output_scale=1.0, zeros=0.75)
_POINT = replace(_RELU, size=(5, 8), channels=64, filters=16, kernel=(1, 1))
_LINEAR = replace(_POINT, activation="NONE", zero_points=(-3, 5), output_scale=0.3)
_WINDOW = replace(_LINEAR, size=(6, 7), channels=16, filters=12, kernel=(3, 3))


def _of_blocks(*block: int) -> Change:
    """Change weights to equal blocks, a quarter of which are kept."""

    def change(weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        filters, depth = weights.shape
        return zero_blocks(np.tile(np.array(block), (filters, depth // len(block))), rng)

    return change


#: Layers by their lanes, by the ways to their inputs, and by what is left of pixels, channels,
#: blocks and rows.
SHAPES: dict[str, Case] = {
    "pixels": _POINT,
    "pixels_by_sign": _LINEAR,
    "pixels_clamped": replace(_LINEAR, activation="RELU6", zero_points=(127, -128)),
    "pixels_of_far_zero_points": replace(_LINEAR, zero_points=(127, -120)),
    "pixels_rest": replace(_POINT, size=(3, 23), channels=42, filters=15),
    "pixels_rest_by_sign": replace(_LINEAR, size=(3, 23), channels=43, filters=9),
    "pixels_uneven": Zeroed(replace(_LINEAR, channels=96, zeros=0.0), zero_unevenly),
    "pixels_lowest": replace(_POINT, weight_range=(-128, -127), output_scale=4.0),
    "pixels_all_zero": replace(_POINT, zeros=1.0),
    "large_input": replace(_POINT, size=(32, 33), channels=8, filters=6),
    "few_pixels": replace(_LINEAR, size=(1, 2), channels=80, filters=70),
    "few_pixels_alone": replace(_LINEAR, size=(1, 3), channels=81, filters=41),
    "one_pixel": replace(_LINEAR, size=(1, 1), channels=44, filters=10),
    "one_pixel_of_small_weights": replace(
        _LINEAR, size=(1, 1), channels=200, filters=38, weight_range=(-60, 60)
    ),
    "one_pixel_alone": replace(_POINT, size=(1, 1), filters=37, weight_range=(-60, 60)),
    "strided": replace(_LINEAR, size=(9, 11), channels=24, stride=(2, 2)),
    "valid": replace(_WINDOW, padding="VALID", size=(7, 9)),
    "valid_large": replace(_WINDOW, padding="VALID", size=(34, 35), channels=4, filters=6),
    "valid_row": replace(_WINDOW, padding="VALID", size=(3, 40)),
    "valid_column": replace(_RELU, size=(30, 1), channels=16, filters=9, kernel=(3, 1)),
    "strip": _WINDOW,
    "strip_row": replace(_WINDOW, size=(3, 40), filters=9),
    "strip_of_one_column": replace(_WINDOW, size=(12, 9), stride=(1, 9)),
    "strip_stride_2": replace(_RELU, size=(9, 9), channels=16, filters=7, stride=(2, 2)),
    "strip_uneven": Zeroed(replace(_WINDOW, filters=22, zeros=0.0), zero_unevenly),
    "strip_of_parts": Zeroed(replace(_RELU, size=(8, 8), channels=3, zeros=0.0, filters=24)),
    "strip_clamped": replace(_WINDOW, activation="RELU6", zero_points=(-128, -100)),
    "strip_dilated": replace(_WINDOW, dilation=(2, 1), size=(9, 6)),
    "spectrogram": replace(
        _RELU, size=(15, 10), channels=1, filters=34, kernel=(10, 4), stride=(2, 2)
    ),
    "batch": replace(_WINDOW, size=(2, 4), batch=3),
    "one_output": replace(_WINDOW, size=(3, 3), stride=(3, 3), padding="SAME"),
    "dense": Zeroed(Dense((1, 640), 640, 24, output_scale=2.0)),
    "dense_groups": Zeroed(Dense((1, 64), 64, 75, output_scale=2.0)),
    "dense_by_sign": Zeroed(Dense((1, 64), 64, 70, output_scale=0.3, per_channel=True)),
    "dense_alone": Zeroed(Dense((1, 90), 90, 33, output_scale=0.3)),
    "dense_uneven": Zeroed(Dense((1, 120), 120, 22, output_scale=0.3), zero_unevenly),
    # The largest weights whose products are added up in 16 bits by four, and by two.
    "dense_by_four": Zeroed(Dense((1, 64), 64, 10), _of_blocks(-64, -64, -64, -63)),
    "dense_by_two": Zeroed(Dense((1, 64), 64, 10), _of_blocks(-64, -64, -64, -64)),
    "dense_by_two_largest": Zeroed(Dense((1, 64), 64, 10), _of_blocks(-128, -127, -128, -127)),
    "dense_rows": Zeroed(Dense((3, 160), 160, 10, output_scale=2.0)),
    "dense_many_rows": Zeroed(Dense((37, 96), 96, 8, output_scale=2.0, per_channel=True)),
}


@cache
def layers() -> SideBySide:
    return SideBySide("rvv_sparse", SHAPES, 0.0)


_implemented = partial(implemented, target=BOARD)


def test_on_host(tmp_path: Path) -> None:
    layers().check_host(BOARD, tmp_path)


@on_qemu_boards(BOARD)
def test_on_boards(board: str) -> None:
    for runs_on in (board, LONG):
        layers().check_board(runs_on, code_of=board)


def test_all_shapes_skip_blocks() -> None:
    found = {layer.name.split("/")[0]: layer.schedule for layer in layers().compile(BOARD).layers}
    assert [name for name, s in found.items() if not s.startswith("rvv, sparse")] == []
    words = ("32x2", "1x32", "pixels", "copied", "rows of the input", "strips", "by sign")
    assert all(any(word in schedule for schedule in found.values()) for word in words)


@on_qemu_boards(BOARD)
def test_every_decision_is_exact(board: str, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("pixels_rest_by_sign", "strided", "strip_uneven", "dense_alone", "few_pixels_alone")
    candidates = Candidates(
        "rvv_sparse_candidates", {name: SHAPES[name] for name in names}, board, scalar=False
    )
    candidates.force(monkeypatch)
    for runs_on in (board, LONG):
        candidates.layers.check_board(runs_on, code_of=board)
    values = set(candidates.values())
    assert {("rvv_sparse_pixels", "lanes", lanes) for lanes in (8, 16, 24, 32)} <= values
    for sketch in ("rvv_sparse_pixels", "rvv_sparse_pairs"):
        assert {(sketch, "staged", staged) for staged in (0, 1)} <= values
    for sketch in ("rvv_sparse_direct", "rvv_sparse_strip"):
        assert {(sketch, "rows", rows) for rows in (1, 5)} <= values


@pytest.mark.parametrize("goal", list(Goal))
@pytest.mark.parametrize("name", ["pixels", "strip", "dense"])
def test_blocks_of_zeros_are_left_out(name: str, goal: Goal) -> None:
    case = SHAPES[name]
    plain = case.case if isinstance(case, Zeroed) else replace(case, zeros=0.0)
    dense, sparse = _implemented(plain.model(), goal), _implemented(case.model(), goal)
    assert "sparse" in str(sparse.decisions["sketch"])
    assert sparse.instructions < 0.5 * dense.instructions
    assert sparse.constants_bytes < 0.6 * dense.constants_bytes


def test_zeros_anywhere_and_few_blocks_change_nothing() -> None:
    model = replace(_POINT, zeros=0.0).model()
    dense, scattered = (_implemented(m) for m in (model, zeroed(model, zero_anywhere)))
    assert scattered.decisions == dense.decisions
    assert scattered.constants_bytes == dense.constants_bytes
    few = _implemented(replace(_POINT, zeros=0.05).model())
    assert few.decisions == dense.decisions


@pytest.mark.parametrize("row_bytes", [4, 7, 8, 9])
def test_blocks_hold_each_weight_once(row_bytes: int) -> None:
    """No block ends behind its row, and together they have the products of all weights."""
    rng = np.random.default_rng(row_bytes)
    weights = rng.integers(-127, 128, (3, 2 * row_bytes)).astype(np.int8)
    patch = Patch(2, row_bytes, 20, 1)
    blocks, offsets = blocks_of(weights, patch), offsets_of(patch)
    x = rng.integers(-128, 128, 20 + row_bytes)
    inputs = np.stack([x[at : at + 4] for at in offsets])
    sums = (blocks.astype(np.int64) * inputs).sum(axis=(2, 3)).ravel()
    expected = weights.astype(np.int64) @ np.concatenate([x[:row_bytes], x[20:]])
    assert sums.tolist() == [*expected.tolist(), 0]


@pytest.mark.parametrize("weights", [(127, 127, 1, 0), (-100, 50, -80, 26), (127, -127, 1, 0)])
@pytest.mark.parametrize("excess", [0, 1])
def test_sums_of_16_bits_are_proven(weights: tuple[int, ...], excess: int) -> None:
    """Four products fit as long as the magnitudes of their weights add up to 255."""
    row = np.array(weights)
    row[2] += excess * np.sign(row[2])
    ends = np.where(row > 0, -128, 127)
    largest = max(abs(int((row * ends).sum())), abs(int((row * (-1 - ends)).sum())))
    stored = np.tile(row, (2, 2)).astype(np.int8)
    lanes = PairLanes(stored, Patch(1, 8, 8, 8), shift=7, signed=False)
    assert lanes.products == (4 if largest < 2**15 else 2)
    assert PairLanes(np.full((2, 8), -128, np.int8), Patch(1, 8, 8, 8), 7, False).products == 0


@on_qemu_boards(BOARD)
@pytest.mark.parametrize(("name", "gain"), [("kws", 2.0), ("ic", 4.5), ("ad", 3.5)])
def test_benchmark_models(name: str, gain: float, board: str) -> None:
    """Exact, and faster with three of four blocks zero, in an arena that grows by 6 % at most."""
    instructions, compiled = run_with_zeros(name, board)
    constants = [artifact.constants_bytes for _, artifact in compiled]
    arenas = [artifact.arena_bytes for _, artifact in compiled]
    assert arenas[1] <= 1.06 * arenas[0]
    assert gain * instructions[1] < instructions[0]
    assert constants[1] < 0.55 * constants[0]
