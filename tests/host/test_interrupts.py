"""The files that an interrupt leaves: at any line of the writers, and while programs run."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tools import ROOT

SCRIPT = Path(__file__).with_name("every_line.py")

OLD = {"a.c": "old a", "kept": "kept", "sub": "folder", "sub/b.c": "old b"}
NEW = {"a.c": "new a", "c.tar": "new c", "sub": "folder", "sub/b.c": "new b"}
OUT = {"deep": "folder", "deep/er": "folder", "deep/er/out": "folder"}

#: Files that may exist afterwards, by action: all or none.
ALLOWED: dict[str, list[dict[str, str]]] = {
    "write_new": [{}, {**OUT, **{f"deep/er/out/{name}": text for name, text in NEW.items()}}],
    "write_over": [OLD, {**OLD, **NEW}],
    "write_one": [OLD, {**OLD, "a.c": "new a"}],
    "work": [{}],
    "fail": [OLD, {**OLD, "c.tar": "folder"}],
}


def test_in_front_of_every_line(tmp_path: Path) -> None:
    places, temporary = tmp_path / "places", tmp_path / "tmp"
    places.mkdir()
    temporary.mkdir()
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(places)],
        env={**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[Any] = json.loads(done.stdout)
    codes = Counter((name, program, code) for name, program, _, code, _ in found)
    for name, allowed in ALLOWED.items():
        # Each action ended once without an interrupt, after its last line.
        assert codes[name, True, 0] == codes[name, False, 0] == 1
        assert codes[name, True, 130] > 10
        assert {code for n, program, code in codes if n == name and program} == {0, 130}
        for what, program, line, code, left in found:
            if what != name:
                continue
            if program or code == 0:
                assert left in allowed, (name, line, code, left)
            else:
                # Without the command line's handlers, files are complete and no interrupt is
                # hidden.
                assert not any(part.startswith(".") for path in left for part in path.split("/"))
                assert set(left.values()) <= {"folder", *OLD.values(), *NEW.values()}
    assert list(temporary.iterdir()) == []


PROGRAM = """
import subprocess, sys, threading, time
from pathlib import Path
from tvmtiny.host import interrupts, unfinished
from tvmtiny.host.background_process import start_background
from tvmtiny.host.foreground_process import foreground

if sys.argv[1] != "library":
    interrupts.install()
folder = unfinished.work_folder_for("test")
lines = []

def wait() -> None:
    shell = ["/bin/sh", "-c", "sleep 1000 & echo $!; wait"]
    with foreground(shell, output=subprocess.PIPE) as program:
        lines.append((program.pid, int(program.stdout.readline())))
        program.wait()

threading.Thread(target=wait, daemon=True).start()
guarded = start_background(["/bin/sh", "-c", "trap '' TERM; echo $$; sleep 1000"],
                        output=subprocess.PIPE, remove=folder)
guarded.stdout.readline()
while not lines:
    time.sleep(0.001)
print(*lines[0], guarded.pid, flush=True)
try:
    import encodings.idna
    sys.stdin.readline()
except BaseException:
    # What swallows exceptions does not matter.
    sys.stdin.readline()
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_programs_end(how: signal.Signals, tmp_path: Path) -> None:
    host = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "program"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert host.stdout is not None
    running = [os.pidfd_open(int(word)) for word in host.stdout.readline().split()]
    assert len(running) == 3
    host.send_signal(how)
    _, err = host.communicate(timeout=60)
    if how is signal.SIGKILL:
        assert host.returncode == -how
    else:
        assert host.returncode == 128 + how
        words = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
        assert err == f"tvmtiny: {words.get(how, 'hung up')}\n"
    for descriptor in running:
        assert select.select([descriptor], [], [], 60)[0]
        os.close(descriptor)
    assert list(tmp_path.iterdir()) == []


def test_ignored_signals_stay_ignored() -> None:
    """Shells start background programs in this state, and so does nohup."""
    code = (
        "import os, signal\nfrom tvmtiny.host import interrupts\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\ninterrupts.install()\n"
        "os.kill(os.getpid(), signal.SIGHUP)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
