"""Uncommon convolutions for the DSP extension: C twins on the host, tiles on a board."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from layer_cases import Layer

import tvmtiny
from tests.ops.test_conv_2d import Conv
from tests.ops.test_depthwise_conv_2d import Depthwise
from tests.ops.test_fully_connected import Dense
from tests.ops.test_transpose_conv import _layer as transposed
from tests.ops.three_ways import Case, SideBySide
from tests.schedule.candidates import Candidates
from tests.tools import on_qemu

BOARD = "mps2-an386"

#: A layer that is clamped at its zero point, so its rounding needs no sign.
_RELU = Conv(activation="RELU", zero_points=(-128, -128), output_scale=1.5)
_ONE = Depthwise((49, 40), 1, 8, (10, 8), (2, 2))
_ONE = replace(_ONE, activation="RELU", zero_points=(-128, -128), output_scale=1.0)

#: Layers, and the limit of instructions per multiply-accumulate.
REFERENCE: dict[str, tuple[Case, float]] = {
    "one_channel": (_ONE, 1.07),
    "dilation_2": (replace(_RELU, size=(16, 16), channels=16, filters=16, dilation=(2, 2)), 0.95),
    "groups_of_16": (replace(_RELU, size=(12, 12), channels=64, filters=64, groups=4), 0.94),
    "transposed_4x4_stride_2": (
        transposed((16, 16), (4, 4), (2, 2), 16, 16, activation="RELU", zero_points=(-128, -128)),
        1.01,
    ),
    "groups_of_8": (replace(_RELU, size=(12, 12), channels=64, filters=64, groups=8), 1.29),
}


#: Layers for tiles of four channels, two in a halfword of weights: with and without rounding by
#: sign, with counts of pixels and channels that do not divide, and with patches of several rows.
_FOUR = {
    "pointwise": replace(_RELU, size=(3, 5), channels=24, filters=10, kernel=(1, 1)),
    "pointwise_linear": Conv((4, 3), 41, 8, kernel=(1, 1)),
    "dense_rows": Dense((3, 30), 30, 7, activation="RELU", zero_points=(-128, -128)),
    "square": replace(_RELU, size=(4, 6), channels=8, filters=6, batch=2),
    "square_linear": Conv((5, 4), 12, 4, stride=(1, 2), padding="VALID"),
    "strip": replace(_RELU, size=(9, 12), channels=1, filters=8, kernel=(4, 4), stride=(2, 2)),
    "nines": replace(_RELU, size=(7, 12), channels=3, filters=6, stride=(2, 2)),
    "taps": replace(_RELU, size=(4, 12), channels=4, filters=4),
    "no_pairs": Conv((4, 3), 8, 4, kernel=(1, 1), weight_range=(-128, -127), output_scale=2.0),
}


@cache
def _pairs() -> Candidates:
    return Candidates("channel_pairs", _FOUR, BOARD, False, only={"tile": "2x4", "weights": "p8"})


def test_channel_pairs_on_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _pairs().force(monkeypatch)
    _pairs().layers.check_host(BOARD, tmp_path)
    layers = _pairs().layers.compile(BOARD).layers
    assert len(layers) > 15
    for words in (
        "by sign",
        "strips of patches of neighbours",
        ", patches of neighbours",
        "blocks",
    ):
        assert any(words in layer.schedule for layer in layers), words
    # 256 * -128 - 128 does not fit a halfword.
    assert not any("no_pairs" in layer.name for layer in layers)


@on_qemu
def test_channel_pairs_on_board(monkeypatch: pytest.MonkeyPatch) -> None:
    _pairs().force(monkeypatch)
    _pairs().layers.check_board(BOARD)


def _random_cases(count: int, seed: int) -> dict[str, Case]:
    """Layers with any dilation, groups, stride, padding and size, or one input channel."""
    rng = np.random.default_rng(seed)
    cases: dict[str, Case] = {}
    while len(cases) < count:
        size = int(rng.integers(1, 12)), int(rng.integers(1, 12))
        kernel = int(rng.integers(1, 6)), int(rng.integers(1, 6))
        stride, padding = (int(rng.integers(1, 4)),) * 2, str(rng.choice(["SAME", "VALID"]))
        batch, dilation = (
            int(rng.integers(1, 3)),
            (int(rng.integers(1, 3)), int(rng.integers(1, 4))),
        )
        groups, filters, depth = (*map(int, rng.integers(1, (5, 7))), int(rng.choice([1, 3, 4, 8])))
        case: Conv | Depthwise
        if rng.random() < 0.3:
            case = Depthwise(size, groups, filters + 2, kernel, stride, dilation, padding)
        else:
            case = Conv(size, groups * depth, groups * filters, kernel, stride, dilation, padding)
            case = replace(case, groups=groups)
        case = replace(case, batch=batch, per_channel=bool(rng.random() < 0.8))
        if min(case.output_shape()) > 0:
            cases[f"random_{len(cases)}"] = case
    return cases


def _random_transposed(count: int, seed: int) -> dict[str, Layer]:
    rng = np.random.default_rng(seed)
    cases: dict[str, Layer] = {}
    while len(cases) < count:
        kernel, stride = (
            tuple(map(int, rng.integers(1, 6, 2))),
            tuple(map(int, rng.integers(1, 4, 2))),
        )
        depth, channels = int(rng.choice([1, 3, 4, 8])), int(rng.integers(2, 8))
        size = int(rng.integers(1, 6)), int(rng.integers(2, 7))
        relu = rng.random() < 0.5
        case = transposed(
            size,
            kernel,
            stride,
            depth,
            channels,
            str(rng.choice(["SAME", "VALID"])),
            batch=int(rng.integers(1, 3)),
            per_channel=bool(rng.random() < 0.8),
            activation="RELU" if relu else "NONE",
            zero_points=(-128, -128) if relu else (-3, 5),
            output_scale=float(rng.uniform(0.2, 1.0)),
        )
        if all(k >= s for k, s in zip(kernel, stride, strict=True)):
            cases[f"transposed_{len(cases)}"] = case
    return cases


RANDOM = SideBySide("random_convolution", _random_cases(60, 3) | _random_transposed(25, 4), 0.0)


def test_random_layers_on_host(tmp_path: Path) -> None:
    schedules = [layer.schedule for layer in RANDOM.compile(BOARD).layers]
    for words in ("spread patches", "byte patches", "groups", "phases", "rounding by sign"):
        assert sum(words in schedule for schedule in schedules) >= 5, words
    RANDOM.check_host(BOARD, tmp_path)


@on_qemu
def test_random_layers_on_board() -> None:
    RANDOM.check_board(BOARD)


@on_qemu
@pytest.mark.parametrize("name", REFERENCE)
def test_reference_layer(name: str) -> None:
    """Exact on the board, within the measured instructions."""
    case, limit = REFERENCE[name]
    side = SideBySide(name, {name: case}, 0.0)
    result = side.check_board(BOARD)
    assert result.instructions <= limit * side.compile(BOARD).macs


def test_a_depthwise_layer_keeps_its_name() -> None:
    (layer,) = tvmtiny.compile(tvmtiny.load(_ONE.model(), name="one"), BOARD).layers
    assert layer.operator == "DEPTHWISE_CONV_2D" and layer.schedule.startswith("dsp, tile")


def test_transposed_outputs_lie_over_their_input() -> None:
    """All rows except those that complete the last ones; `test_reference_layer` runs those."""
    case, _ = REFERENCE["transposed_4x4_stride_2"]
    artifact = tvmtiny.compile(tvmtiny.load(case.model(), name="transposed"), BOARD)
    workspace = artifact.layers[0].workspace_bytes
    assert artifact.arena_bytes <= artifact.outputs[0].bytes + workspace + 3 * 16 * 16
