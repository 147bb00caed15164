"""Estimates against what is counted, and what a function's loops count."""

from __future__ import annotations

from pathlib import Path

import pytest
from random_networks import random_network
from tools import on_qemu
from tvm import tirx

import tvmtiny
from tvmtiny import models
from tvmtiny.errors import InputError
from tvmtiny.estimation.walk import count
from tvmtiny.frontend import Model
from tvmtiny.schedule import nest

BOARDS = ("microbit", "mps2-an385", "mps2-an386", "mps2-an505")


def _network(seed: int, folder: Path) -> Model:
    file = folder / f"network{seed}.tflite"
    file.write_bytes(random_network(seed))
    return tvmtiny.load(file)


@on_qemu
@pytest.mark.parametrize("board", BOARDS)
def test_instructions_are_near_what_qemu_counts(board: str, tmp_path: Path) -> None:
    model = _network(3, tmp_path)
    artifact = tvmtiny.compile(model, board)
    counted = tvmtiny.run(artifact, *tvmtiny.make_inputs("random:1", artifact.inputs))
    found = tvmtiny.cost(model, board)
    assert counted.instructions is not None
    assert abs(found.total.instructions / counted.instructions - 1) < 0.4
    assert [layer.index for layer in found.layers] == [layer.index for layer in artifact.layers]


@pytest.mark.parametrize("cpu", ["cortex-m0", "cortex-m4", "cortex-m7"])
def test_memory_is_exact(cpu: str, tmp_path: Path) -> None:
    for seed, goal in ((5, "balanced"), (8, "speed")):
        model = _network(seed, tmp_path)
        artifact = tvmtiny.compile(model, cpu, optimize=goal)
        total = tvmtiny.cost(model, cpu, optimize=goal).total
        assert total.arena_bytes == artifact.arena_bytes
        assert total.constants_bytes == artifact.constants_bytes
        assert total.macs == artifact.macs


def test_a_core_without_measured_layers_is_refused() -> None:
    with pytest.raises(InputError, match=r"cortex-m4.*tvmtiny profile"):
        tvmtiny.cost(tvmtiny.load(models.path("sine")), "rv32imc")


def test_walk_averages_what_depends_on_loops() -> None:
    out = nest.buffer("out", 64, "int8")

    def row(y: nest.Argument) -> list[tirx.Stmt]:
        inner = nest.loop(4, "x", lambda x: [nest.call("kernel", nest.address(out, x), 24)])
        return [tirx.IfThenElse(y < 8, inner, None)]

    counts = count(tirx.PrimFunc([out], nest.loop(16, "y", row)), {"kernel": "KERNEL"})
    assert counts["turn"] == pytest.approx(16 + 4 * counts["call KERNEL"] / 4)
    # Half of the rows, as far as some points tell.
    assert counts["call KERNEL"] == pytest.approx(32, abs=12)
    assert counts["KERNEL 1"] == 24 * counts["call KERNEL"]
