"""Send signals to the command line at random moments, and check what is left behind.

    python scripts/signal_trial.py --count 200 --seed 1

Each trial runs one of several commands in its own folder and sends SIGINT, SIGTERM or SIGKILL at a
random moment within the duration of the command. After SIGINT and SIGTERM, no process, temporary
file or partially written folder may be left, the exit code must be that of a shell, and there must
be no traceback. After SIGKILL, no process may be left. The script prints a table of the outcomes,
and fails if anything is left.
"""

from __future__ import annotations

import argparse
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

#: Arguments of each command, which writes into the folder OUT or not at all.
COMMANDS: Mapping[str, Sequence[str]] = {
    "compile": ("compile", "digits", "--target", "cortex-m4", "-o", "OUT"),
    "export": ("export", "sine", "--format", "arduino", "--target", "cortex-m4", "-o", "OUT"),
    "project create": ("project", "create", "sine", "--board", "zephyr:mps2_an385", "-o", "OUT"),
    "run": ("run", "digits", "--board", "mps2-an386"),
    "run --via rpc": ("run", "sine", "--board", "mps2-an386", "--via", "rpc"),
    "tune": ("tune", "sine", "--board", "mps2-an386", "--trials", "4", "-o", "OUT"),
}
#: The command line as installed.
PROGRAM = (sys.executable, "-m", "tvmtiny")
#: A traceback that names one of these folders was raised by the command line itself.
PACKAGES = (f"{Path(__file__).resolve().parents[1]}/tvmtiny/", "site-packages/tvmtiny/")
#: Commands whose output may be partial, because each trial is written as soon as it ends.
RESUMABLE = ("tune",)
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)

#: Seconds allowed for descendants of a killed command to exit, and for a command to exit.
_END_SECONDS, _LEAVE_SECONDS = 20.0, 60.0


@dataclass(frozen=True)
class Reference:
    """The behaviour of a command without a signal.

    Attributes
    ----------
    seconds
        Duration of the command.
    files
        Paths of the files that the command writes.
    """

    seconds: float
    files: frozenset[str]


@dataclass(frozen=True)
class Outcome:
    """The outcome of a trial.

    Attributes
    ----------
    state
        ``done`` before the signal, ``ended`` by it, or ``early``: while Python itself was starting.
    faults
        Violations of the requirements.
    """

    state: str
    faults: tuple[str, ...]


def main() -> None:
    """Run the trials that the command line requests."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--commands", nargs="+", default=list(COMMANDS), choices=list(COMMANDS))
    options = parser.parse_args()
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # Background processes of a shell ignore SIGINT, and the commands would inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="signal-trial-") as name:
        outcomes = run_trials(Path(name), options.commands, options.count, options.seed)
    table = Counter((*key, outcome.state) for key, outcome in outcomes)
    for (command, number, state), count in sorted(table.items()):
        print(f"{command:16} {number:8} {state:6} {count:4}")
    faults = [(key, fault) for key, outcome in outcomes for fault in outcome.faults]
    for (command, number), fault in faults:
        print(f"{command}, {number}: {fault}")
    print(f"{len(outcomes)} signals, {len(faults)} faults")
    sys.exit(bool(faults))


def run_trials(
    root: Path, commands: Sequence[str], count: int, seed: int, program: Sequence[str] = PROGRAM
) -> list[tuple[tuple[str, str], Outcome]]:
    """Run `count` trials; return the outcomes with command and signal."""
    source = random.Random(seed)
    references = {
        command: reference(root / f"whole-{command}", command, program) for command in commands
    }
    found = []
    for index in range(count):
        command = commands[index % len(commands)]
        number = SIGNALS[index // len(commands) % len(SIGNALS)]
        known = references[command]
        delay = source.uniform(0, known.seconds)
        outcome = trial(root / f"trial-{index}", command, number, delay, known, program)
        found.append(((command, number.name), outcome))
    return found


def reference(folder: Path, command: str, program: Sequence[str] = PROGRAM) -> Reference:
    """Run a command without interrupting it."""
    begin = time.monotonic()
    process = _start(folder, command, program)
    _, err = process.communicate()
    if process.returncode:
        raise SystemExit(f"{command} fails by itself: {err}")
    return Reference(time.monotonic() - begin, _files(folder))


def trial(
    folder: Path,
    command: str,
    number: signal.Signals,
    delay: float,
    known: Reference,
    program: Sequence[str] = PROGRAM,
) -> Outcome:
    """Run a command, and send it a signal `delay` seconds after its start."""
    process = _start(folder, command, program)
    with suppress(subprocess.TimeoutExpired):
        process.wait(delay)
    process.send_signal(number)
    try:
        _, err = process.communicate(timeout=_LEAVE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return Outcome("ended", (f"still ran {_LEAVE_SECONDS:g} s after the signal",))
    code = process.returncode
    if code == 0:
        state = "done"
    elif code == -number or (code != 128 + number and not _ours(err)):
        state = "ended" if number == signal.SIGKILL else "early"
    else:
        state = "ended"
    faults = [f"process {name} is left" for name in _left(folder)]
    if number != signal.SIGKILL:
        faults += _remains(folder, command, known)
        if state != "early" and (code not in (0, 128 + number) or "Traceback" in err):
            faults.append(f"ended with code {code} at {delay:.3f} s: {err[-300:]}")
    return Outcome(state, tuple(faults))


def _ours(err: str) -> bool:
    """Whether the package had started to run: a message of its own, or one of its frames."""
    return "tvmtiny: " in err or any(folder in err for folder in PACKAGES)


def _start(folder: Path, command: str, program: Sequence[str]) -> subprocess.Popen[str]:
    temporary = folder / "tmp"
    temporary.mkdir(parents=True)
    words = [str(folder / "out") if word == "OUT" else word for word in COMMANDS[command]]
    return subprocess.Popen(
        [*program, *words],
        env={**os.environ, "TMPDIR": str(temporary)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def _remains(folder: Path, command: str, known: Reference) -> list[str]:
    """List files that an interrupted command should not have left in its folder."""
    files = _files(folder)
    faults = [f"{name} is left" for name in files if name.startswith("tmp/")]
    faults += [f"{name} is left" for name in files if "/." in name or name.startswith(".")]
    written = {name for name in files if name.startswith("out/")}
    whole = {name for name in known.files if name.startswith("out/")}
    if command not in RESUMABLE and written and written != whole:
        faults.append(f"the folder is partly written: {', '.join(sorted(written))}")
    if not written and (folder / "out").exists() and command not in RESUMABLE:
        faults.append("an empty folder is left")
    return faults


def _files(folder: Path) -> frozenset[str]:
    return frozenset(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path != folder / "tmp"
    ) - {"out"}


def _left(folder: Path) -> Iterable[str]:
    """Yield programs started by a command, found by their environment, that do not exit."""
    mark = f"TMPDIR={folder / 'tmp'}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with suppress(OSError):
            if mark not in (entry / "environ").read_bytes().split(b"\0"):
                continue
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            process = os.pidfd_open(int(entry.name))
            ended = select.select([process], [], [], _END_SECONDS)[0]
            os.close(process)
            if not ended:
                yield f"{entry.name} ({' '.join(words)[:100]})"


if __name__ == "__main__":
    main()
