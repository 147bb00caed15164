"""Depthwise convolutions for Helium: C twins on the host, assembly on a board."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

import tvmtiny
from tests.ops.test_depthwise_conv_2d import CASES, Depthwise
from tests.ops.three_ways import SideBySide, check_host_together
from tests.schedule.candidates import Candidates
from tests.schedule.test_dsp_depthwise import _RELU, _random_cases
from tests.tools import on_qemu
from tvmtiny.compiler import optimized_nodes
from tvmtiny.ops import Oracle
from tvmtiny.ops.shared.primfunc_attributes import OVERLAPS_ATTR
from tvmtiny.schedule import Goal
from tvmtiny.schedule.families.mve.depthwise import implement_depthwise
from tvmtiny.schedule.families.mve.depthwise_plan import decide, plan_of, smaller_depthwise
from tvmtiny.schedule.overlap import parse_overlaps

BOARD = "mps3-an547"

#: Shapes with properties that the kernels distinguish.
SHAPES = {
    "strips": replace(_RELU, size=(48, 48), channels=16),
    "strips_of_multiplier": replace(_RELU, size=(31, 40), channels=10, multiplier=2),
    "wide": replace(_RELU, size=(9, 130), channels=8),
    "strips_beside": replace(_RELU, size=(5, 130), channels=9, kernel=(5, 3)),
    "strips_beside_stride_2": replace(
        _RELU, size=(9, 151), channels=8, kernel=(3, 5), stride=(2, 2)
    ),
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


KINDS = ("shapes", "random", "tables")


@cache
def layers(kind: str) -> SideBySide:
    # Planning an arena for these few takes minutes; the others lie in arenas.
    return SideBySide(f"mve_depthwise_{kind}", ALL[kind], 0.0, external=kind == "shapes")


@pytest.mark.parametrize("kind", KINDS)
def test_on_host(kind: str, tmp_path: Path) -> None:
    check_host_together(layers(kind), [layers(each) for each in KINDS], BOARD, tmp_path)


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


def test_rings_are_small_and_written_over_inputs() -> None:
    node = optimized_nodes(tvmtiny.load(replace(_RELU, size=(25, 5), channels=64).model()))[0]
    decided = decide(node)
    assert decided is not None
    sizes = [1348]
    for decisions in smaller_depthwise(node, decided):
        made = implement_depthwise(node, Oracle.LITERT, Goal.BALANCED, decisions)
        plan = plan_of(node, decisions)
        assert made is not None and plan is not None
        (overlap,) = parse_overlaps(str(made.function.attrs[OVERLAPS_ATTR]))
        # The next rows are read only after the outputs of a row below the previous ones.
        assert (overlap.before, overlap.multiple) == (-5 * 64, 64)
        sizes.append(plan.planes_bytes)
    assert sizes == sorted(sizes, reverse=True) and sizes[-1] == 196


@on_qemu
def test_all_decisions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    named: dict[str, Depthwise] = {
        "column": replace(_RELU, size=(15, 1), channels=9, kernel=(5, 1)),
        "dilated": replace(_RELU, size=(13, 9), channels=8, dilation=(2, 2), batch=2),
        "one_group": replace(_RELU, size=(13, 9), channels=3, multiplier=2),
        "stride_1": replace(_RELU, size=(11, 17), channels=10),
        "stride_2": replace(_RELU, size=(10, 19), channels=8, stride=(2, 2)),
    }
    candidates = Candidates("mve_windows_candidates", named, BOARD, scalar=False)
    candidates.force(monkeypatch)
    candidates.layers.check_host(BOARD, tmp_path)
    candidates.layers.check_board(BOARD)
