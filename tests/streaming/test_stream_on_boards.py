"""Models that run row by row, on a board: all rows of all layers, by harness and over a link."""

from __future__ import annotations

import pytest
from tools import MLPERF_TINY, needs_mlperf_tiny, on_qemu

import tvmtiny
from tvmtiny import models

BOARD = "mps2-an386"


@on_qemu
def test_rows_over_the_link_and_on_the_harness() -> None:
    model = tvmtiny.load(models.path("digits"))
    artifact = tvmtiny.compile(model, BOARD, stream="rows")
    inputs = tvmtiny.make_inputs("random:2", artifact.inputs)
    result = tvmtiny.run(artifact, *inputs)
    assert tvmtiny.check(model, artifact, result, inputs).exact
    with tvmtiny.Session(artifact, BOARD) as session:
        measured = session.measure(*inputs)
    assert tvmtiny.check(model, artifact, measured, inputs).exact
    assert measured.instructions == result.instructions


@on_qemu
@needs_mlperf_tiny
@pytest.mark.parametrize(
    ("name", "stream", "budget", "instructions"),
    [
        # Budgets are 40, 58 and 46 percent of the arena of whole layers.
        ("vww", "rows", 15_700, 4_818_000),
        ("kws", "rows", 5_300, 3_046_000),
        ("ic", "inside", 15_900, 11_073_000),
        # One row of a window that slides.
        ("sww", "time", 4_400, 65_000),
    ],
)
def test_mlperf_tiny(name: str, stream: str, budget: int, instructions: int) -> None:
    model = tvmtiny.load(MLPERF_TINY / f"{name}_int8.tflite")
    artifact = tvmtiny.compile(model, BOARD, stream=stream, ram_budget=budget)
    inputs = tvmtiny.make_inputs("random:7", artifact.inputs)
    result = tvmtiny.run(artifact, *inputs)
    assert tvmtiny.check(model, artifact, result, inputs).exact
    assert result.arena_bytes <= budget and result.instructions <= instructions
