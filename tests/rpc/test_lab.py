"""Boards behind TVM's own tracker and servers."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from tools import on_qemu
from trackers import running_tracker, until_it_listens

import tvmtiny
from tvmtiny import models
from tvmtiny.errors import InputError, LinkTimeoutError
from tvmtiny.host.background_process import start_background, stop_background
from tvmtiny.oracle import run_litert
from tvmtiny.project.qemu.transport import running_boards

PROGRAM = Path(sys.executable).with_name("tvmtiny")
CLIENTS = 4
RUNS = 5


@pytest.fixture(scope="module")
def tracker() -> Iterator[str]:
    """The address of a tracker that was started as TVM's documentation describes."""
    process = start_background(
        [
            *(sys.executable, "-m", "tvm.exec.rpc_tracker"),
            *("--host", "127.0.0.1", "--port", "9190", "--port-end", "9990"),
        ],
        output=subprocess.PIPE,
    )
    assert process.stdout is not None
    port = None
    for line in process.stdout:
        found = re.search(rb"bind to \S+:(\d+)", line)
        if found:
            port = int(found[1])
            break
    assert port is not None
    until_it_listens(port)
    yield f"127.0.0.1:{port}"
    stop_background(process)
    process.stdout.close()


class Server:
    """``tvmtiny serve`` as a program."""

    def __init__(self, program: Path, tracker: str, key: str, *more: str) -> None:
        words = ["serve", "sine", "--board", "mps2-an386", "--tracker", tracker, "--key", key]
        self.process = subprocess.Popen(
            [program, *words, *more],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ready(self) -> dict[str, object]:
        """The output of the command with ``--json``."""
        assert self.process.stdout is not None
        text = ""
        for line in self.process.stdout:
            text += line
            if line == "}\n":
                break
        assert text.endswith("}\n"), self.process.communicate()
        value = json.loads(text)
        assert isinstance(value, dict)
        return value

    def group(self) -> list[int]:
        """Descriptors of the program and of all its descendants."""
        found, new = [], [self.process.pid]
        while new:
            process = new.pop()
            found.append(os.pidfd_open(process))
            for task in Path(f"/proc/{process}/task").iterdir():
                new += map(int, (task / "children").read_text().split())
        return found

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


def assert_ended(processes: list[int]) -> None:
    for process in processes:
        assert select.select([process], [], [], 10)[0]
        os.close(process)


@pytest.fixture(scope="module")
def two_boards(tracker: str, warm_programs: Path) -> Iterator[list[Server]]:
    program = warm_programs / "tvmtiny"
    servers = [Server(program, tracker, "lab", "--json") for _ in range(2)]
    try:
        for server in servers:
            served = server.ready()
            assert served["host"] == "127.0.0.1"
            assert (served["board"], served["key"]) == ("mps2-an386", "lab")
        yield servers
    finally:
        for server in servers:
            server.kill()


@pytest.fixture(scope="module")
def sine() -> tuple[tvmtiny.Model, tvmtiny.Artifact]:
    model = tvmtiny.load(models.path("sine"))
    return model, tvmtiny.compile(model, "mps2-an386")


@on_qemu
def test_two_boards_serve_four_clients(
    two_boards: list[Server], tracker: str, sine: tuple[tvmtiny.Model, tvmtiny.Artifact]
) -> None:
    model, artifact = sine
    output = model.graph.outputs[0].index
    inputs = [np.array([[level]], np.int8) for level in range(-100, 100, 10)]
    expected = [run_litert(model.content, [value])[output] for value in inputs]

    def client(number: int) -> int:
        """Take a board, use it, and give it back, repeatedly; return the right results."""
        right = 0
        for turn in range(RUNS):
            with tvmtiny.Session(artifact, tracker=tracker, key="lab", timeout=30) as session:
                index = (number * RUNS + turn) % len(inputs)
                (got,) = session.run(inputs[index])
                right += np.array_equal(got, expected[index])
        return right

    with ThreadPoolExecutor(CLIENTS) as pool:
        assert list(pool.map(client, range(CLIENTS))) == CLIENTS * [RUNS]


@on_qemu
def test_errors_come_through(
    two_boards: list[Server], tracker: str, sine: tuple[tvmtiny.Model, tvmtiny.Artifact]
) -> None:
    _, artifact = sine
    with tvmtiny.Session(artifact, tracker=tracker, key="lab", timeout=30) as session:
        session.timeout = 0.001
        with pytest.raises(LinkTimeoutError) as caught:
            session.time(np.array([[0]], np.int8), repeats=1000)
        assert caught.value.frames
        session.timeout = 30
        session.reset()
        assert session.memory().heap_bytes > 0
        kind = session.measure(np.array([[0]], np.int8))
        assert kind.board == "mps2-an386"


@on_qemu
def test_a_client_that_is_killed(
    two_boards: list[Server],
    tracker: str,
    sine: tuple[tvmtiny.Model, tvmtiny.Artifact],
    warm_programs: Path,
) -> None:
    """The board is free for the next client."""
    _, artifact = sine
    code = (
        "import sys, tvmtiny\nfrom tvmtiny import models\n"
        "artifact = tvmtiny.compile(tvmtiny.load(models.path('sine')), 'mps2-an386')\n"
        "session = tvmtiny.Session(artifact, tracker=sys.argv[1], key='lab')\n"
        "print(flush=True)\nsys.stdin.readline()\n"
    )
    clients = [
        subprocess.Popen(
            [warm_programs / "python", "-c", code, tracker],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(2)
    ]
    for client in clients:
        assert client.stdout is not None
        client.stdout.readline()
    for client in clients:
        client.kill()
        client.communicate()
    sessions = [tvmtiny.Session(artifact, tracker=tracker, key="lab") for _ in range(2)]
    for session in sessions:
        session.run(np.array([[5]], np.int8))
        session.close()


@on_qemu
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_end_of_a_server_leaves_nothing(
    number: signal.Signals, tracker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    server = Server(PROGRAM, tracker, "ends", "--json")
    try:
        served = server.ready()
        assert served["url"] in [board.url for board in running_boards()]
        running = server.group()
        # The command, QEMU and its watchdog, and the watchdog of the compilers.
        assert len(running) >= 4
        server.process.send_signal(number)
        _, err = server.process.communicate(timeout=30)
    finally:
        server.process.kill()
    assert server.process.returncode == (130 if number == signal.SIGINT else -number), err
    assert "Traceback" not in err
    assert_ended(running)
    assert served["url"] not in [board.url for board in running_boards()]
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", int(str(served["port"]))), timeout=5)
    assert list(tmp_path.iterdir()) == []


@on_qemu
def test_it_says_who_can_reach_it(tracker: str, warm_programs: Path) -> None:
    server = Server(warm_programs / "tvmtiny", tracker, "said")
    assert server.process.stdout is not None
    line = server.process.stdout.readline()
    server.process.send_signal(signal.SIGTERM)
    server.process.communicate(timeout=30)
    assert "listening at 127.0.0.1:" in line
    assert "this machine only" in line


def test_no_such_key(sine: tuple[tvmtiny.Model, tvmtiny.Artifact], warm_programs: Path) -> None:
    with (
        running_tracker(warm_programs) as tracker,
        pytest.raises(InputError, match="no board is served as 'nonsense'"),
    ):
        tvmtiny.Session(sine[1], tracker=tracker, key="nonsense")


def test_no_tracker(sine: tuple[tvmtiny.Model, tvmtiny.Artifact]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(InputError, match=f"cannot reach a tracker at {address}"):
        tvmtiny.Session(sine[1], tracker=address, key="lab")
