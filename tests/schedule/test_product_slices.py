"""Slices of convolutions and dense layers for cores without the DSP extension, and for RISC-V."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from host_main import HostRun
from host_runner import run_each_on_host

import tvmtiny
from tests.ops.test_conv_2d import Conv
from tests.ops.test_fully_connected import Dense
from tests.ops.three_ways import SideBySide
from tests.tools import on_qemu_boards

#: Longest slice in cycles, by board; the longest layers take more than twice as many.
LONGEST = {"mps2-an385": 5000, "microbit": 9000, "riscv-virt": 12000}

#: Each of the kernels: one pixel with whole and overlapping tiles, a step of pixels in place, and
#: chunks of several lengths.
LAYERS = SideBySide(
    "sliced",
    {
        "dense": Dense((1, 128), 128, 21, output_scale=2.0),
        "dense_large": Dense((1, 128), 128, 40, output_scale=4.0),
        "pixels": Conv((2, 2), 64, 21, kernel=(1, 1), weight_range=(-25, 25)),
        "odd_pixels": Conv((1, 3), 64, 30, kernel=(1, 1), weight_range=(-9, 9)),
        "patches": Conv((4, 1), 16, 24, weight_range=(-9, 9)),
    },
    0.0,
)


@cache
def _sliced(board: str) -> tvmtiny.Artifact:
    model = replace(LAYERS.load(), name=f"sliced_{board.replace('-', '_')}")
    return tvmtiny.compile(model, board, longest_slice=LONGEST[board])


@pytest.mark.parametrize("boards", [("mps2-an385", "microbit"), ("riscv-virt",)])
def test_exact_in_steps_on_the_host(boards: Sequence[str], tmp_path: Path) -> None:
    """Kernels of both families have the same names, so they are in different programs."""
    inputs = LAYERS.input_sets
    runs = {board: HostRun(_sliced(board), inputs) for board in boards}
    for run in runs.values():
        assert run.in_steps and run.artifact.stream.slices > len(run.artifact.layers)
    for board, results in run_each_on_host(runs, tmp_path).items():
        for result, data in zip(results, inputs, strict=True):
            expected = LAYERS.load().reference(data)
            for layer, found in zip(runs[board].artifact.layers, result.layers, strict=True):
                np.testing.assert_array_equal(found, expected[layer.tensor], f"{board} {layer}")


@on_qemu_boards(*LONGEST)
def test_no_slice_is_longer_on_board(board: str) -> None:
    artifact = _sliced(board)
    found = tvmtiny.run(artifact, *LAYERS.input_sets[0])
    assert tvmtiny.check(LAYERS.load(), artifact, found, LAYERS.input_sets[0]).exact
    assert found.pauses is not None and max(found.pauses.slices) <= LONGEST[board]
