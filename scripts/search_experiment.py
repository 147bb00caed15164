"""Compare the guided search with random search on layers whose spaces are fully measured.

    python scripts/search_experiment.py --cache tables.json --board mps2-an386 \
        vww_int8.tflite:1,5,7 kws_int8.tflite:1,2

First, every candidate of the named layers (positions in the optimized graph) is built, executed in
Unicorn and compared with the reference; `--cache` keeps the tables for later runs. Then both
searches run on the tables, five times each: how many trials does the guided search need to find a
candidate as good as the best that random search finds in 300? Here it is not told the default
rule's candidate, which a tuning run measures first. Random search exhausts a space with fewer
candidates; the limit is then half of the space's size.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import pickle
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from tvm.support.popen_pool import PopenPoolExecutor

import tvmtiny
from tvmtiny.compiler import optimized_nodes
from tvmtiny.estimation.candidates import CandidateCosts
from tvmtiny.host.files import write_text
from tvmtiny.schedule import Decisions, Goal, decisions_key
from tvmtiny.schedule.records import Status
from tvmtiny.targets import Target, find_board
from tvmtiny.tuning import worker
from tvmtiny.tuning.candidate_program import CandidateRegion
from tvmtiny.tuning.emulation import Emulation
from tvmtiny.tuning.search import RandomSearch, Search, guided_searches
from tvmtiny.tuning.tasks import (
    Task,
    layer_inputs,
    make_tasks,
    reference_outputs,
    same_outputs,
)

#: Figure by the key of the decisions; None if the candidate failed.
Table = Mapping[str, float | None]

RANDOM_TRIALS = 300
ROUND = 4
TIMEOUT = 300.0


def measure(
    workshop_path: Path, position: int, decisions: Decisions, directory: Path
) -> tuple[bool, float | None]:
    """Return whether the decisions are valid, and estimated cycles; runs in a worker process."""
    workshop = worker.open_workshop(workshop_path)
    node = workshop.nodes[position]
    built = worker.build_candidate(workshop_path, position, decisions, directory)
    if built.status is None:
        return False, None
    if built.status is not Status.OK or built.image is None:
        return True, None
    inputs = layer_inputs(node)
    data = [array.tobytes() for array in inputs]
    found = worker.estimate(workshop_path, built.image, data, TIMEOUT / 2)
    if not isinstance(found, Emulation):
        return True, None
    expected = reference_outputs(node, inputs, workshop.model.oracle)
    if same_outputs(found.outputs, expected) is not None:
        return True, None
    return True, float(found.estimated_cycles)


def measure_space(
    workshop: worker.Workshop, task: Task, workers: int, tell: Callable[[str], None]
) -> dict[str, float | None]:
    """Measure all valid candidates of a layer."""
    position = workshop.nodes.index(task.node)
    with tempfile.TemporaryDirectory(prefix="tvmtiny-experiment-") as name:
        path = Path(name) / "workshop"
        path.write_bytes(pickle.dumps(workshop))
        pool = PopenPoolExecutor(workers, timeout=TIMEOUT, initializer=worker.prepare)
        futures = [
            (decisions, pool.submit(measure, path, position, decisions, Path(name) / str(number)))
            for number, decisions in enumerate(task.space)
        ]
        table: dict[str, float | None] = {}
        for number, (decisions, future) in enumerate(futures, 1):
            valid, figure = future.result()
            if valid:
                table[decisions_key(decisions)] = figure
            if number % 50 == 0:
                tell(f"{task.label}: {number} of {len(futures)} candidates")
        pool.shutdown(wait=True)
    return table


def follow(search: Search, table: Table, limit: int, wanted: float | None) -> tuple[int, float]:
    """Return the trials until `wanted` is reached, at most `limit`, and the best figure by then."""
    trials, best = 0, float("inf")
    while trials < limit:
        asked = search.ask(min(ROUND, limit - trials))
        if not asked:
            break
        results = []
        for decisions in asked:
            key = decisions_key(decisions)
            results.append((decisions, table.get(key)))
            if key in table:
                trials += 1
                best = min(best, table[key] or float("inf"))
                if wanted is not None and best <= wanted:
                    return trials, best
        search.tell(results)
    return trials, best


def compare(
    task: Task, table: Table, seeds: range, estimate: CandidateCosts | None
) -> dict[str, object]:
    """Compute the medians over the seeds for one layer."""
    known = [figure for figure in table.values() if figure is not None]
    limit = min(RANDOM_TRIALS, len(table))
    random_trials, guided_trials, estimated_trials, random_best = [], [], [], []
    to_best: dict[str, list[int]] = {"without": [], "with": []}
    for seed in seeds:
        _, best = follow(RandomSearch(task.space, seed), table, limit, None)
        reached, _ = follow(RandomSearch(task.space, seed), table, limit, best)
        (guided,) = guided_searches([(task.node, task.space)], seed, ROUND)
        found, _ = follow(guided, table, len(table), best)
        (estimating,) = guided_searches([(task.node, task.space)], seed, ROUND, estimate)
        estimated, _ = follow(estimating, table, len(table), best)
        estimated_trials.append(estimated)
        for name, of in (("without", None), ("with", estimate)):
            (search,) = guided_searches([(task.node, task.space)], seed, ROUND, of)
            to_best[name].append(follow(search, table, len(table), min(known))[0])
        random_best.append(best)
        random_trials.append(reached)
        guided_trials.append(found)
    assert task.space.default is not None
    return {
        "layer": task.space.workload.key,
        "candidates": len(table),
        "failed": len(table) - len(known),
        "best": min(known),
        "default": table.get(decisions_key(task.space.default)),
        "best of random search": statistics.median(random_best),
        "limit": limit // 2,
        "random search reached its best after": statistics.median(random_trials),
        "guided search reached that after": statistics.median(guided_trials),
        "guided search, by seed": guided_trials,
        "with estimates, by seed": estimated_trials,
        "trials to the best of all, without estimates": to_best["without"],
        "trials to the best of all, with estimates": to_best["with"],
        "within half": statistics.median(guided_trials) <= limit // 2,
    }


def main() -> int:
    """Parse the command line, measure and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("layers", nargs="+", metavar="MODEL:LAYER,...")
    parser.add_argument("--board", default="mps2-an386")
    parser.add_argument("--cache", type=Path, help="JSON file that keeps the measured tables")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    board = find_board(arguments.board)
    tables: dict[str, dict[str, float | None]] = {}
    if arguments.cache is not None:
        with contextlib.suppress(FileNotFoundError):
            tables = json.loads(arguments.cache.read_text(encoding="utf-8"))
    results = []
    for word in arguments.layers:
        path, _, numbers = word.rpartition(":")
        model = tvmtiny.load(path)
        nodes = optimized_nodes(model)
        region = CandidateRegion(board.data.origin + (1 << 18), 1 << 21)
        target = Target(board.cpu, board)
        workshop = worker.Workshop(
            model, nodes, target, Goal.BALANCED, region, worker.compile_candidate
        )
        wanted = [int(number) for number in numbers.split(",")]
        for task in make_tasks(nodes, board.cpu, model.oracle, Goal.BALANCED):
            if not set(task.layers) & set(wanted):
                continue
            key = f"{board.cpu.name} {task.space.workload.key} {len(task.space)}"
            if key not in tables:
                tables[key] = measure_space(
                    workshop, task, arguments.workers, lambda text: print(text, file=sys.stderr)
                )
                if arguments.cache is not None:
                    write_text(arguments.cache, json.dumps(tables))
            estimate = CandidateCosts.of(model, target, Goal.SPEED)
            seeds = range(1, arguments.seeds + 1)
            results.append(compare(task, tables[key], seeds, estimate))
            print(json.dumps(results[-1], indent=2), flush=True)
    reached = sum(bool(result["within half"]) for result in results)
    print(f"{reached} of {len(results)} layers within half of the trials")
    return 0 if reached >= min(3, len(results)) else 1


if __name__ == "__main__":
    sys.exit(main())
