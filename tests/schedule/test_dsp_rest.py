"""Pixels left over by whole tiles, computed by smaller tiles: C twins on the host, and a board."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from tests.ops.test_conv_2d import Conv
from tests.ops.three_ways import Case, SideBySide
from tests.tools import on_qemu
from tvmtiny.schedule.families.dsp import packing, rest
from tvmtiny.schedule.families.dsp.rest import counted_steps

BOARD = "mps2-an386"

_PATCHES = Conv((5, 5), 32, 24, (3, 3))

CASES: dict[str, Case] = {
    "one_pixel": _PATCHES,
    "two_pixels": replace(_PATCHES, padding="VALID", size=(7, 3)),
    "odd_channels": replace(_PATCHES, filters=25),
    "neighbours": replace(_PATCHES, size=(1, 11), filters=64),
    "pixels": replace(_PATCHES, kernel=(1, 1), channels=96, filters=128),
    "dilated": replace(_PATCHES, dilation=(2, 2)),
}


@cache
def layers() -> SideBySide:
    return SideBySide("rest", CASES, 0.0)


@pytest.fixture(autouse=True)
def as_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace layers by others with more rows if a rest is worth its code."""
    monkeypatch.setattr(rest, "whole_height", lambda node: node.output.shape[1] + 1)


def test_on_the_host(tmp_path: Path) -> None:
    for layer in layers().compile(BOARD).layers:
        assert "tile 3x2 and 2x2" in layer.schedule, (layer.name, layer.schedule)
    layers().check_host(BOARD, tmp_path)


@on_qemu
def test_on_a_board() -> None:
    layers().check_board(BOARD)


@pytest.mark.parametrize("pixels", range(1, 20))
def test_every_pixel_is_counted_once(pixels: int) -> None:
    tile = packing.TILES["3x2"]
    whole, behind = counted_steps(pixels, tile)
    if behind:
        assert whole and 3 * whole + 2 * behind == pixels
    else:
        assert whole == -(-pixels // 3)
