"""Test every command and export with hostile names of files, tensors and signatures.

    python scripts/hostile_names.py
    python scripts/hostile_names.py --names newline comment --commands export serve

In each trial, one command is given a model whose file and tensors, or whose signature, have a
hostile name, and writes under that name if the user chooses the output. It must succeed, or fail
with one line that gives the reason. Its output must contain no character that a terminal
interprets, it must not execute anything, and the files inside its output must have plain names. An
export is built by its own tool with strict warnings. The program prints counts by command and
outcome, and every fault.
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
from tvmtiny.host.background_process import start_background, stop_background  # noqa: E402

_BOARD = "mps2-an386"
_SECONDS = 600
_PROGRESS = re.compile(r" \.\.\.$|^\d+ of \d+ trials; ")
_PLAIN = re.compile(r"[A-Za-z0-9_./-]+")


@dataclass(frozen=True)
class Trial:
    """The setting of a trial.

    Attributes
    ----------
    folder
        Private folder in which the command runs.
    model, float_model
        Relative paths of an int8 model and of a float32 version of it.
    output
        Name of the output, which is hostile if the model file's is.
    """

    folder: Path
    model: str
    float_model: str
    output: str

    def named(self, suffix: str) -> str:
        """Return the name of an output file."""
        return file_name(self.output, suffix)


#: Arguments of each command. Output goes below the folder of the trial.
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
#: Things that are given the name: the files and all tensors, or the signature's input and output.
ROLES = ("file", "signature")
_SERVE = "serve"
_INTERRUPTED = 130


def main() -> None:
    """Run the trials that the command line requests."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--names", nargs="+", default=list(NAMES), choices=list(NAMES))
    parser.add_argument("--roles", nargs="+", default=list(ROLES), choices=list(ROLES))
    groups = sorted({name.split()[0] for name in COMMANDS} | {_SERVE})
    parser.add_argument("--commands", nargs="+", default=groups, choices=groups)
    options = parser.parse_args()
    # Background processes of a shell ignore SIGINT, and tvmtiny serve would inherit that.
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
    """Provide a function that runs a command: ``serve`` until it serves, others to their end."""
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
    """Start TVM's tracker and provide its address."""
    if not wanted:
        yield ""
        return
    command = [sys.executable, "-m", "tvm.exec.rpc_tracker", "--host", "127.0.0.1"]
    process = start_background(
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
        stop_background(process)


def serve(words: Sequence[str], directory: Path) -> subprocess.CompletedProcess[bytes]:
    """Run ``tvmtiny serve`` and interrupt it once it serves, which counts as success."""
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
    """Run a command; return ``done`` or ``refused``, the reason, and any faults."""
    before = {*trial.folder.rglob("*")}
    serving = [_SERVE, "-b", _BOARD, "--key", "k", "--", trial.model]
    words = serving if name == _SERVE else COMMANDS[name](trial)
    done = run(name, words, trial.folder)
    out, err = done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
    faults = []
    if done.returncode not in (0, 2) or "Traceback" in err:
        faults.append(f"code {done.returncode}: {err[-1500:]}")
    messages = [line for line in err.splitlines() if not _PROGRESS.search(line)]
    # For tvmtiny bench, output about other models may precede an error.
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
    """Build an export and return any faults."""
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
