"""Blocks of zeros on Helium: exact on the host and on a board, choice, speed and size."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
from layer_cases import Layer, Operand, numbers
from zeroed_weights import Zeroed, implemented, run_with_zeros, zero_anywhere, zero_unevenly, zeroed

from tests.ops.test_conv_2d import Conv
from tests.ops.test_fully_connected import Dense
from tests.ops.three_ways import Case, SideBySide
from tests.schedule.candidates import Candidates
from tests.tools import on_qemu
from tvmtiny.schedule import Goal

BOARD = "mps3-an547"

_RELU = Conv(activation="RELU", zero_points=(-128, -128), output_scale=1.0, zeros=0.75)
_POINT = replace(_RELU, size=(5, 5), channels=64, filters=16, kernel=(1, 1))
_LINEAR = replace(_POINT, activation="NONE", zero_points=(-3, 5), output_scale=0.3)
_DEEP = replace(_RELU, size=(6, 5), channels=64, filters=8, zeros=0.0)

#: Layers by the ways to their inputs, to their blocks and to their outputs.
SHAPES: dict[str, Case] = {
    "pixels": _POINT,
    "pixels_by_sign": _LINEAR,
    "pixels_of_four_groups": replace(_LINEAR, size=(3, 3), channels=256),
    "pixels_uneven": Zeroed(replace(_LINEAR, size=(3, 5), channels=96, zeros=0.0), zero_unevenly),
    "rows_far": Zeroed(replace(_DEEP, padding="VALID", size=(7, 6))),
    "strip": replace(_RELU, size=(4, 9), channels=8, filters=10, zeros=0.8),
    "strip_far": Zeroed(_DEEP),
    "strip_uneven": Zeroed(replace(_DEEP, filters=22), zero_unevenly),
    "strip_stride_2": replace(_RELU, size=(9, 9), channels=16, filters=8, stride=(2, 2)),
    "patches": replace(_RELU, size=(7, 6), channels=5, filters=12, zeros=0.85),
    "patches_by_sign": replace(
        _LINEAR, size=(15, 10), channels=1, kernel=(10, 4), stride=(2, 2), padding="SAME"
    ),
    "one_output": replace(_RELU, size=(3, 3), channels=20, filters=8, stride=(3, 3)),
    "one_output_part_of_a_block": Zeroed(
        replace(_DEEP, size=(4, 5), channels=22, filters=30, stride=(3, 3), padding="VALID"),
        zero_unevenly,
    ),
    "batch": replace(_RELU, size=(2, 4), batch=2, channels=16, filters=4),
    "strip_by_sign": replace(_LINEAR, size=(3, 6), channels=16, kernel=(3, 3)),
    "dense": Zeroed(Dense((1, 640), 640, 24, output_scale=2.0)),
    "dense_unrolled": Zeroed(Dense((1, 128), 128, 12, output_scale=2.0)),
    "dense_two": Zeroed(Dense((1, 200), 200, 2, output_scale=0.3)),
    "dense_uneven": Zeroed(Dense((1, 248), 248, 30, output_scale=0.3), zero_unevenly),
    "dense_far": Zeroed(Dense((1, 1400), 1400, 10, output_scale=4.0), zero_unevenly),
    "dense_rows": Zeroed(Dense((3, 160), 160, 10, output_scale=2.0)),
    "dense_many_rows": Zeroed(Dense((7, 96), 96, 8, output_scale=2.0, per_channel=True)),
}


@cache
def layers() -> SideBySide:
    return SideBySide("mve_sparse", SHAPES, 0.0)


_implemented = partial(implemented, target=BOARD)


def test_on_host(tmp_path: Path) -> None:
    layers().check_host(BOARD, tmp_path)


@on_qemu
def test_on_board() -> None:
    layers().check_board(BOARD)


def _of_largest_sums(operator: str, sign: int) -> Layer:
    """A layer whose largest sums and multipliers just fit 32 bits, and whose offsets add to them.

    The inputs give these sums, unlike random ones.
    """
    options = {"padding": "VALID", "stride_h": 1, "stride_w": 1}
    options |= {"dilation_h_factor": 1, "dilation_w_factor": 1}
    if operator == "CONV_2D":
        weights = np.zeros((2, 1, 1, 1056), np.int8)
        weights[..., :268] = 127
        axis, size, shape = 0, (1, 2, 4, 1056), (1, 2, 4, 2)
    else:
        options["depth_multiplier"] = 1
        weights = np.full((1, 17, 16, 8), 127, np.int8)
        axis, size, shape = 3, (1, 18, 17, 8), (1, 2, 2, 8)
    channels = weights.shape[axis]
    most = 255 * int(np.moveaxis(weights, axis, 0)[0].sum(dtype=np.int64))
    scales = (float(np.float32(2.0**-8 * 0.99999)),) * channels
    bias = np.full(channels, sign * (2**23 - 300 - most))
    inputs = (
        Operand(size, scale=1.0, zero_point=-128, limits=(126, 127)),
        Operand(weights.shape, scales=scales, axis=axis, value=weights * np.int8(sign)),
        numbers(bias),
    )
    output = Operand(shape, scale=1.0, zero_point=126 if sign > 0 else -127)
    return Layer(operator, inputs, output, options, 3)


@on_qemu
def test_largest_sums_on_board() -> None:
    cases = {
        f"{operator.lower()}_{name}": _of_largest_sums(operator, sign)
        for operator in ("CONV_2D", "DEPTHWISE_CONV_2D")
        for name, sign in (("highest", 1), ("lowest", -1))
    }
    largest = SideBySide("largest", cases, 0.0)
    largest.check_board(BOARD)
    schedules = [layer.schedule for layer in largest.compile(BOARD).layers]
    assert all("by sign" in schedule for schedule in schedules)
    assert ["mve, sparse, tile 4x2" in schedule for schedule in schedules].count(True) == 2
    assert ["mve, windows" in schedule for schedule in schedules].count(True) == 2


def test_all_shapes_skip_blocks() -> None:
    schedules = [layer.schedule for layer in layers().compile(BOARD).layers]
    assert [s for s in schedules if not s.startswith("mve, sparse")] == []
    words = ("pixels", "rows", "strips", "patches", "1x8", "4x2", "rounding by sign")
    assert all(any(word in schedule for schedule in schedules) for word in words)


@on_qemu
def test_all_decisions(monkeypatch: pytest.MonkeyPatch) -> None:
    named = {name: SHAPES[name] for name in ("rows_far", "strip", "patches", "dense_unrolled")}
    candidates = Candidates("mve_sparse_candidates", named, BOARD, scalar=False)
    candidates.force(monkeypatch)
    candidates.layers.check_board(BOARD)


@pytest.mark.parametrize("goal", list(Goal))
@pytest.mark.parametrize("name", ["pixels", "strip_far", "dense"])
def test_blocks_of_zeros_are_left_out(name: str, goal: Goal) -> None:
    case = SHAPES[name]
    plain = case.case if isinstance(case, Zeroed) else replace(case, zeros=0.0)
    dense, sparse = _implemented(plain.model(), goal), _implemented(case.model(), goal)
    assert "sparse" in str(sparse.decisions["sketch"])
    assert sparse.instructions < 0.6 * dense.instructions
    assert sparse.constants_bytes < 0.5 * dense.constants_bytes


def test_zeros_anywhere_and_few_blocks_change_nothing() -> None:
    model = replace(_POINT, zeros=0.0).model()
    dense, scattered = (_implemented(m) for m in (model, zeroed(model, zero_anywhere)))
    assert scattered.decisions == dense.decisions
    assert scattered.constants_bytes == dense.constants_bytes
    few = _implemented(replace(_POINT, zeros=0.2).model())
    assert few.decisions == dense.decisions


@on_qemu
def test_a_benchmark_model() -> None:
    """Exact, and faster with three of four blocks zero."""
    instructions, compiled = run_with_zeros("ic", BOARD)
    constants = [artifact.constants_bytes for _, artifact in compiled]
    assert 1.8 * instructions[1] < instructions[0]
    assert constants[1] < 0.4 * constants[0]
