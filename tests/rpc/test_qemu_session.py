"""`Session` on emulated boards."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import tvm
from fault_proxy import FaultProxy, Rates
from tflite_builder import ModelBuilder
from tools import on_qemu, on_qemu_boards

import tvmtiny
from tvmtiny import models
from tvmtiny.errors import LinkClosedError, LinkError
from tvmtiny.oracle import run_litert
from tvmtiny.project.qemu import platform
from tvmtiny.project.qemu.options import machine_of_board
from tvmtiny.project.qemu.transport import QemuTransport, running_boards, start_qemu
from tvmtiny.project.qemu_machine import Machine
from tvmtiny.rpc.board import identify_started
from tvmtiny.targets import find_board

Compiled = tuple[tvmtiny.Model, tvmtiny.Artifact]


def compiled(name: str, board: str) -> Compiled:
    model = tvmtiny.load(models.path(name))
    return model, tvmtiny.compile(model, board)


@pytest.fixture(scope="module")
def digits() -> Iterator[tuple[tvmtiny.Model, tvmtiny.Session]]:
    """A session that most tests share; each test leaves it usable."""
    model, artifact = compiled("digits", "mps2-an386")
    with tvmtiny.Session(artifact, timeout=60) as session:
        yield model, session


@on_qemu
@pytest.mark.parametrize("kind", ["socket", "pty"])
def test_as_without_a_session(kind: str) -> None:
    model, artifact = compiled("digits", "mps2-an386")
    inputs = tvmtiny.make_inputs("random:3", artifact.inputs)
    with tvmtiny.Session(artifact, transport=kind) as session:
        assert session.url.startswith("/dev/pts/" if kind == "pty" else "socket://127.0.0.1:")
        (running,) = (board for board in running_boards() if board.url == session.url)
        assert (running.model, running.board) == ("digits", "mps2-an386")
        result = session.measure(*inputs)
        assert session.time(*inputs, repeats=3).instructions == 3 * (result.instructions,)
    assert all(board.url != running.url for board in running_boards())
    assert tvmtiny.check(model, artifact, result, inputs).exact
    harness = tvmtiny.run(artifact, *inputs)
    assert result.instructions == harness.instructions
    assert result.stack_bytes == harness.stack_bytes
    assert (result.flash, result.static_ram_bytes) == (harness.flash, harness.static_ram_bytes)


@on_qemu
def test_many_inputs(digits: tuple[tvmtiny.Model, tvmtiny.Session]) -> None:
    model, session = digits
    output = model.graph.outputs[0].index
    free = session.memory().heap_free_bytes
    for image in models.digits_test()[0][:30]:
        (got,) = session.run(image[np.newaxis])
        expected = run_litert(model.content, [image[np.newaxis]])[output]
        np.testing.assert_array_equal(got, expected)
    assert session.memory().heap_free_bytes == free


@on_qemu
def test_state_goes_from_run_to_run() -> None:
    b = ModelBuilder()
    x, y = b.input("x", (1, 8), scale=0.1), b.tensor("y", (1, 8), scale=0.1)
    last = b.variable("last", np.full((1, 8), 5, np.int8))
    b.op("READ_VARIABLE", [last], [y], {})
    b.op("ASSIGN_VARIABLE", [last, x], [], {})
    model = tvmtiny.load(b.build([y]), name="delay")
    frames = [np.full((1, 8), value, np.int8) for value in (1, 2)]
    with tvmtiny.Session(tvmtiny.compile(model, "mps2-an385"), timeout=60) as session:
        got = [session.run(frame)[0][0, 0] for frame in frames]
        session.reset_state()
        got.append(session.run(frames[0])[0][0, 0])
        got.append(session.measure(frames[1]).outputs[0].data[0, 0])
    assert got == [5, 1, 5, 5]


@on_qemu
def test_random_bytes(digits: tuple[tvmtiny.Model, tvmtiny.Session]) -> None:
    _, session = digits
    data = np.frombuffer(os.urandom(16 * 1024), np.uint8)
    there = tvm.runtime.empty(data.shape, "uint8", session.remote.cpu(0)).copyfrom(data)
    np.testing.assert_array_equal(there.numpy(), data)


@on_qemu
def test_a_board_is_found_at_its_port(digits: tuple[tvmtiny.Model, tvmtiny.Session]) -> None:
    model, artifact = compiled("sine", "mps2-an386")
    with tvmtiny.Session(artifact) as started:
        url = started.url
        started._disconnect()
        with tvmtiny.Session(artifact, url) as session:
            inputs = tvmtiny.make_inputs("ramp", artifact.inputs)
            result = session.measure(*inputs)
            assert result.board == "mps2-an386"
            assert result.flash is None and result.static_ram_bytes is None
            assert tvmtiny.check(model, artifact, result, inputs).exact


@on_qemu
def test_an_emulator_that_ends_before_the_connection(
    digits: tuple[tvmtiny.Model, tvmtiny.Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error quotes QEMU's reason instead of saying that its port is missing."""

    def start(elf: Path, machine: Machine, *words: str) -> QemuTransport:
        return start_qemu(elf.with_name("no-such-program"), machine, *words)

    said = "QEMU ended with code 1: .*Could not load kernel"
    machine = machine_of_board(find_board("mps2-an386"))
    ended = closing(start(Path("x"), machine, "digits", "mps2-an386"))
    with ended as transport, pytest.raises(LinkClosedError, match=said):
        identify_started(transport)
    monkeypatch.setattr(platform, "start_qemu", start)
    with pytest.raises(LinkClosedError, match=said):
        tvmtiny.Session(digits[1].artifact)


HOST = """
import sys
import tvmtiny
from tvmtiny import models

artifact = tvmtiny.compile(tvmtiny.load(models.path("sine")), "mps2-an386")
session = tvmtiny.Session(artifact, transport=sys.argv[2])
print(session._transport.process.pid, session.statistics()["process"], flush=True)
if sys.argv[1] == "wait":
    sys.stdin.readline()
elif sys.argv[1] == "raise":
    raise RuntimeError("the host has a defect")
"""


@on_qemu
@pytest.mark.parametrize(
    ("how", "number", "kind"),
    [
        ("wait", signal.SIGKILL, "socket"),
        ("wait", signal.SIGINT, "pty"),
        ("raise", None, "socket"),
        ("forget", None, "pty"),
    ],
)
def test_nothing_is_left(
    how: str, number: signal.Signals | None, kind: str, tmp_path: Path, warm_programs: Path
) -> None:
    # Objects that are left at the end of an interpreter need an interpreter of their own.
    python = sys.executable if number is None else warm_programs / "python"
    host = subprocess.Popen(
        [python, "-c", HOST, how, kind],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert host.stdout is not None
    words = host.stdout.readline().split()
    if number is not None:
        running = [os.pidfd_open(int(word)) for word in words]
        assert len(running) == 2
        host.send_signal(number)
        for process in running:
            assert select.select([process], [], [], 10)[0]
            os.close(process)
    host.communicate(timeout=30)
    for word in words:
        assert not is_running(int(word))
    assert list(tmp_path.iterdir()) == []


def is_running(process: int) -> bool:
    """Whether a process of QEMU or of a bridge still has that number after a while."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            words = Path(f"/proc/{process}/cmdline").read_bytes()
        except OSError:
            return False
        if b"qemu" not in words and b"tvmtiny" not in words:
            return False
        select.select([], [], [], 0.02)
    return True


def through_a_bad_line(
    model: tvmtiny.Model, session: tvmtiny.Session, sessions: int, runs: int
) -> Counter[str]:
    """Sessions of some runs each with the board of `session`, through a proxy; their outcomes."""
    output = model.graph.outputs[0].index
    port = int(session.url.rpartition(":")[2])
    session._disconnect()
    ends: Counter[str] = Counter()
    images = models.digits_test()[0][: sessions * runs]
    proxy = FaultProxy(port, 1, Rates(*[1e-3 / 6] * 6, close=1e-5))
    url = f"socket://127.0.0.1:{proxy.port}"
    try:
        for number in range(sessions):
            try:
                with tvmtiny.Session(session.artifact, url, timeout=20) as faulty:
                    for image in np.split(images[number * runs : (number + 1) * runs], runs):
                        (got,) = faulty.run(image)
                        expected = run_litert(model.content, [image])[output]
                        ends["right" if np.array_equal(got, expected) else "wrong"] += 1
            except LinkError as error:
                ends[type(error).__name__] += 1
    finally:
        proxy.close()
        session.reset()
    assert proxy.faults.total() > 10
    return ends


@on_qemu
def test_a_line_that_damages_what_passes(
    digits: tuple[tvmtiny.Model, tvmtiny.Session],
) -> None:
    """The board of the shared session, through a proxy."""
    ends = through_a_bad_line(*digits, sessions=10, runs=1)
    assert ends["wrong"] == 0
    assert ends["right"] > 5


@on_qemu_boards("riscv-virt")
def test_a_hundred_runs_over_a_bad_line_to_another_uart(board: str) -> None:
    model, artifact = compiled("digits", board)
    with tvmtiny.Session(artifact, timeout=60) as session:
        ends = through_a_bad_line(model, session, sessions=12, runs=10)
    assert ends["wrong"] == 0
    assert ends["right"] >= 100
