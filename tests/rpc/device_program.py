"""Build the RPC server for this machine, with sanitizers, and start it."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest
from host_runner import compile_sanitized
from raw_link import RawLink

MAIN = Path(__file__).with_name("device_main.c")
RUNTIME = Path(str(resources.files("tvmtiny.runtime").joinpath("rpc")))
SOURCES = tuple(sorted(str(path) for path in RUNTIME.glob("*.c")))


def shared_device(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The device, compiled once for all tests of this process, without warnings."""
    directory = tmp_path_factory.getbasetemp() / "sanitized_device"
    directory.mkdir(exist_ok=True)
    program = directory / "device"
    if program.exists():
        return program
    return compile_sanitized([MAIN, *SOURCES], directory, [f"-I{RUNTIME}"], "device")


@contextlib.contextmanager
def running(program: Path, timeout: float = 20.0) -> Iterator[RawLink]:
    """A device that must have reported no fault when the host has left."""
    with subprocess.Popen(
        [str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            yield RawLink(process.stdout.fileno(), process.stdin.fileno(), timeout)
            process.stdin.close()
            process.stdout.read()
            assert process.wait(timeout) == 0
        finally:
            process.kill()
            if process.stderr is not None and (said := process.stderr.read()):
                raise AssertionError(said.decode(errors="replace"))
