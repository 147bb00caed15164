"""Matrix products for Helium: C twins on the host, assembly on a board."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.ops.test_conv_2d import CASES as CONVOLUTIONS
from tests.ops.test_conv_2d import Conv
from tests.ops.test_fully_connected import CASES as DENSE
from tests.ops.test_fully_connected import Dense
from tests.ops.three_ways import Case, SideBySide, check_host_together
from tests.schedule.candidates import Candidates
from tests.tools import on_qemu
from tvmtiny.schedule.families.mve.tile import channel_blocks

BOARD = "mps3-an547"

_RELU = Conv(activation="RELU", zero_points=(-128, -128), output_scale=1.0)

#: Shapes of the reference models, made smaller, and shapes that their kernels distinguish.
SHAPES: dict[str, Case] = {
    "pointwise_64": replace(_RELU, size=(5, 5), channels=64, filters=64, kernel=(1, 1)),
    "pointwise_rest_4": replace(_RELU, size=(4, 4), channels=27, filters=20, kernel=(1, 1)),
    "pointwise_rest_7": replace(_RELU, size=(3, 3), channels=31, filters=31, kernel=(1, 1)),
    "pointwise_3_inputs": replace(_RELU, size=(3, 3), channels=3, filters=9, kernel=(1, 1)),
    "pointwise_loop": replace(_RELU, size=(2, 3), channels=656, filters=8, kernel=(1, 1)),
    "rows_16": replace(_RELU, size=(6, 6), channels=16, filters=16),
    "rows_64_looped": replace(_RELU, size=(4, 5), channels=64, filters=12, kernel=(4, 3)),
    "rows_valid": replace(_RELU, size=(9, 8), channels=16, filters=8, padding="VALID"),
    "rows_stride_2": replace(_RELU, size=(8, 8), channels=16, filters=8, stride=(2, 2)),
    "pointwise_stride_2": replace(
        _RELU, size=(8, 8), channels=32, filters=8, kernel=(1, 1), stride=(2, 2)
    ),
    "camera": replace(_RELU, size=(13, 12), channels=3, filters=8, stride=(2, 2)),
    "spectrogram": replace(
        _RELU, size=(15, 10), channels=1, filters=16, kernel=(10, 4), stride=(2, 2)
    ),
    "column": replace(_RELU, size=(9, 1), channels=12, filters=8, kernel=(3, 1)),
    "one_output": replace(_RELU, size=(3, 3), channels=20, filters=8, stride=(3, 3)),
    "wide": replace(_RELU, size=(2, 300), channels=40, filters=4, kernel=(2, 2)),
    "linear": Conv(size=(4, 4), channels=24, filters=12, kernel=(1, 1), output_scale=0.3),
    "linear_one_pixel": Conv(size=(1, 1), channels=90, filters=20, kernel=(1, 1), output_scale=0.3),
    "one_filter": replace(_RELU, size=(5, 5), channels=8, filters=1),
    "two_filters": Conv(size=(3, 3), channels=20, filters=2, kernel=(1, 1), output_scale=0.3),
    "two_filters_loop": replace(_RELU, size=(3, 3), channels=656, filters=2, kernel=(1, 1)),
    "three_filters": Conv(size=(5, 5), channels=16, filters=3, output_scale=0.3),
    "dense_1": Dense((1, 700), 700, 1, output_scale=2.0),
    "dense_3": Dense((1, 70), 70, 3, output_scale=0.3),
    "dense_rows_2": Dense((5, 72), 72, 2, output_scale=2.0),
    "dense_640": Dense((1, 640), 640, 24, output_scale=2.0),
    "dense_200": Dense((1, 200), 200, 13, output_scale=2.0),
    "dense_rows": Dense((5, 72), 72, 10, output_scale=2.0),
    "dense_wide_rows": Dense((3, 700), 700, 12, output_scale=2.0),
}
INT8: dict[str, Case] = {
    **{f"conv_{name}": case for name, case in CONVOLUTIONS.items() if case.dtype == "int8"},
    **{f"dense_{name}": case for name, case in DENSE.items() if case.dtype == "int8"},
}


KINDS = ("shapes", "tables")


@cache
def layers(kind: str) -> SideBySide:
    return SideBySide(f"mve_{kind}", {"shapes": SHAPES, "tables": INT8}[kind], 0.0)


@pytest.mark.parametrize("kind", KINDS)
def test_on_host(kind: str, tmp_path: Path) -> None:
    check_host_together(layers(kind), [layers(each) for each in KINDS], BOARD, tmp_path)


@on_qemu
@pytest.mark.parametrize("kind", KINDS)
def test_on_board(kind: str) -> None:
    layers(kind).check_board(BOARD)


def test_all_shapes_have_vector_code() -> None:
    schedules = [layer.schedule for layer in layers("shapes").compile(BOARD).layers]
    assert all(schedule.startswith("mve") for schedule in schedules)
    words = ("pixels", "rows", "strips", "patches", "1x8", "2x4", "rounding by sign")
    assert all(any(word in schedule for schedule in schedules) for word in words)


@pytest.fixture(scope="module")
def candidates() -> Candidates:
    named = {name: SHAPES[name] for name in ("camera", "spectrogram", "rows_16", "dense_640")}
    return Candidates("mve_candidates", named, BOARD, scalar=False)


@on_qemu
def test_all_decisions(candidates: Candidates, monkeypatch: pytest.MonkeyPatch) -> None:
    candidates.force(monkeypatch)
    candidates.layers.check_board(BOARD)


@pytest.mark.parametrize("channels", range(1, 40))
def test_blocks_cover_all_channels(channels: int) -> None:
    blocks = channel_blocks(channels)
    covered = np.concatenate([np.arange(first, first + width) for first, width in blocks])
    assert set(covered) == set(range(channels))
    assert all(width in (min(channels, 4), 8) for _, width in blocks)
