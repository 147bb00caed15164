"""One process at a time writes a file that grows bit by bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import tvmtiny
from tvmtiny import models
from tvmtiny.errors import InputError, OutputPathError
from tvmtiny.host.locking import locked

HOLDER = """
import sys
from pathlib import Path
from tvmtiny.host import interrupts
from tvmtiny.host.locking import locked
interrupts.install()
with locked(Path(sys.argv[1])):
    print(flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize("number", [None, signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_other_process_is_named(number: signal.Signals | None, tmp_path: Path) -> None:
    path = tmp_path / "new" / "trials.jsonl"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"\n"
    with pytest.raises(InputError, match=f"written by process {holder.pid}; wait"), locked(path):
        pass
    # A run of the tuner takes the lock before it starts anything.
    with pytest.raises(InputError, match=f"process {holder.pid}"):
        tvmtiny.tune(tvmtiny.load(models.path("sine")), "mps2-an386", records=path)
    if number is not None:
        holder.send_signal(number)
    holder.communicate(b"\n")
    if number is not signal.SIGKILL:
        assert list(tmp_path.iterdir()) == []
    with locked(path):
        assert path.with_name(".trials.jsonl.lock").read_text() == str(os.getpid())
    assert list(tmp_path.rglob(".*")) == []


def test_no_file_can_be_there(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputPathError), locked(tmp_path / "file" / "trials.jsonl"):
        pass
