#!/usr/bin/env python3
"""Measure the error of ``tvmtiny cost`` against QEMU's counts over random small networks.

    scripts/cost_error.py cortex-m4 --count 200

With ``--counts FILE``, counts are added to that file, and networks in it are not run again, so that
a new table can be judged within seconds. The file must not outlive a change of a kernel. A network
that does not fit the core's board is named, and the next one takes its place.

Prints the median and the largest error of the instructions of whole networks, and the processor
time of an estimate. Arena and constants must match exactly.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import numpy as np
from object_cache import ObjectCache
from random_networks import random_network

import tvmtiny
from tvmtiny.errors import CapacityError
from tvmtiny.frontend import Model
from tvmtiny.host import toolchain
from tvmtiny.memory.exact import load_solver

#: Emulated board for each CPU.
BOARDS = {
    "cortex-m0": "microbit",
    "cortex-m3": "mps2-an385",
    "cortex-m4": "mps2-an386",
    "cortex-m33": "mps2-an505",
}


def main() -> None:
    """Parse arguments and compare estimates with measurements."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cpu", choices=BOARDS)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument(
        "--counts", type=Path, help="keeps what was counted, one network on each line"
    )
    parser.add_argument("--objects", type=Path, help="keeps what is compiled for all networks")
    options = parser.parse_args()
    if options.objects:
        toolchain.run_tool = ObjectCache(options.objects, toolchain.run_tool).run
    board = BOARDS[options.cpu]
    counts = {}
    if options.counts and options.counts.exists():
        lines = options.counts.read_text(encoding="utf-8").splitlines()
        counts = {r["seed"]: r["counts"] for r in map(json.loads, lines) if r["cpu"] == options.cpu}
    # Some networks are the first that need the solver for the arena, whose time is that of imports.
    load_solver()
    errors: list[tuple[float, int]] = []
    seconds: list[float] = []
    seeds = itertools.count(options.first)
    while len(errors) < options.count:
        seed = next(seeds)
        with TemporaryDirectory() as folder:
            file = Path(folder) / f"network{seed}.tflite"
            file.write_bytes(random_network(seed))
            model = tvmtiny.load(file)
        begin = time.process_time()
        found = tvmtiny.cost(model, board)
        spent = time.process_time() - begin
        try:
            known = counts.get(seed) or counted(model, board)
        except CapacityError as error:
            print(f"seed {seed}: {error}", file=sys.stderr)
            continue
        seconds.append(spent)
        if seed not in counts and options.counts:
            with options.counts.open("a", encoding="utf-8") as kept:
                kept.write(json.dumps({"cpu": options.cpu, "seed": seed, "counts": known}) + "\n")
        instructions, *sizes = known
        assert [found.total.arena_bytes, found.total.constants_bytes] == sizes, seed
        errors.append((found.total.instructions / instructions - 1, seed))
        if len(errors) % 20 == 0:
            print(summary(options.cpu, errors, seconds), file=sys.stderr, flush=True)
    print(summary(options.cpu, errors, seconds))
    worst = sorted(errors, key=lambda found: -abs(found[0]))[:10]
    print("worst: " + ", ".join(f"seed {seed} {error:+.1%}" for error, seed in worst))


def counted(model: Model, board: str) -> list[int]:
    """Compile and run a network; return its instructions, arena bytes and constant bytes."""
    artifact = tvmtiny.compile(model, board)
    instructions = tvmtiny.run(
        artifact, *tvmtiny.make_inputs("random:0", artifact.inputs)
    ).instructions
    assert instructions is not None
    return [instructions, artifact.arena_bytes, artifact.constants_bytes]


def summary(cpu: str, errors: list[tuple[float, int]], seconds: list[float]) -> str:
    """Summarize all networks so far on one line; the time of the first one includes imports."""
    sizes = np.abs([error for error, _ in errors])
    later = seconds[1:] or seconds
    return (
        f"{cpu}: {len(errors)} networks, median {np.median(sizes):.2%}, at most {sizes.max():.2%}, "
        f"{np.median(later):.3f} s of processor time each (at most {max(later):.3f})"
    )


if __name__ == "__main__":
    main()
