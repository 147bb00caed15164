"""The mode rpc on Zephyr's boards in QEMU: exact layer by layer, on clean and on damaged lines."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from fault_proxy import FaultProxy, Rates
from tools import needs_mlperf_tiny, on_zephyr
from zephyr_applications import ARM_BOARDS, RISCV_BOARD, Built, mlperf_model

import tvmtiny
from tvmtiny import models
from tvmtiny.errors import DeviceFaultError, LinkTimeoutError
from tvmtiny.oracle import oracle_tensors
from tvmtiny.project.api import Transport
from tvmtiny.project.qemu.transport import start_qemu
from tvmtiny.project.qemu_machine import machine_of
from tvmtiny.project.registry import platform_for
from tvmtiny.project.zephyr.build import ApplicationBuild
from tvmtiny.targets import find_board


@contextmanager
def started(build: ApplicationBuild) -> Iterator[Transport]:
    """The application in QEMU."""
    board = build.application.board
    assert board.machine is not None
    machine = machine_of(board.cpu, board.machine)
    transport = start_qemu(build.elf, machine, build.application.models[0].name, board.name)
    try:
        yield transport
    finally:
        transport.close()


def expected(model: tvmtiny.Model, inputs: list[np.ndarray]) -> list[np.ndarray]:
    _, tensors = oracle_tensors(model, inputs)
    return [tensors[output.index] for output in model.graph.outputs]


@on_zephyr
@needs_mlperf_tiny
@pytest.mark.parametrize("name", ["kws", "ad"])
@pytest.mark.parametrize("board", [*ARM_BOARDS, RISCV_BOARD])
def test_exact(board: str, name: str, built: Built) -> None:
    build = built(board, "rpc", name)
    model = mlperf_model(name)
    artifact = tvmtiny.compile(model, build.application.board.target)
    inputs = tvmtiny.make_inputs("random:3", artifact.inputs)
    with started(build) as transport, tvmtiny.Session(artifact, transport.url) as session:
        assert session.info["board"] == board
        result = session.measure(*inputs)
        assert session.statistics()["frames_dropped"] == 0
    checked = tvmtiny.check(model, artifact, result, inputs)
    assert checked.exact, checked
    assert checked.layers_compared == len(artifact.layers)
    # The same CPU without Zephyr; QEMU's an521 has no twin there, but executes like an385.
    twins = {"zephyr:mps3_an547": "mps3-an547", "zephyr:qemu_riscv32": "riscv-virt"}
    twin = twins.get(board, "mps2-an385")
    bare = tvmtiny.run(artifact, *inputs, board=twin).instructions
    print(f"{name} on {board}: {result.instructions} instructions, {bare} on {twin}")
    assert result.instructions == pytest.approx(bare, rel=0.02)


@on_zephyr
@needs_mlperf_tiny
def test_a_hundred_inferences_on_a_damaged_line(built: Built) -> None:
    build = built("zephyr:mps2_an385", "rpc", "ad")
    model = mlperf_model("ad")
    artifact = tvmtiny.compile(model, build.application.board.target)
    cases = [tvmtiny.make_inputs(f"random:{seed}", artifact.inputs) for seed in range(4)]
    wanted = [expected(model, inputs) for inputs in cases]
    rates = Rates(flip=1e-4, drop=1e-4, duplicate=1e-4, split=1e-4, truncate=1e-4)
    with started(build) as transport:
        proxy = FaultProxy(int(transport.url.rpartition(":")[2]), 11, rates)
        try:
            url = f"socket://127.0.0.1:{proxy.port}"
            with tvmtiny.Session(artifact, url, timeout=120) as session:
                for number in range(100):
                    (found,) = session.run(*cases[number % 4])
                    assert np.array_equal(found, wanted[number % 4][0]), number
                print(dict(proxy.faults), session.statistics()["frames_repeated"])
        finally:
            proxy.close()
    assert proxy.faults.total() > 10


def breakable(artifact: tvmtiny.Artifact, nowhere: int) -> tvmtiny.Artifact:
    """The same code, which faults or never ends for some first bytes of the input."""
    (tensor,) = artifact.inputs
    name = f"{artifact.name}.c"
    begin = "const struct tvmtiny_digits_outputs *outputs)\n{\n"
    broken = (
        f"  if (inputs->{tensor.c_name}[0] == 101) {{ *(volatile int32_t *){nowhere} = 1; }}\n"
        f'  while (inputs->{tensor.c_name}[0] == 102) {{ __asm__ volatile(""); }}\n'
    )
    text = artifact.files[name].replace(begin, begin + broken, 1)
    assert broken in text
    return dataclasses.replace(artifact, files={**artifact.files, name: text})


@on_zephyr
@pytest.mark.parametrize("name", [ARM_BOARDS[0], RISCV_BOARD])
def test_the_board_goes_on_after_a_fault_and_after_an_endless_call(
    name: str, tmp_path: Path
) -> None:
    board = find_board(name)
    # Addresses where these boards have no memory.
    nowhere, fault = {
        "arm": (0x60000000, "BusFault"),
        "riscv": (0xA0000000, "store access fault at 0xa0000000"),
    }[board.cpu.architecture]
    model = tvmtiny.load(models.path("digits"))
    artifact = breakable(tvmtiny.compile(model, board.name), nowhere)
    platform = platform_for(board)
    firmware = platform.build(platform.generate(artifact, board, tmp_path, "rpc"))
    good, faulting, endless = (np.full(artifact.inputs[0].shape, v, np.int8) for v in (1, 101, 102))
    wanted = expected(model, [good])
    transport = platform.open_transport(firmware)
    try:
        with tvmtiny.Session(artifact, transport.url, timeout=30) as session:
            for _ in range(2):
                with pytest.raises(DeviceFaultError, match=fault) as raised:
                    session.run(faulting)
                assert raised.value.pc is not None
                session.reset()
                assert np.array_equal(session.run(good)[0], wanted[0])
                session.timeout = 1.0
                with pytest.raises(LinkTimeoutError):
                    session.run(endless)
                session.reset()
                session.timeout = 30.0
                assert np.array_equal(session.run(good)[0], wanted[0])
    finally:
        transport.close()
