"""`Session` with the boards' server as a program of this machine."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tvm
from tvm import rpc

import tvmtiny
from tvmtiny.errors import (
    DeviceError,
    InputDataError,
    InputError,
    LinkClosedError,
    LinkTimeoutError,
    ModelMismatchError,
    PortError,
)
from tvmtiny.rpc import board as boards
from tvmtiny.rpc import remote

IDENTITY = bytes.fromhex("0123456789abcdef")
INPUT = np.arange(8, dtype=np.uint8) * 31
OUTPUT = INPUT * 2 + 1


def tensor(name: str, **more: object) -> SimpleNamespace:
    return SimpleNamespace(name=name, shape=(8,), dtype="uint8", bytes=8, **more)


@pytest.fixture
def artifact(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The model in ``device_main.c``: it doubles, then adds one."""
    monkeypatch.setattr(boards, "model_identity", lambda _: IDENTITY)
    return SimpleNamespace(
        name="test",
        inputs=(tensor("x"),),
        outputs=(tensor("y"),),
        states=(),
        layers=(tensor("double", index=0, operator="MUL"), tensor("y", index=1, operator="ADD")),
        pieces=((0, 8), (1, 8)),
    )


Open = Callable[..., tvmtiny.Session]


@pytest.fixture
def open_session(artifact: Any, tcp_device: tuple[subprocess.Popen[str], int]) -> Iterator[Open]:
    sessions: list[tvmtiny.Session] = []

    def make(**more: Any) -> tvmtiny.Session:
        sessions.append(tvmtiny.Session(artifact, f"socket://127.0.0.1:{tcp_device[1]}", **more))
        return sessions[-1]

    yield make
    for session in sessions:
        session.close()


def children() -> set[int]:
    """The child processes of this process, including dead ones that were not awaited."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        found |= set(map(int, (task / "children").read_text().split()))
    return found


def bridge_of(session: tvmtiny.Session) -> int:
    return int(session.statistics()["process"])


def test_runs(open_session: Open) -> None:
    session = open_session()
    for shift in range(3):
        (got,) = session.run(INPUT + shift)
        assert got.dtype == np.uint8
        np.testing.assert_array_equal(got, OUTPUT + 2 * shift)
    layers = session.run_layers(INPUT)
    np.testing.assert_array_equal(layers[0], INPUT * 2)
    np.testing.assert_array_equal(layers[1], OUTPUT)
    assert session.info["model"] == "test"
    assert session.memory().heap_free_bytes == session.memory().heap_bytes == 1 << 20


def test_runs_over_a_terminal(artifact: Any, pty_device: tuple[subprocess.Popen[str], str]) -> None:
    with tvmtiny.Session(artifact, pty_device[1]) as session:
        np.testing.assert_array_equal(session.run(INPUT)[0], OUTPUT)
        with pytest.raises(PortError, match="in use") as caught:
            tvmtiny.Session(artifact, pty_device[1])
        assert caught.value.problem == "busy"
        np.testing.assert_array_equal(session.run(INPUT)[0], OUTPUT)


def test_the_remote_is_an_ordinary_session_of_tvm(open_session: Open) -> None:
    session = open_session()
    assert isinstance(session.remote, rpc.RPCSession)
    device = session.remote.cpu(0)
    data = np.arange(1000, dtype=np.float32).reshape(10, 100)
    there = tvm.runtime.empty(data.shape, "float32", device).copyfrom(data)
    np.testing.assert_array_equal(there.numpy(), data)
    assert session.memory().heap_free_bytes < session.memory().heap_bytes
    bytes_there = tvm.runtime.empty((8,), "uint8", device).copyfrom(INPUT)
    assert session.remote.get_function("test.sum")(bytes_there) == INPUT.sum()
    del there, bytes_there
    assert session.memory().heap_free_bytes == session.memory().heap_bytes


def test_256_kb_there_and_back_cost_little_more(open_session: Open) -> None:
    session = open_session()
    data = np.frombuffer(os.urandom(256 * 1024), np.uint8)
    there = tvm.runtime.empty(data.shape, "uint8", session.remote.cpu(0))
    before = session.statistics()
    np.testing.assert_array_equal(there.copyfrom(data).numpy(), data)
    after = session.statistics()
    assert after["largest_payload"] == 1024
    on_the_line = sum(after[name] - before[name] for name in ("bytes_sent", "bytes_received"))
    # The statistics themselves do not reach the board.
    assert 1.0 < on_the_line / (2 * data.size) <= 1.05


def test_a_hundred_runs_take_no_memory(open_session: Open) -> None:
    session = open_session()
    free = session.memory().heap_free_bytes
    open_files = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for number in range(100):
        np.testing.assert_array_equal(session.run(INPUT + number)[0], OUTPUT + 2 * number)
    assert session.memory().heap_free_bytes == free
    assert len(os.listdir("/proc/self/fd")) == open_files  # noqa: PTH208


def test_closing_leaves_nothing(open_session: Open) -> None:
    before = children()
    session = open_session()
    bridge = bridge_of(session)
    assert children() - before == {bridge}
    session.close()
    session.close()
    assert children() == before
    with pytest.raises(LinkClosedError, match="was closed"):
        session.run(INPUT)
    with pytest.raises(LinkClosedError, match="was closed"):
        session.reset()


def test_a_call_that_takes_too_long(open_session: Open) -> None:
    session = open_session()
    wait = session.remote.get_function("test.wait")
    session.timeout = 0.3
    with pytest.raises(tvm.error.RPCError, match="tvmtiny-link"):
        wait(1000)
    with pytest.raises(LinkTimeoutError) as caught:
        session.run(INPUT)
    assert any("DATA" in frame for frame in caught.value.frames)
    bridge = bridge_of(session)
    session.timeout = 30
    assert session.timeout == 30
    session.reset()
    np.testing.assert_array_equal(session.run(INPUT)[0], OUTPUT)
    assert bridge_of(session) == bridge


def test_tensors_of_before_a_reset_do_no_harm(open_session: Open) -> None:
    session = open_session()
    device = session.remote.cpu(0)
    old = tvm.runtime.empty((100,), "uint8", device)
    session.reset()
    new = tvm.runtime.empty((100,), "uint8", device).copyfrom(np.full(100, 7, np.uint8))
    with pytest.raises(tvm.error.RPCError, match="handle"):
        old.numpy()
    del old
    np.testing.assert_array_equal(new.numpy(), 7)


def test_an_interrupt_from_the_keyboard(
    artifact: Any, pty_device: tuple[subprocess.Popen[str], str]
) -> None:
    with tvmtiny.Session(artifact, pty_device[1]) as session:
        wait = session._open().function("test.wait")
        bridge = bridge_of(session)
        threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT]).start()
        with pytest.raises(KeyboardInterrupt):
            wait(2000)
        assert session._open().broken
        session.reset()
        assert bridge_of(session) != bridge
        assert bridge not in children()
        np.testing.assert_array_equal(session.run(INPUT)[0], OUTPUT)


def test_a_board_that_goes_away(
    open_session: Open, tcp_device: tuple[subprocess.Popen[str], int]
) -> None:
    session = open_session()
    tcp_device[0].kill()
    for attempt in (lambda: session.run(INPUT), lambda: session.run_layers(INPUT)):
        with pytest.raises(LinkClosedError, match="was closed"):
            attempt()
    tcp_device[0].wait()
    with pytest.raises(PortError) as caught:
        session.reset()
    assert caught.value.problem == "missing"


def test_a_bridge_that_is_killed(open_session: Open) -> None:
    session = open_session()
    os.kill(bridge_of(session), signal.SIGKILL)
    with pytest.raises(LinkClosedError, match="bridge ended"):
        session.run(INPUT)
    session.reset()
    np.testing.assert_array_equal(session.run(INPUT)[0], OUTPUT)


def test_refusals(open_session: Open) -> None:
    session = open_session()
    with pytest.raises(DeviceError, match="no function nonsense"):
        session._call("nonsense")
    with pytest.raises(DeviceError, match="refused a call: the function failed"):
        session._call("test.fail")
    np.testing.assert_array_equal(session.run(INPUT)[0], OUTPUT)


def test_arguments(open_session: Open, artifact: Any) -> None:
    session = open_session()
    with pytest.raises(InputDataError, match="wrong number"):
        session.run()
    with pytest.raises(InputDataError, match="wrong dtype"):
        session.run(INPUT.astype(np.int8))
    with pytest.raises(InputError, match="1 to 1000"):
        session.time(INPUT, repeats=0)
    for seconds in (0.0, -1.0, float("nan")):
        with pytest.raises(InputError, match="more than 0"):
            session.timeout = seconds
        with pytest.raises(InputError, match="more than 0"):
            tvmtiny.Session(artifact, "/dev/null", timeout=seconds)
    with pytest.raises(InputError, match="give both"):
        tvmtiny.Session(artifact, tracker="127.0.0.1:9190")
    with pytest.raises(InputError, match="not both"):
        tvmtiny.Session(artifact, "mps2-an386", tracker="127.0.0.1:9190", key="k")


@pytest.mark.parametrize("address", ["", "host", "host:", ":1", "host:99999", "host:x"])
def test_addresses_of_trackers(artifact: Any, address: str) -> None:
    with pytest.raises(InputError, match="HOST:PORT"):
        tvmtiny.Session(artifact, tracker=address, key="k")


def test_firmware_of_another_model(open_session: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    before = children()
    monkeypatch.setattr(boards, "model_identity", lambda _: bytes(8))
    with pytest.raises(ModelMismatchError, match=r"runs test \(0123456789abcdef\), not test"):
        open_session()
    assert children() == before


def test_a_port_that_does_not_exist(artifact: Any) -> None:
    before = children()
    with pytest.raises(PortError) as caught:
        tvmtiny.Session(artifact, "/dev/no-such-port")
    assert caught.value.problem == "missing"
    assert children() == before


def test_the_current_directory_does_not_matter(
    open_session: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tvmtiny").mkdir()
    (tmp_path / "tvmtiny" / "__init__.py").touch()
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(open_session().run(INPUT)[0], OUTPUT)


def test_identify(tcp_device: tuple[subprocess.Popen[str], int]) -> None:
    found = boards.identify(f"socket://127.0.0.1:{tcp_device[1]}")
    assert (found.board, found.identity) == ("host", IDENTITY)


def test_sessions_that_nobody_can_reach_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    class Held:
        def __init__(self) -> None:
            self.itself = self

    opened = [weakref.ref(Held())]

    def create(*_: object) -> object:
        if opened[0]() is not None:
            raise RuntimeError("maximum number of RPC session reached")
        return tvm.rpc.LocalSession()._sess

    gc.disable()
    monkeypatch.setattr(remote.tvm, "get_global_func", lambda _: create)
    try:
        assert isinstance(remote.open_pipe("socket://h:1", 1.0, 1.0, 1), tvm.rpc.RPCSession)
    finally:
        gc.enable()
