"""Test random graphs and damaged models by the thousand, and reduce those that fail.

Random graphs have operators and dtypes of all kinds, branches, several outputs, shared tensors, and
scales from 1e-8 to 1e6. Their numpy references, and their C on this machine under sanitizers, must
reproduce LiteRT's bytes. Damaged models are inspected, loaded, compiled and run by LiteRT; those
that survive are compared in the same way. Each must end in a result or in a clear error.

The tests run in a worker process with limits on computing time and memory. The program prints the
outcomes, and each failure with the seed that reproduces it. The smallest failing model, if one can
be found, is written to a folder.
"""

from __future__ import annotations

import argparse
import json
import resource
import signal
import subprocess
import sys
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

#: Number of models after which the process is replaced, so that its memory reflects recent models.
_MODELS_A_PROCESS = 250
_START_SECONDS = 600.0
#: Generous, because other processes may take most of the machine's time.
_PATIENCE_SECONDS = 1800.0


def work(kind: str, seconds: float, folder: Path) -> None:
    """Test the seeds on each line of stdin, and answer each line with a line of outcomes."""
    from fuzzing import smallest, try_graphs, try_mutants

    attempt = {"graphs": try_graphs, "mutants": try_mutants}[kind]
    # Code that runs in this process must not write to the stream of answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        seeds = [int(word) for word in line.split()]
        # Kills the process if computation takes too long, whether in Python or in native code.
        signal.setitimer(signal.ITIMER_PROF, seconds * len(seeds))
        found: list[Any] = []
        try:
            for tried in attempt(seeds):
                detail = tried.outcome.detail
                if tried.outcome.failed and tried.content:
                    content, operators = smallest(tried)
                    folder.mkdir(parents=True, exist_ok=True)
                    (folder / f"{kind}_{tried.seed}.tflite").write_bytes(content)
                    detail = f"{detail} (smallest: {operators})"
                found.append([tried.seed, tried.outcome.kind, detail, tried.refused])
        except Exception:
            # If there were several seeds, the main process retries each of them.
            found = [[seeds[0], "traceback", traceback.format_exc(limit=-3), ()]]
        signal.setitimer(signal.ITIMER_PROF, 0)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(json.dumps({"kilobytes": memory, "found": found}), file=answers, flush=True)


class Worker:
    """A process that tests models."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        command = [sys.executable, __file__, arguments.kind, "--worker"]
        command += ["--seconds", str(arguments.seconds), "--output", str(arguments.output)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._stdin = self._process.stdin
        self._lines: Queue[str] = Queue()
        Thread(target=self._read, args=(self._process.stdout,), daemon=True).start()
        assert self._next(_START_SECONDS) == "ready"

    def attempt(self, seeds: Sequence[int]) -> dict[str, Any] | None:
        """Return the answer; None if there is none."""
        self._stdin.write(" ".join(map(str, seeds)) + "\n")
        self._stdin.flush()
        line = self._next(_PATIENCE_SECONDS)
        return None if line is None else json.loads(line)

    def stop(self) -> int:
        """Kill the process and return its exit code, negative if a signal had already ended it."""
        ended = self._process.poll()
        self._process.kill()
        self._process.wait()
        return 0 if ended is None else ended

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            self._lines.put(line.strip())
        self._lines.put("")

    def _next(self, seconds: float) -> str | None:
        try:
            return self._lines.get(timeout=seconds) or None
        except Empty:
            return None


class Campaign:
    """Test seeds with a sequence of workers, and count the outcomes."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.outcomes: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.failures = 0
        self.kilobytes = 0
        self._arguments = arguments
        self._worker, self._used = Worker(arguments), 0

    def attempt(self, seeds: Sequence[int]) -> None:
        """Test seeds together; retry them one by one if the worker exits or raises."""
        if self._used >= _MODELS_A_PROCESS:
            self._renew()
        self._used += len(seeds)
        answer = self._worker.attempt(seeds)
        failed = answer is None or len(answer["found"]) != len(seeds)
        if failed and len(seeds) > 1:
            if answer is None:
                self._renew()
            for seed in seeds:
                self.attempt([seed])
            return
        if answer is None:
            code = self._renew()
            late = code in (0, -signal.SIGPROF)
            kind = f"over {self._arguments.seconds:.0f} s" if late else f"process ended by {code}"
            self._count(seeds[0], kind, "", ())
            return
        self.kilobytes = max(self.kilobytes, answer["kilobytes"])
        for seed, kind, detail, refused in answer["found"]:
            self._count(seed, kind, detail, refused)
        if answer["kilobytes"] > self._arguments.megabytes * 1024:
            self._count(seeds[0], "too much memory", f"{answer['kilobytes']:,} KB", ())
            self._renew()

    def stop(self) -> None:
        """Stop the worker."""
        self._worker.stop()

    def _renew(self) -> int:
        code = self._worker.stop()
        self._worker, self._used = Worker(self._arguments), 0
        return code

    def _count(self, seed: int, kind: str, detail: str, refused: Sequence[str]) -> None:
        # Names of tvmtiny's errors contain no spaces.
        error = f": {detail}" if kind == "refused" and " " not in detail else ""
        self.outcomes[f"{kind}{error}"] += 1
        self.refused.update(reason.partition(":")[0] for reason in refused)
        if kind not in ("exact", "refused", "refused by LiteRT"):
            self.failures += 1
            print(f"{self._arguments.kind} {seed}: {kind}: {detail}", flush=True)


def main() -> int:
    """Parse the command line and run; return 1 if anything failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=["graphs", "mutants"])
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--together", type=int, default=25, help="models in one build")
    parser.add_argument("--seconds", type=float, default=10.0, help="of computation for a model")
    parser.add_argument("--megabytes", type=int, default=2048, help="of memory")
    parser.add_argument("--output", type=Path, default=Path("failures"), help="a folder")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments.kind, arguments.seconds, arguments.output)
        return 0
    campaign = Campaign(arguments)
    last = arguments.first + arguments.count
    for first in range(arguments.first, last, arguments.together):
        campaign.attempt(range(first, min(first + arguments.together, last)))
        done = min(first + arguments.together, last) - arguments.first
        print(f"{done} of {arguments.count}, {campaign.failures} failures", file=sys.stderr)
    campaign.stop()
    print(f"{arguments.count} {arguments.kind} from seed {arguments.first}")
    for result, count in campaign.outcomes.most_common():
        print(f"{count:6d} {result}")
    if campaign.refused:
        listed = ", ".join(f"{name} {n}" for name, n in campaign.refused.most_common())
        print(f"layers that were left out, by operator: {listed}")
    print(f"largest process {campaign.kilobytes / 1024:.0f} MB")
    return 1 if campaign.failures else 0


if __name__ == "__main__":
    sys.exit(main())
