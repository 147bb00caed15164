"""Models that run row by row, on a board: all rows of all layers, by harness and over a link."""

from __future__ import annotations

import pytest
from small_networks import Network
from tools import MLPERF_TINY, needs_mlperf_tiny, on_qemu

import tvmtiny
from tvmtiny import models
from tvmtiny.streaming.plan import Choice, Planner

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


def _growing() -> bytes:
    """Layers that pad, compute more rows than they read, or leave out rows outside of the input."""
    network = Network(8)
    x = network.conv(network.input(1, 6, 5, 3), 4, (3, 3))
    x = network.pad(x, (0, 0), (1, 2), (0, 1), (0, 0))
    x = network.resize(x, 12, 9, "RESIZE_BILINEAR", half_pixel_centers=True)
    x = network.transpose_conv(x, 4, (3, 3), 2, "SAME")
    x = network.pool(x, "AVERAGE_POOL_2D", padding="SAME", stride=2)
    x = network.resize(x, 24, 18, "RESIZE_NEAREST_NEIGHBOR")
    x = network.pool(x, "MAX_POOL_2D", padding="SAME", stride=2)
    return network.build(network.dense(network.mean(x, 1, 2), 3))


@on_qemu
@pytest.mark.parametrize("board", ["microbit", BOARD, "riscv-virt", "riscv-virt-v"])
def test_growing_layers_on_every_kind_of_cpu(board: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def choose(planner: Planner, *_: object) -> Choice:
        end = len(planner.plain) - 1
        segment = planner.streamed(0, end, (2,) * end)
        assert segment is not None
        return Choice((segment,), 0, 0)

    monkeypatch.setattr(Planner, "choose", choose)
    model = tvmtiny.load(_growing(), name="growing")
    artifact = tvmtiny.compile(model, board, stream="rows")
    inputs = tvmtiny.make_inputs("random:3", artifact.inputs)
    result = tvmtiny.run(artifact, *inputs)
    assert tvmtiny.check(model, artifact, result, inputs).exact


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
