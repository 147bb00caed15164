"""Damage models in thousands of ways and see that each ends in a result or a clear error.

Every model is inspected, loaded, compiled and run by LiteRT in a worker process, which may take
only so many seconds of computation and so much memory. Prints what the outcomes were, and every
failure with the seed that shows it again.
"""

from __future__ import annotations

import argparse
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import IO

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

#: A new process after so many models, so that memory tells something of the few before.
_BATCH = 250
_START_SECONDS = 120.0
#: Other processes may take most of the machine's time.
_PATIENCE_SECONDS = 900.0


def work(seconds: float) -> None:
    """Try the models whose names and seeds come in; answer with seconds, kilobytes, outcome."""
    from mutated_models import mutated, originals, outcome

    known = originals()
    # What runs in this process must not write to its output.
    answers = sys.stdout
    sys.stdout = sys.stderr
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        name, seed = line.split()
        # Ends the process where computation takes too long, be it in Python or below.
        signal.setitimer(signal.ITIMER_PROF, seconds)
        begin = time.process_time()
        try:
            result = outcome(mutated(known[name], int(seed)), int(seed))
        except BaseException as error:
            result = f"CRASH {type(error).__name__}: {str(error).splitlines()[:1]}"
        signal.setitimer(signal.ITIMER_PROF, 0)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(f"{time.process_time() - begin:.2f} {memory} {result}", file=answers, flush=True)


class Worker:
    """A process that tries models."""

    def __init__(self, seconds: float) -> None:
        command = [sys.executable, __file__, "--worker", "--seconds", str(seconds)]
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

    def attempt(self, name: str, seed: int) -> str | None:
        """The answer; None where there is none."""
        self._stdin.write(f"{name} {seed}\n")
        self._stdin.flush()
        return self._next(_PATIENCE_SECONDS)

    def stop(self) -> int:
        """End the process; its exit code, negative where a signal had ended it before."""
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


def main() -> int:
    """Parse the command line; 1 where anything failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--first", type=int, default=0, help="seed of the first model")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--megabytes", type=int, default=2048)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments.seconds)
        return 0
    from mutated_models import originals

    names = sorted(originals())
    outcomes: Counter[str] = Counter()
    failures: list[str] = []
    slowest, largest = 0.0, 0
    worker, used = Worker(arguments.seconds), 0
    for seed in range(arguments.first, arguments.first + arguments.count):
        name = names[seed % len(names)]
        if used == _BATCH:
            worker.stop()
            worker, used = Worker(arguments.seconds), 0
        answer = worker.attempt(name, seed)
        used += 1
        if answer is None:
            code = worker.stop()
            late = code in (0, -signal.SIGPROF)
            result = f"HANG over {arguments.seconds:.0f} s" if late else f"DIED ({code})"
            worker, used = Worker(arguments.seconds), 0
        else:
            seconds, kilobytes, result = answer.split(maxsplit=2)
            slowest, largest = max(slowest, float(seconds)), max(largest, int(kilobytes))
            if int(kilobytes) > arguments.megabytes * 1024:
                result = f"MEMORY {kilobytes} KB"
        outcomes[result.split(":")[0]] += 1
        if result.split()[0] in ("CRASH", "DIED", "HANG", "MEMORY"):
            failures.append(f"{name} {seed}: {result}")
            print(failures[-1], flush=True)
    worker.stop()
    print(f"{arguments.count} models damaged from {len(names)}: {', '.join(names)}")
    for result, count in outcomes.most_common():
        print(f"{count:6d} {result}")
    print(f"slowest {slowest:.1f} s, largest process {largest / 1024:.0f} MB")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
