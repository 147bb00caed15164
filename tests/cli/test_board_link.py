"""Commands that talk to boards: run over the link, devices, serve."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from own_board import BOARD
from serial.tools import list_ports
from tools import on_qemu

import tvmtiny
from tvmtiny import models

PORT = SimpleNamespace(
    device="/dev/ttyACM0",
    description="J-Link - CDC",
    vid=0x1366,
    pid=0x1015,
    manufacturer="SEGGER",
    product="J-Link",
    serial_number="000683",
    location="1-2:1.0",
)
PLAIN = SimpleNamespace(
    device="/dev/ttyS0",
    description="ttyS0",
    vid=None,
    pid=None,
    manufacturer=None,
    product=None,
    serial_number=None,
    location=None,
)

Command = Callable[..., Any]


@pytest.fixture
def session() -> Any:
    artifact = tvmtiny.compile(tvmtiny.load(models.path("sine")), "mps2-an386")
    with tvmtiny.Session(artifact) as opened:
        yield opened


def test_devices(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_ports, "comports", lambda: [PLAIN, PORT])
    found = command("devices", "--json").json["ports"]
    assert [port["path"] for port in found] == ["/dev/ttyACM0", "/dev/ttyS0"]
    assert found[0]["usb"] == "1366:1015"
    assert found[0]["serial_number"] == "000683"
    assert found[1]["usb"] is None
    text = command("devices").out
    assert "1366:1015" in text and "J-Link" in text
    monkeypatch.setattr(list_ports, "comports", list)
    assert "no serial ports" in command("devices").out


@on_qemu
def test_running_boards_are_devices(command: Command, session: Any) -> None:
    found = command("devices", "--json").json["emulated"]
    (ours,) = (board for board in found if board["url"] == session.url)
    assert (ours["board"], ours["model"]) == ("mps2-an386", "sine")
    assert session.url in command("devices").out


@on_qemu
def test_run_over_the_link(command: Command) -> None:
    words = ("run", "sine", "--board", "mps2-an386", "--input", "random:1", "--check", "--json")
    over_link = command(*words, "--via", "rpc").json
    assert over_link["check"]["mismatched_bytes"] == 0
    assert over_link == command(*words, "--via", "harness").json == command(*words).json


@on_qemu
def test_run_at_a_port(command: Command, session: Any) -> None:
    session._disconnect()
    found = command("run", "sine", "--board", session.url, "--check", "--json").json
    assert found["board"] == "mps2-an386"
    assert found["check"]["layers_exact"] == found["check"]["layers_compared"] > 0
    assert found["flash"] is None
    assert "not known" in command("run", "sine", "--board", session.url).out
    message = command("run", "temperature", "--board", session.url).error(2)
    assert "runs sine" in message and "flash the board again" in message


@on_qemu
def test_run_at_a_port_of_a_board_of_ones_own(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.toml").write_text(BOARD)
    artifact = tvmtiny.compile(tvmtiny.load(models.path("sine")), "a.toml")
    with tvmtiny.Session(artifact, Path("a.toml")) as session:
        session._disconnect()
        words = ("run", "sine", "--json", "--board", session.url)
        assert "there is no board 'lab'" in command(*words).error(2)
        Path("tvmtiny.toml").write_text('[boards]\nlab = "a.toml"\n')
        assert command(*words).json["board"] == "lab"


def test_ports_that_cannot_be_used(command: Command) -> None:
    message = command("run", "sine", "--board", "/dev/no-such-port").error(2)
    assert "/dev/no-such-port" in message and "tvmtiny devices" in message
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"socket://127.0.0.1:{listener.getsockname()[1]}"
        message = command("run", "sine", "--board", url, "--timeout", "0.3").error(8)
        assert "no answer from" in message and "0.3 s" in message
    assert "refused" in command("run", "sine", "--board", url).error(2)
    assert "HOST:PORT" in command("run", "sine", "--board", "nonsense://x").error(2)


def test_ways_to_run(command: Command) -> None:
    message = command("run", "sine", "--board", "mps2-an386", "--via", "magic").error(2)
    assert "harness, rpc" in message
    message = command("run", "sine", "--board", "/dev/ttyACM0", "--via", "harness").error(2)
    assert "--via rpc" in message


@pytest.mark.parametrize("wait", ["nan", "inf", "-1"])
def test_no_time_to_wait(wait: str, command: Command) -> None:
    words = ("serve", "sine", "--board", "mps2-an386", "--key", "k", "--wait", wait)
    outcome = command(*words, "--tracker", "127.0.0.1:9")
    assert "seconds; give 0 or more" in outcome.error(2)


def test_serve_without_a_tracker(command: Command) -> None:
    words = ("serve", "sine", "--board", "mps2-an386", "--key", "k", "--tracker")
    assert "HOST:PORT" in command(*words, "nonsense").error(2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    assert "tvm.exec.rpc_tracker" in command(*words, address).error(2)
