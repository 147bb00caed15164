"""Small boards and cores through `Session`; other tests run the MLPerf Tiny models through it."""

from __future__ import annotations

from dataclasses import replace

from tools import on_qemu_boards

import tvmtiny
from tvmtiny import models
from tvmtiny.targets import cpus, find_board


@on_qemu_boards("microbit", "sifive-e")
def test_a_small_model_on_small_boards(board: str) -> None:
    model = tvmtiny.load(models.path("sine"))
    artifact = tvmtiny.compile(model, board)
    inputs = tvmtiny.make_inputs("ramp", artifact.inputs)
    with tvmtiny.Session(artifact) as session:
        result = session.measure(*inputs)
    assert tvmtiny.check(model, artifact, result, inputs).exact


@on_qemu_boards("riscv-virt")
def test_a_core_with_sixteen_registers(board: str) -> None:
    """RV32E, which no shipped board has."""
    known = find_board(board)
    options = {**known.options, "qemu_cpu": "rv32,i=false,e=true,h=false,a=false,f=false,d=false"}
    own = replace(known, name="few-registers", cpu=cpus()["rv32emc"], options=options)
    model = tvmtiny.load(models.path("digits"))
    artifact = tvmtiny.compile(model, own)
    inputs = tvmtiny.make_inputs("random:1", artifact.inputs)
    with tvmtiny.Session(artifact) as session:
        result = session.measure(*inputs)
    assert tvmtiny.check(model, artifact, result, inputs).exact
