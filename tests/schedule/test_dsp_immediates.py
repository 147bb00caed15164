"""Micro-kernels for the DSP extension whose steps exceed the range of one immediate."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from tests.ops.test_conv_2d import Conv
from tests.ops.three_ways import SideBySide
from tests.tools import on_qemu

BOARD = "mps2-an386"

#: Each layer steps over 65,536 bytes of expanded patches.
CASES = {
    "tile": Conv(
        (16, 17), channels=64, filters=2, kernel=(16, 16), padding="VALID", weight_range=(-4, 4)
    ),
    "single": Conv((16, 16), 128, 4, (16, 16), padding="VALID", weight_range=(-1, 1)),
}


@cache
def layers() -> SideBySide:
    return SideBySide("immediates", CASES, 0.0, external=True)


def test_the_steps_are_long() -> None:
    artifact = layers().compile(BOARD)
    assert all("dsp" in layer.schedule for layer in artifact.layers)
    kernels = artifact.files["immediates_kernels.c"]
    steps = re.findall(r"^TVMTINY_TILE_\w+\(.* (\d+), (?:PLAIN|SIGNED)\)", kernels, re.MULTILINE)
    assert len(steps) == 2
    assert min(map(int, steps)) >= 2**16


def test_on_host(tmp_path: Path) -> None:
    layers().check_host(BOARD, tmp_path)


@on_qemu
def test_on_board() -> None:
    layers().check_board(BOARD)
