"""Run many inferences in one session, checking for wrong results and growing memory.

Example: python scripts/soak.py sww_int8.tflite --board mps2-an386 --runs 1000
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import time
from pathlib import Path

import numpy as np

import tvmtiny
from tvmtiny import models
from tvmtiny.oracle import run_litert

#: Number of inferences after which caches of the host are full.
WARM_UP = 50
#: Growth in kilobytes that the host is allowed after that, due to the allocator's granularity.
HOST_GROWTH_KB = 4096


def resident_kb() -> int:
    """Return the resident memory of this process in KB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() // 1024


def main() -> int:
    """Run the soak test; return 0 if all results were right and no memory grew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a .tflite file, or the name of a shipped model")
    parser.add_argument(
        "--board", default="mps2-an386", help="a board, or the port of a flashed one"
    )
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--inputs", type=int, default=10, help="different inputs")
    options = parser.parse_args()
    path = models.path(options.model) if options.model in models.names() else options.model
    model = tvmtiny.load(path)
    artifact = tvmtiny.compile(model, options.board)
    inputs = [
        tvmtiny.make_inputs(f"random:{seed}", artifact.inputs) for seed in range(options.inputs)
    ]
    expected = [run_litert(model.content, values) for values in inputs]
    wrong = 0
    seconds: list[float] = []
    with tvmtiny.Session(artifact, options.board) as session:
        echo = session.remote.get_function("tvmtiny.echo")
        memory = [session.memory().heap_free_bytes]
        for number in range(options.runs):
            chosen = number % options.inputs
            began = time.perf_counter()
            outputs = session.run(*inputs[chosen])
            seconds.append(time.perf_counter() - began)
            for tensor, output in zip(model.graph.outputs, outputs, strict=True):
                wrong += not np.array_equal(output, expected[chosen][tensor.index])
            if number == min(WARM_UP, options.runs - 1):
                memory.append(session.memory().heap_free_bytes)
                host = resident_kb()
        memory.append(session.memory().heap_free_bytes)
        grown = resident_kb() - host
        calls = []
        for _ in range(200):
            began = time.perf_counter()
            echo(b"")
            calls.append(time.perf_counter() - began)
        counts = session.statistics()
    print(f"{options.runs} inferences, {wrong} wrong outputs")
    print(f"free heap of the board at the start, then, at the end: {memory} bytes")
    print(f"host grew by {grown} KB after {WARM_UP} inferences")
    print(f"inference with its transfers: median {statistics.median(seconds) * 1e3:.1f} ms")
    print(f"empty call there and back: median {statistics.median(calls) * 1e3:.2f} ms")
    print(f"frames repeated {counts['frames_repeated']}, dropped {counts['frames_dropped']}")
    steady = len(set(memory)) == 1 and grown <= HOST_GROWTH_KB
    return 0 if not wrong and steady else 1


if __name__ == "__main__":
    sys.exit(main())
