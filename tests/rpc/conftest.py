"""The boards' RPC server as a program of this machine."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tools import ROOT

SERVER = ROOT / "tvmtiny" / "runtime" / "rpc"


@pytest.fixture(scope="session")
def device_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The server with a model of two layers, built from ``device_main.c``."""
    if shutil.which("gcc") is None:
        pytest.skip("not installed: gcc")
    program = tmp_path_factory.mktemp("device") / "device"
    sources = [str(path) for path in sorted(SERVER.glob("*.c"))]
    main = str(Path(__file__).with_name("device_main.c"))
    command = ["gcc", "-std=c99", "-O1", f"-I{SERVER}", main, *sources, "-o", str(program)]
    subprocess.run(command, check=True, timeout=120)
    return program


def _serve(program: Path, kind: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = subprocess.Popen([program, kind], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def tcp_device(device_program: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The server's process and port."""
    for process, port in _serve(device_program, "tcp"):
        yield process, int(port)


@pytest.fixture
def pty_device(device_program: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The server's process and pseudo-terminal."""
    yield from _serve(device_program, "pty")
