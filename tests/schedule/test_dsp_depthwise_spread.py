"""Depthwise layers with dilation or several filters per channel, and the general kernel's speed."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.ops.test_depthwise_conv_2d import Depthwise
from tests.ops.three_ways import SideBySide, check_host_together
from tests.tools import on_qemu
from tvmtiny.frontend.reader import read_graph
from tvmtiny.schedule.depthwise_scaling import scale_channels
from tvmtiny.schedule.requantize import SHIFTS

BOARD = "mps2-an386"

_LINEAR = Depthwise((12, 12), 32)

#: Layers, and the limit of instructions per multiply-accumulate.
REFERENCE = {
    "linear_3x3": (replace(_LINEAR, size=(25, 5), channels=64), 2.95),
    "linear_5x5": (replace(_LINEAR, kernel=(5, 5)), 1.75),
    "linear_5x5_stride_2": (replace(_LINEAR, kernel=(5, 5), stride=(2, 2)), 2.7),
    "dilation_2": (replace(_LINEAR, dilation=(2, 2)), 2.65),
    "two_filters": (replace(_LINEAR, channels=16, multiplier=2), 2.45),
}


def _random_cases(count: int, seed: int) -> dict[str, Depthwise]:
    """Layers with dilation, or two filters per channel, or both."""
    rng = np.random.default_rng(seed)
    cases: dict[str, Depthwise] = {}
    while len(cases) < count:
        relu = rng.random() < 0.5
        case = Depthwise(
            size=(int(rng.integers(3, 14)), int(rng.integers(2, 12))),
            channels=int(rng.integers(4, 11)),
            multiplier=int(rng.integers(1, 3)),
            kernel=(int(rng.integers(1, 7)), int(rng.integers(1, 5))),
            dilation=(int(rng.integers(1, 4)), int(rng.integers(1, 4))),
            stride=(1, int(rng.integers(1, 3))),
            padding=str(rng.choice(["SAME", "VALID"])),
            batch=int(rng.integers(1, 3)),
            activation="RELU" if relu else "NONE",
            zero_points=(-128, -128) if relu else (-3, 5),
            output_scale=1.0 if relu else 0.09,
        )
        if case.multiplier > 1 and rng.random() < 0.5:
            case = replace(case, dilation=(1, 1), stride=(2, 2))
        spread = case.multiplier > 1 or case.dilation != (1, 1)
        if spread and min(case.output_shape()) > 0:
            cases[f"random_{len(cases)}"] = case
    return cases


#: Filters over all rows of an input of three, which functions of their own pack.
_ONE_ROW = {
    "one_row": Depthwise((3, 2), 9, 2, (3, 2), padding="VALID"),
    "one_row_dilated": Depthwise((3, 5), 4, 1, (3, 2), dilation=(1, 3), padding="VALID"),
    "one_row_stride_2": Depthwise((3, 4), 6, 2, (3, 1), (2, 2), padding="VALID"),
}


@cache
def layers() -> SideBySide:
    return SideBySide("spread_depthwise", {**_random_cases(24, 6), **_ONE_ROW}, 0.0)


@cache
def _alone() -> dict[str, SideBySide]:
    return {name: SideBySide(name, {name: layer}, 0.0) for name, layer in _ONE_ROW.items()}


def _check_host(chosen: SideBySide, folder: Path) -> None:
    check_host_together(chosen, [layers(), *_alone().values()], BOARD, folder)


@pytest.mark.parametrize("name", _ONE_ROW)
def test_layer_of_one_row_alone_on_the_host(name: str, tmp_path: Path) -> None:
    """No other layer includes the headers that it needs, which GCC sees: it reads each file."""
    layer = _alone()[name]
    files = layer.compile(BOARD).files
    assert any("TVMTINY_DEPTHWISE_PACK_THREE(" in str(text) for text in files.values())
    _check_host(layer, tmp_path)


def test_on_the_host(tmp_path: Path) -> None:
    schedules = [layer.schedule for layer in layers().compile(BOARD).layers]
    assert all("dsp, general, dilation" in schedule for schedule in schedules)
    assert len({schedule.partition("strips")[0] for schedule in schedules}) >= 10
    _check_host(layers(), tmp_path)


@on_qemu
def test_on_a_board() -> None:
    layers().check_board(BOARD)


@on_qemu
@pytest.mark.parametrize("name", REFERENCE)
def test_reference_layer(name: str) -> None:
    """Exact on the board, within the measured instructions."""
    case, limit = REFERENCE[name]
    side = SideBySide(name, {name: case}, 0.0)
    result = side.check_board(BOARD)
    assert result.instructions <= limit * side.compile(BOARD).macs


def test_narrow_weights_are_rounded_alike() -> None:
    """Weights of 4 bits get a larger factor if only that makes two instructions exact."""
    rng, better = np.random.default_rng(3), 0
    while not better:
        case = replace(_LINEAR, channels=8, activation="RELU", zero_points=(-128, -128))
        case = replace(case, output_scale=float(rng.uniform(0.02, 0.2)), weight_scale=0.45)
        node = read_graph(case.model(), "narrow").nodes[0]
        weights = rng.integers(-7, 8, (1, 3, 3, 8)).astype(np.int8)
        inputs = (node.inputs[0], replace(node.inputs[1], data=weights), *node.inputs[2:])
        node = replace(node, inputs=inputs)
        found = [scale_channels(node, SHIFTS, narrow) for narrow in (False, True)]
        signed = [scaled is None or scaled[0].signed for scaled in found]
        assert signed != [False, True]
        better += signed == [True, False]
    assert found[1] is not None and found[1][1].max() > 256
