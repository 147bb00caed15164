"""The MLPerf Tiny models through `Session`: every layer equal to LiteRT's reference kernels."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tools import MLPERF_TINY, needs_mlperf_tiny, on_qemu, on_qemu_boards

import tvmtiny
from tvmtiny import models
from tvmtiny.targets import cpus, find_board

pytestmark = needs_mlperf_tiny


def check_session(name: str, board: str) -> None:
    model = tvmtiny.load(MLPERF_TINY / f"{name}_int8.tflite")
    artifact = tvmtiny.compile(model, board)
    inputs = tvmtiny.make_inputs("random:7", artifact.inputs)
    with tvmtiny.Session(artifact, timeout=300) as session:
        result = session.measure(*inputs)
        assert session.statistics()["frames_dropped"] == 0
    checked = tvmtiny.check(model, artifact, result, inputs)
    assert checked.exact, checked
    assert checked.layers_compared == len(artifact.layers)
    assert result.instructions == tvmtiny.run(artifact, *inputs).instructions


@on_qemu
@pytest.mark.parametrize("name", ["kws", "vww", "ic", "ad", "sww"])
def test_on_cortex_m4(name: str) -> None:
    check_session(name, "mps2-an386")


@on_qemu_boards("riscv-virt")
@pytest.mark.parametrize("name", ["vww", "ic", "ad", "sww"])
def test_on_risc_v(name: str, board: str) -> None:
    check_session(name, board)


@on_qemu_boards(
    "mps2-an385", "mps2-an500", "mps2-an505", "mps3-an547", "riscv-virt", "riscv-virt-v"
)
def test_keyword_spotting_on_other_boards(board: str) -> None:
    check_session("kws", board)


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
    """RV32E, which no board that ships has."""
    known = find_board(board)
    options = {**known.options, "qemu_cpu": "rv32,i=false,e=true,h=false,a=false,f=false,d=false"}
    own = replace(known, name="few-registers", cpu=cpus()["rv32emc"], options=options)
    model = tvmtiny.load(models.path("digits"))
    artifact = tvmtiny.compile(model, own)
    inputs = tvmtiny.make_inputs("random:1", artifact.inputs)
    with tvmtiny.Session(artifact) as session:
        result = session.measure(*inputs)
    assert tvmtiny.check(model, artifact, result, inputs).exact
