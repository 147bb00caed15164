"""Boards that send without end, over real lines, through every way to a board.

``tests/link`` checks that the deadline is kept to the second, on a clock that does not depend on
this machine; here nothing may hang or grow.
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flooding_peer import KINDS, flooding
from plain_client import exception_text

import tvmtiny
from tvmtiny.errors import LinkError, LinkProtocolError, LinkTimeoutError
from tvmtiny.link import packets
from tvmtiny.rpc import board as boards
from tvmtiny.rpc.failures import find_failure
from tvmtiny.rpc.remote import bridge_command
from tvmtiny.tuning.runner import BoardRunner, runner_board

#: Both ends are busy for as long as a board floods.
SECONDS = 0.15
#: For boards whose answer ends a session at once.
SECONDS_TO_FAIL = 5.0
MOST_KILOBYTES = 200_000
BEGIN = packets.make(packets.INIT_SERVER, struct.pack("<Q", 5) + b"0.8.0" + struct.pack("<i", 0))


def most_memory(process: int) -> int:
    """The peak memory of a process in kilobytes."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise AssertionError


@pytest.mark.parametrize("line", ["socket", "pty"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_bridge(kind: str, line: str) -> None:
    seconds = SECONDS_TO_FAIL if kind in ("gigabyte", "data") else SECONDS
    reader, to_bridge = os.pipe()
    from_bridge, writer = os.pipe()
    with flooding(kind, line) as url:
        process = subprocess.Popen(
            [*bridge_command(url, seconds, seconds, 115200), str(reader), str(writer)],
            pass_fds=[reader, writer],
        )
        os.close(reader)
        os.close(writer)
        try:
            os.write(to_bridge, BEGIN)
            answer = b""
            while len(answer) < 8 or len(answer) < 8 + int.from_bytes(answer[:8], "little"):
                part = os.read(from_bridge, 1 << 16)
                assert part
                answer += part
            assert most_memory(process.pid) < MOST_KILOBYTES
        finally:
            process.kill()
            process.wait()
            os.close(to_bridge)
            os.close(from_bridge)
    failure = find_failure(exception_text(answer))
    assert failure is not None and isinstance(failure.error, LinkError)
    wanted = LinkTimeoutError if kind not in ("gigabyte", "data") else LinkError
    assert isinstance(failure.error, wanted)
    if kind == "gigabyte":
        assert isinstance(failure.error, LinkProtocolError)


@pytest.mark.parametrize("line", ["socket", "pty"])
def test_a_session(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boards, "model_identity", lambda _: bytes(8))
    artifact: Any = SimpleNamespace(name="test", inputs=(), outputs=(), states=(), layers=())
    with flooding("hellos", line) as url, pytest.raises(LinkTimeoutError) as caught:
        tvmtiny.Session(artifact, url, timeout=SECONDS)
    assert caught.value.seconds == SECONDS


def test_tuning() -> None:
    with flooding("noise", "socket") as url, pytest.raises(LinkTimeoutError):
        runner_board(url, SECONDS)
    with flooding("acknowledgements", "socket") as url, pytest.raises(LinkTimeoutError):
        BoardRunner.at_port(url, timeout=SECONDS)


@pytest.mark.parametrize("command", ["run", "serve"])
def test_the_command_line(command: str, warm_programs: Path) -> None:
    words = [command, "sine", "--timeout", str(SECONDS), "--json"]
    with flooding("zeros", "pty") as url, socket.create_server(("127.0.0.1", 0)) as tracker:
        if command == "serve":
            # The board comes first.
            words += ["--key", "k", "--tracker", f"127.0.0.1:{tracker.getsockname()[1]}"]
        done = subprocess.run(
            [warm_programs / "tvmtiny", *words, "--board", url],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == LinkError.exit_code, done.stderr
    assert f"within {SECONDS} s" in done.stderr and "Traceback" not in done.stderr
