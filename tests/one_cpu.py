"""Run each emulator on one CPU.

QEMU executes a board in one thread and serves its ports in another. With counted instructions, the
two take turns with every byte on a serial line, and waking a thread on another CPU costs more than
the work that is handed over.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tvmtiny.host import background_process


def emulator_cpu() -> int:
    """The CPU for the emulators of this process, another one in each worker if there are enough."""
    cpus = sorted(os.sched_getaffinity(0))
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    return cpus[int(worker) % len(cpus)]


class _Subprocess:
    """The module `subprocess` for programs in the background."""

    def __getattr__(self, name: str) -> Any:
        return getattr(subprocess, name)

    def Popen(self, command: list[str], **options: Any) -> subprocess.Popen[bytes]:  # noqa: N802
        process = subprocess.Popen(command, **options)
        if any(Path(word).name.startswith("qemu-system-") for word in command):
            # The program may have ended. Threads that it starts later have the same CPU.
            with suppress(ProcessLookupError):
                os.sched_setaffinity(process.pid, {emulator_cpu()})
        return process


def keep_emulators_on_one_cpu(patch: pytest.MonkeyPatch) -> None:
    """Restrict all emulators that this process starts from now on."""
    patch.setattr(background_process, "subprocess", _Subprocess())
