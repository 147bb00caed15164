"""Give files, tensors and signatures hostile names, and try every command and export with them.

    python scripts/hostile_names.py
    python scripts/hostile_names.py --names newline comment --commands export serve

In a trial one command gets a model whose file and tensors, or whose signature, have one name, and
writes under that name where the user chooses where. It must succeed, or fail with one line that
says why. What it prints must have no character that a terminal obeys, nothing may have been
executed, and the files within what it writes must have plain names. An export is built by the tool
that it is for, under strict warnings. It prints counts by command and outcome, and every fault.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from hostile_names import NAMES, file_name, network, strays  # noqa: E402
from warm_program import warm_program  # noqa: E402

from tests.project.export_builds import BUILDS  # noqa: E402
from tvmtiny.host.guarded_process import start_guarded, stop_guarded  # noqa: E402

_BOARD = "mps2-an386"
_SECONDS = 600
_PROGRESS = re.compile(r" \.\.\.$|^\d+ of \d+ trials; ")
_PLAIN = re.compile(r"[A-Za-z0-9_./-]+")


@dataclass(frozen=True)
class Trial:
    """Where a trial takes place.

    Attributes
    ----------
    folder
        Of its own, and where the command runs.
    model, float_model
        Relative paths of a model of int8 and of the same of float32.
    output
        Name of what is to be written, which is hostile where the file's is.
    """

    folder: Path
    model: str
    float_model: str
    output: str

    def named(self, suffix: str) -> str:
        """A name for an output file."""
        return file_name(self.output, suffix)


#: The words of each command by its name. What is written goes below the folder of the trial.
COMMANDS: Mapping[str, Callable[[Trial], list[str]]] = {
    "inspect": lambda t: ["inspect", "--", t.model],
    "compile": lambda t: ["compile", "-t", "cortex-m4", "-o", f"./{t.named('')}", "--", t.model],
    "run": lambda t: ["run", "-b", _BOARD, "--check", "--", t.model],
    "run --via rpc": lambda t: ["run", "-b", _BOARD, "--via", "rpc", "--", t.model],
    "profile": lambda t: ["profile", "-b", _BOARD, "--", t.model],
    "memory": lambda t: ["memory", "-b", _BOARD, "--svg", t.named(".svg"), "--", t.model],
    "report": lambda t: ["report", "-b", _BOARD, "-o", t.named(".html"), "--", t.model],
    "bench": lambda t: ["bench", "-b", _BOARD, "--no-estimate", "--", t.model],
    "tune": lambda t: [
        *("tune", "-b", _BOARD, "--trials", "2", "--metric", "instructions"),
        *("-o", f"./{t.named('')}", "--", t.model),
    ],
    "quantize": lambda t: [
        *("quantize", "--data", t.named(".npz"), "-o", t.named(".out.tflite"), "--", t.float_model),
    ],
    "project create": lambda t: [
        *("project", "create", "-b", "zephyr:mps2_an385", "-o", f"./{t.named('')}", "--", t.model),
    ],
    **{
        f"export {form}": lambda t, form=form: [  # type: ignore[misc]
            *("export", "-f", form, "-t", "cortex-m4", "-o", "exported", "--", t.model),
        ]
        for form in BUILDS
    },
}
#: What has the name: the files and all tensors, or the input and the output in the signature.
ROLES = ("file", "signature")
_SERVE = "serve"
_INTERRUPTED = 130


def main() -> None:
    """Run the trials that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--names", nargs="+", default=list(NAMES), choices=list(NAMES))
    parser.add_argument("--roles", nargs="+", default=list(ROLES), choices=list(ROLES))
    groups = sorted({name.split()[0] for name in COMMANDS} | {_SERVE})
    parser.add_argument("--commands", nargs="+", default=groups, choices=groups)
    options = parser.parse_args()
    # Shells let what they start in the background ignore it, and so would tvmtiny serve.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    outcomes: Counter[tuple[str, str, str]] = Counter()
    reasons: Counter[str] = Counter()
    faults = 0
    with (
        tempfile.TemporaryDirectory(prefix="hostile-names-") as folder,
        programs(Path(folder), _SERVE in options.commands) as run,
    ):
        for index, (role, label) in enumerate(
            (role, label) for role in options.roles for label in options.names
        ):
            for name in [*COMMANDS, _SERVE]:
                if name.split()[0] not in options.commands:
                    continue
                trial = make_trial(Path(folder) / f"trial-{index}", role, NAMES[label])
                outcome, reason, found = attempt(trial, name, run)
                reasons[reason] += bool(reason)
                outcomes[name, role, outcome] += 1
                for fault in found:
                    faults += 1
                    print(f"{name}, {role} {label!r}: {fault}", flush=True)
                shutil.rmtree(os.fsencode(trial.folder))
    for (name, role, outcome), count in sorted(outcomes.items()):
        print(f"{name:22} {role:9} {outcome:8} {count:4}")
    for reason in filter(None, reasons):
        print(f"refused {reasons[reason]} times: {reason}")
    print(f"{sum(outcomes.values())} trials, {faults} faults")
    sys.exit(bool(faults))


Run = Callable[[str, Sequence[str], Path], subprocess.CompletedProcess[bytes]]


@contextmanager
def programs(folder: Path, serving: bool) -> Iterator[Run]:
    """What runs a command: words that start with ``serve`` until it serves, others to the end."""
    with warm_program(folder) as path, tracker(serving) as address:

        def run(
            name: str, words: Sequence[str], directory: Path
        ) -> subprocess.CompletedProcess[bytes]:
            if name != _SERVE:
                command = [path / "tvmtiny", *words]
                return subprocess.run(
                    command,
                    cwd=directory,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=_SECONDS,
                )
            return serve([*words[:1], "--tracker", address, *words[1:]], directory)

        yield run


@contextmanager
def tracker(wanted: bool) -> Iterator[str]:
    """The address of TVM's tracker."""
    if not wanted:
        yield ""
        return
    command = [sys.executable, "-m", "tvm.exec.rpc_tracker", "--host", "127.0.0.1"]
    process = start_guarded(
        [*command, "--port", "9190", "--port-end", "9990"], output=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        found = None
        while found is None:
            line = process.stdout.readline()
            assert line, "the tracker has ended"
            found = re.search(rb"bind to \S+:(\d+)", line)
        yield f"127.0.0.1:{int(found[1])}"
    finally:
        stop_guarded(process)


def serve(words: Sequence[str], directory: Path) -> subprocess.CompletedProcess[bytes]:
    """Run ``tvmtiny serve`` and interrupt it once it serves; that counts as success."""
    command = [Path(sys.executable).with_name("tvmtiny"), *words]
    process = subprocess.Popen(
        command,
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    if first.startswith(b"serving"):
        process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=_SECONDS)
    ended = first.startswith(b"serving") and process.returncode in (0, _INTERRUPTED)
    code = 0 if ended else process.returncode
    return subprocess.CompletedProcess(command, code, first + out, err)


def make_trial(folder: Path, role: str, name: str) -> Trial:
    """Write the models of a trial.

    Parameters
    ----------
    role
            One of `ROLES`.
    """
    folder.mkdir()
    hostile = role == "file"
    tensors = ("in", "between", "out") if role == "signature" else (name,) * 3
    signature = (name, name) if role == "signature" else None
    trial = Trial(
        folder,
        file_name(name if hostile else "model", ".tflite"),
        file_name(name if hostile else "float", ".f.tflite"),
        name if hostile else "written",
    )
    (folder / trial.model).write_bytes(network("int8", tensors, signature))
    (folder / trial.float_model).write_bytes(network("float32", tensors, signature))
    samples = np.random.default_rng(1).normal(size=(4, 8)).astype(np.float32)
    with (folder / trial.named(".npz")).open("wb") as file:
        np.savez(file, input_0=samples)
    return trial


def attempt(trial: Trial, name: str, run: Run) -> tuple[str, str, list[str]]:
    """Run one command; ``done`` or ``refused``, the reason, and what should not be."""
    before = {*trial.folder.rglob("*")}
    serving = [_SERVE, "-b", _BOARD, "--key", "k", "--", trial.model]
    words = serving if name == _SERVE else COMMANDS[name](trial)
    done = run(name, words, trial.folder)
    out, err = done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
    faults = []
    if done.returncode not in (0, 2) or "Traceback" in err:
        faults.append(f"code {done.returncode}: {err[-1500:]}")
    messages = [line for line in err.splitlines() if not _PROGRESS.search(line)]
    # What tvmtiny bench prints of other models comes before the error of one.
    if done.returncode == 2 and (len(messages) != 1 or (out and name != "bench")):
        faults.append(f"an error is not one line: {err!r}")
    if done.returncode == 0 and messages and name != _SERVE:
        faults.append(f"success with a message: {messages}")
    if stray := strays(out + err):
        faults.append(f"printed raw: {stray!r}")
    written = [path for path in trial.folder.rglob("*") if path not in before]
    faults += [f"executed: {path}" for path in written if path.name == "pwned"]
    faults += [f"written when refused: {path}" for path in written if done.returncode == 2]
    for path in written:
        inner = Path(*path.relative_to(trial.folder).parts[1:])
        if inner.name and not _PLAIN.fullmatch(str(inner)):
            faults.append(f"a name: {str(inner)!r}")
    if done.returncode == 0 and name.startswith("export "):
        faults += build(name.removeprefix("export "), trial)
    outcome = "done" if done.returncode == 0 else "refused"
    return outcome, "; ".join(messages) if outcome == "refused" else "", faults


def build(form: str, trial: Trial) -> list[str]:
    """Build an export; what is wrong with that."""
    found = []
    for number, tool in enumerate(BUILDS[form]):
        work = trial.folder / f"work-{number}"
        work.mkdir()
        try:
            printed = tool(trial.folder / "exported", work)
        except (AssertionError, ValueError, OSError) as error:
            found.append(f"does not build: {str(error)[-1500:]}")
            continue
        if stray := strays(printed):
            found.append(f"the example prints raw: {stray!r}")
    found += [f"executed: {path}" for path in trial.folder.rglob("pwned")]
    return found


if __name__ == "__main__":
    main()
