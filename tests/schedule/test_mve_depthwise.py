"""Depthwise convolutions for Helium: C twins on the host, assembly on a board."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from tests.ops.test_depthwise_conv_2d import CASES, Depthwise
from tests.ops.three_ways import SideBySide
from tests.schedule.candidates import Candidates
from tests.schedule.test_dsp_depthwise import _RELU, _random_cases
from tests.tools import on_qemu

BOARD = "mps3-an547"

#: Shapes with properties that the kernels distinguish.
SHAPES = {
    "strips": replace(_RELU, size=(48, 48), channels=16),
    "strips_beside": replace(_RELU, size=(5, 130), channels=9),
    "strips_beside_stride_2": replace(_RELU, size=(9, 151), channels=8, stride=(2, 2)),
    "two_vectors": replace(_RELU, size=(9, 11), channels=8, kernel=(5, 5)),
    "weights_in_memory": replace(_RELU, size=(9, 9), channels=8, kernel=(7, 7)),
    "dilated": replace(_RELU, size=(11, 12), channels=8, dilation=(2, 3)),
    "multiplier": replace(_RELU, size=(9, 10), channels=3, multiplier=8),
    "spectrogram": replace(
        _RELU, size=(49, 40), channels=1, multiplier=8, kernel=(10, 8), stride=(2, 2)
    ),
    "odd": replace(_RELU, size=(25, 5), channels=16),
    "odd_inside": replace(_RELU, size=(11, 9), channels=8, padding="VALID"),
    "odd_linear": Depthwise((7, 9), 9, output_scale=0.3),
    "stride_2_odd": replace(_RELU, size=(13, 15), channels=8, stride=(2, 2)),
    "row": replace(_RELU, size=(1, 17), channels=8),
    "column": replace(_RELU, size=(10, 1), channels=8, kernel=(5, 1), padding="VALID"),
    "one_output": replace(_RELU, size=(3, 3), channels=21, padding="VALID"),
    "seven_channels": replace(_RELU, size=(6, 7), channels=7, batch=2),
}
ALL = {
    "shapes": SHAPES,
    "random": _random_cases(30, 5),
    "tables": {name: case for name, case in CASES.items() if case.dtype == "int8"},
}


@cache
def layers(kind: str) -> SideBySide:
    # Planning an arena for these few takes minutes; the others lie in arenas.
    return SideBySide(f"mve_depthwise_{kind}", ALL[kind], 0.0, external=kind == "shapes")


@pytest.mark.parametrize("kind", ["shapes", "random", "tables"])
def test_on_host(kind: str, tmp_path: Path) -> None:
    layers(kind).check_host(BOARD, tmp_path)


@on_qemu
@pytest.mark.parametrize("kind", ALL)
def test_on_board(kind: str) -> None:
    layers(kind).check_board(BOARD)


def test_all_shapes_have_vector_code() -> None:
    for kind in ("shapes", "random"):
        schedules = [layer.schedule for layer in layers(kind).compile(BOARD).layers]
        assert all(schedule.startswith("mve") for schedule in schedules), schedules
    assert any("rounding by sign" in schedule for schedule in schedules)
    ways = {schedule.partition(" a patch")[2].partition(",")[0] for schedule in schedules}
    assert ways == {"", " by halfwords", " by words"}


@on_qemu
def test_all_decisions(monkeypatch: pytest.MonkeyPatch) -> None:
    named: dict[str, Depthwise] = {
        "stride_1": replace(_RELU, size=(11, 17), channels=10),
        "stride_2": replace(_RELU, size=(10, 19), channels=8, stride=(2, 2)),
    }
    candidates = Candidates("mve_windows_candidates", named, BOARD, scalar=False)
    candidates.force(monkeypatch)
    candidates.layers.check_board(BOARD)
