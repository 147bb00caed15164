"""Programs that must not outlive the host."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tvmtiny.host.background_process import start_background, stop_background

SLEEP = ["/bin/sh", "-c", "sleep 1000 & echo $!; exec sleep 1000"]

HOST = """
import subprocess, sys, threading
from pathlib import Path
from tvmtiny.host.background_process import start_background

def start():
    process = start_background(sys.argv[2:], output=subprocess.PIPE, remove=Path(sys.argv[1]))
    print(process.pid, int(process.stdout.readline()), flush=True)

# The thread that starts the program ends long before the host.
thread = threading.Thread(target=start)
thread.start()
thread.join()
sys.stdin.readline()
"""


def ended(process: int) -> int | None:
    """A descriptor that becomes readable when a process ends; None if the process has ended."""
    try:
        return os.pidfd_open(process)
    except ProcessLookupError:
        return None


def assert_end(descriptors: list[int | None]) -> None:
    for descriptor in descriptors:
        if descriptor is not None:
            assert select.select([descriptor], [], [], 60)[0]
            os.close(descriptor)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, None])
def test_it_ends_with_its_host(how: signal.Signals | None, tmp_path: Path) -> None:
    directory = tmp_path / "files"
    directory.mkdir()
    (directory / "file").touch()
    host = subprocess.Popen(
        [sys.executable, "-c", HOST, directory, *SLEEP],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert host.stdout is not None and host.stdin is not None
    running = [ended(int(word)) for word in host.stdout.readline().split()]
    assert None not in running
    if how is None:
        host.stdin.write("\n")
        host.stdin.close()
    else:
        host.send_signal(how)
    host.wait(60)
    assert_end(running)
    host.stdout.close()
    # The watchdog removes the directory before it kills its process group, itself last.
    assert not directory.exists()


def test_stopping_ends_all_that_it_started() -> None:
    process = start_background(SLEEP, output=subprocess.PIPE)
    assert process.stdout is not None
    child = ended(int(process.stdout.readline()))
    stop_background(process)
    assert process.returncode == -signal.SIGKILL
    assert_end([child])
    assert process.stdout.read() == b""
    process.stdout.close()
    stop_background(process)


def test_the_end_of_the_program_ends_what_it_started() -> None:
    process = start_background(
        ["/bin/sh", "-c", "sleep 1000 >/dev/null & echo $!; exit 7"], output=subprocess.PIPE
    )
    assert process.stdout is not None
    child = ended(int(process.stdout.readline()))
    assert process.wait(60) == 7
    assert_end([child])
    assert process.stdout.read() == b""
    process.stdout.close()


def test_it_inherits_what_it_is_given() -> None:
    reader, writer = os.pipe()
    process = start_background(
        ["/bin/sh", "-c", f"echo hello >/proc/self/fd/{writer}"],
        output=subprocess.DEVNULL,
        descriptors=[writer],
    )
    os.close(writer)
    assert process.wait(60) == 0
    assert os.read(reader, 100) == b"hello\n"
    # The watchdog has closed its copy.
    assert os.read(reader, 100) == b""
    os.close(reader)


def test_threads_do_not_matter() -> None:
    started: list[subprocess.Popen[bytes]] = []
    thread = threading.Thread(
        target=lambda: started.append(
            start_background(["/bin/sleep", "1000"], output=subprocess.DEVNULL)
        )
    )
    thread.start()
    thread.join()
    with pytest.raises(subprocess.TimeoutExpired):
        started[0].wait(0.2)
    stop_background(started[0])
