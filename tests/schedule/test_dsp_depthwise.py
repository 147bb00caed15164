"""Depthwise convolutions for the DSP extension: C twins on the host, assembly on a board."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import tvmtiny
from tests.ops.test_depthwise_conv_2d import Depthwise
from tests.ops.three_ways import SideBySide
from tests.tools import on_qemu
from tvmtiny.frontend.reader import read_graph
from tvmtiny.ops import Node, Oracle
from tvmtiny.schedule.families import dsp
from tvmtiny.schedule.families.dsp.depthwise import implement_depthwise
from tvmtiny.schedule.implementation import Goal, Implementation

BOARD = "mps2-an386"

#: A layer that is clamped at its zero point, so its rounding needs no sign.
_RELU = Depthwise(activation="RELU", zero_points=(-128, -128), output_scale=1.0)

#: The layers of kws, vww and sww, the last also with the channel counts that remain after dead
#: channels are removed; and the limit of instructions per multiply-accumulate.
REFERENCE = {
    "kws_25x5x64": (replace(_RELU, size=(25, 5), channels=64), 1.45),
    "vww_48x48x8": (replace(_RELU, size=(48, 48), channels=8), 1.50),
    "vww_24x24x32": (replace(_RELU, size=(24, 24), channels=32), 1.46),
    "vww_12x12x64": (replace(_RELU, size=(12, 12), channels=64), 1.45),
    "vww_6x6x128": (replace(_RELU, size=(6, 6), channels=128), 1.55),
    "vww_6x6x57": (replace(_RELU, size=(6, 6), channels=57), 1.78),
    "vww_6x6x19": (replace(_RELU, size=(6, 6), channels=19), 2.47),
    "vww_3x3x31": (replace(_RELU, size=(3, 3), channels=31), 2.55),
    "vww_3x3x256": (replace(_RELU, size=(3, 3), channels=256), 2.48),
    "vww_48x48x16_s2": (replace(_RELU, size=(48, 48), channels=16, stride=(2, 2)), 2.43),
    "vww_24x24x32_s2": (replace(_RELU, size=(24, 24), channels=32, stride=(2, 2)), 2.35),
    "vww_12x12x60_s2": (replace(_RELU, size=(12, 12), channels=60, stride=(2, 2)), 2.25),
    "vww_6x6x27_s2": (replace(_RELU, size=(6, 6), channels=27, stride=(2, 2)), 2.90),
    "sww_3x1": (Depthwise((30, 1), 40, kernel=(3, 1), padding="VALID"), 4.40),
    "sww_5x1": (Depthwise((28, 1), 128, kernel=(5, 1), padding="VALID"), 3.00),
    "sww_10x1": (Depthwise((24, 1), 128, kernel=(10, 1), padding="VALID"), 2.20),
    "sww_15x1": (Depthwise((15, 1), 128, kernel=(15, 1), padding="VALID"), 5.0),
}


def _random_cases(count: int, seed: int) -> dict[str, Depthwise]:
    """Layers with any filter, stride, padding, size and channel count."""
    rng = np.random.default_rng(seed)
    cases: dict[str, Depthwise] = {}
    while len(cases) < count:
        square = rng.random() < 0.6
        kernel = (3, 3) if square else (int(rng.integers(1, 8)), int(rng.integers(1, 5)))
        stride = int(rng.integers(1, 3)) if square else int(rng.integers(1, 4))
        case = replace(
            _RELU if rng.random() < 0.6 else Depthwise(),
            size=(int(rng.integers(1, 15)), int(rng.integers(1, 20))),
            channels=int(rng.integers(4, 14)),
            kernel=kernel,
            stride=(stride, stride),
            padding=str(rng.choice(["SAME", "VALID"])),
            batch=int(rng.integers(1, 3)),
            per_channel=bool(rng.random() < 0.8),
            bias=bool(rng.random() < 0.8),
        )
        if min(case.output_shape()) > 0:
            cases[f"random_{len(cases)}"] = case
    return cases


def _columns() -> dict[str, Depthwise]:
    """Single columns of one to eight outputs, for filters of two to five words."""
    cases = {}
    for rows in range(1, 9):
        for case, height in (
            (_RELU, (3, 4, 6, 9)[rows % 4]),
            (Depthwise(), (3, 9, 6, 4)[rows // 3]),
        ):
            size = (max(4, rows + height - 1), 1)
            name = f"column_{rows}_{case.activation.lower()}"
            cases[name] = replace(
                case, size=size, channels=5, kernel=(height, 1), padding="VALID", bias=True
            )
    return cases


RANDOM = SideBySide("random_depthwise", {**_random_cases(70, 5), **_columns()}, 0.0)


def _node(case: Depthwise) -> Node:
    return read_graph(case.model(), "case").nodes[0]


def _implement(case: Depthwise, decisions: Mapping[str, int | str] | None = None) -> Implementation:
    made = implement_depthwise(_node(case), Oracle.LITERT, Goal.BALANCED, decisions)
    assert made is not None
    return made


def test_random_layers_on_host(tmp_path: Path) -> None:
    RANDOM.check_host(BOARD, tmp_path)


@on_qemu
def test_random_layers_on_board() -> None:
    RANDOM.check_board(BOARD)


def test_random_layers_use_both_kernels() -> None:
    schedules = [layer.schedule for layer in RANDOM.compile(BOARD).layers]
    for word in ("3x3", "general", "column", "column, rounding by sign"):
        assert sum(word in schedule for schedule in schedules) >= 5, word
    assert not any("scalar" in schedule for schedule in schedules)


#: The decisions for the same random layers, one after the other.
_CHANGES: tuple[dict[str, int | str], ...] = (
    {"rows": 2},
    {"rows": 4, "channel_block": 8},
    {"rows": 6, "channel_block": 12, "unroll": 2},
    {"sketch": "any", "rows": 4, "channel_block": 8},
    {"code": "shared"},
    {"code": "shared", "rows": 4, "channel_block": 8},
    {"rows": 99, "channel_block": 16, "unroll": 12},
)


def test_decisions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Results are exact for any decisions; impossible decisions fall back."""
    cases = _random_cases(20, 11)
    varied: dict[int, list[bool]] = {}

    def implement(
        node: Node, oracle: Oracle, goal: Goal, decisions: Mapping[str, int | str] | None = None
    ) -> Implementation | None:
        default = implement_depthwise(node, oracle, goal)
        if default is None:
            return None
        position = node.index // len(cases)
        wanted = {**default.decisions, **_CHANGES[position]}
        made = implement_depthwise(node, oracle, goal, wanted)
        varied.setdefault(position, []).append(made is not None)
        return made

    monkeypatch.setitem(dsp._IMPLEMENT, "DEPTHWISE_CONV_2D", implement)
    named = {
        f"{'_'.join(map(str, changes.values()))}_{name}": case
        for changes in _CHANGES
        for name, case in cases.items()
    }
    assert len(named) == len(_CHANGES) * len(cases)
    SideBySide("varied_depthwise", named, 0.0).check_host("cortex-m4", tmp_path)
    assert len(varied) == len(_CHANGES) and all(sum(made) >= 5 for made in varied.values())


@on_qemu
@pytest.mark.parametrize("name", REFERENCE)
def test_reference_layer(name: str) -> None:
    """Exact on the board, within the measured instructions."""
    case, limit = REFERENCE[name]
    side = SideBySide(name, {name: case}, 0.0)
    result = side.check_board(BOARD)
    assert result.instructions <= limit * side.compile(BOARD).macs


@pytest.mark.parametrize("name", REFERENCE)
def test_workspace_is_small(name: str) -> None:
    """The workspace is not larger than two windows of input rows."""
    case, _ = REFERENCE[name]
    plan = tvmtiny.compile(tvmtiny.load(case.model(), name=name), BOARD)
    rows = 2 * (case.kernel[0] + 1) * case.size[1] * case.channels
    assert plan.layers[0].workspace_bytes <= rows


@pytest.mark.parametrize(
    "case",
    [
        Depthwise(multiplier=2),
        Depthwise(dilation=(2, 1)),
        Depthwise(channels=3),
    ],
    ids=["multiplier", "dilation", "channels"],
)
def test_falls_back(case: Depthwise) -> None:
    assert implement_depthwise(_node(case), Oracle.LITERT, Goal.BALANCED) is None


def test_strips_that_split_pairs_are_refused() -> None:
    case = replace(_RELU, size=(12, 12))
    refused = implement_depthwise(
        _node(case), Oracle.LITERT, Goal.BALANCED, {**_implement(case).decisions, "rows": 3}
    )
    assert refused is None


@pytest.mark.parametrize("goal", Goal)
def test_goals_only_change_the_code(goal: Goal) -> None:
    case = replace(_RELU, size=(24, 24))
    implement = partial(implement_depthwise, _node(case), Oracle.LITERT)
    coded = {"unroll": 0, "code": ""}
    made, default = implement(goal), implement(Goal.BALANCED)
    assert made is not None and default is not None
    assert {**made.decisions, **coded} == {**default.decisions, **coded}
    weights, bytes_ = np.asarray(made.arguments[1]), np.asarray(default.arguments[1])
    if goal is Goal.SPEED:
        # Words of the same weights that need no unpacking.
        assert weights.size == 2 * bytes_.size
    else:
        np.testing.assert_array_equal(weights, bytes_)
