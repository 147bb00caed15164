"""Patches of neighbouring outputs that are expanded together: C twins on the host, and a board."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import tvmtiny
from tests.ops.test_conv_2d import Conv
from tests.ops.test_depthwise_conv_2d import Depthwise
from tests.ops.three_ways import Case, SideBySide
from tests.schedule.candidates import Candidates
from tests.schedule.test_dsp_half import conv as half
from tests.tools import on_qemu
from tvmtiny.schedule.families.dsp.near import arrange

BOARD = "mps2-an386"

_TAPS = Conv((5, 13), 8, 5, (3, 3))
_NINES = Conv((7, 12), 3, 5, (3, 3))
_STRIP = Conv((13, 11), 1, 5, (4, 4))

#: Some layers for all tiles and formats, others for the default rule only.
EVERY: dict[str, Case] = {
    "taps": _TAPS,
    "nines_stride_2": replace(_NINES, stride=(2, 2)),
    "strip_pairs": replace(_STRIP, kernel=(5, 8), stride=(3, 2)),
}
CASES: dict[str, Case] = {
    "taps_one_row": replace(_TAPS, kernel=(1, 3), padding="VALID"),
    "taps_long": replace(_TAPS, kernel=(5, 3), stride=(2, 1), channels=4),
    "taps_valid": replace(_TAPS, padding="VALID", size=(4, 14), zero_points=(-128, 7)),
    "nines": _NINES,
    "nines_of_another_zero_point": replace(_NINES, zero_points=(17, 5)),
    "nines_valid": replace(_NINES, padding="VALID", stride=(1, 3), size=(5, 14)),
    "strip": _STRIP,
    "strip_of_another_zero_point": replace(_STRIP, zero_points=(17, 5)),
    "strip_filled": replace(_STRIP, kernel=(3, 3), stride=(2, 2), padding="VALID"),
    "strip_stride_3": replace(_STRIP, kernel=(2, 7), stride=(1, 3)),
    "strip_of_groups": Depthwise((12, 9), 1, 6, (10, 8), (2, 2)),
    "half": half((4, 11), 8, 6),
    "half_stride": half((6, 14), 4, 3, (3, 3)),
}


@cache
def candidates() -> Candidates:
    return Candidates("near_candidates", EVERY, BOARD, scalar=False)


@cache
def layers() -> SideBySide:
    return SideBySide("near", CASES, 0.0)


def test_every_decision_on_the_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    candidates().force(monkeypatch)
    candidates().layers.check_host(BOARD, tmp_path)


@on_qemu
def test_every_decision_on_a_board(monkeypatch: pytest.MonkeyPatch) -> None:
    candidates().force(monkeypatch)
    candidates().layers.check_board(BOARD)


def test_on_the_host(tmp_path: Path) -> None:
    for layer in layers().compile(BOARD).layers:
        assert "patches of neighbours" in layer.schedule, layer.name
    layers().check_host(BOARD, tmp_path)


@on_qemu
def test_on_a_board() -> None:
    layers().check_board(BOARD)


def test_arrangements_hold_all_weights() -> None:
    weights = np.arange(2 * 27).reshape(2, 3, 3, 3)
    nines = arrange(weights, "nines")
    assert nines[0, 8:16].tolist() == list(range(9, 17)) and nines[0, 24:].tolist() == [8, 17, 26]
    strip = arrange(weights[:, :, :, :1], "strip")
    assert strip.shape == (2, 12) and not strip[:, 3::4].any()


def test_padded_lines_are_small() -> None:
    """A layer with one channel needs few bytes beside its input and output."""
    artifact = tvmtiny.compile(
        tvmtiny.load(Depthwise((49, 40), 1, 8, (10, 8), (2, 2)).model()), BOARD
    )
    assert artifact.arena_bytes <= 5344
