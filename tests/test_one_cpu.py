"""Emulators run on one CPU, other programs in the background on any."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.one_cpu import emulator_cpu
from tvmtiny.host.background_process import start_background, stop_background


@pytest.mark.parametrize("name", ["qemu-system-arm", "sleep"])
def test_only_emulators_are_restricted(name: str, tmp_path: Path) -> None:
    program = tmp_path / name
    program.symlink_to("/bin/sleep")
    process = start_background([str(program), "1000"], output=subprocess.DEVNULL)
    try:
        found = os.sched_getaffinity(process.pid)
    finally:
        stop_background(process)
    assert found == ({emulator_cpu()} if name != "sleep" else os.sched_getaffinity(0))
