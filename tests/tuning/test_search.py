from __future__ import annotations

import itertools
import math
import subprocess
from pathlib import Path

import pytest

import tvmtiny
from tvmtiny.compiler import compile_layer
from tvmtiny.estimation.candidates import CandidateCosts
from tvmtiny.schedule import Decision, Goal, Sketch, Space, decisions_key, implement
from tvmtiny.targets import resolve
from tvmtiny.tuning.design_space import decisions_of, schedule_of, stand_in
from tvmtiny.tuning.features import LayerFeatures
from tvmtiny.tuning.search import RandomSearch, guided_searches


def test_a_schedule_of_the_stand_in_holds_its_decisions(tasks):
    for task in tasks:
        module = stand_in(task.space.workload.key)
        for decisions in itertools.islice(task.space, 0, None, 17):
            assert decisions_of(schedule_of(module, task.space, decisions), task.space) == decisions


def space_of(task, rows=(1, 2, 3, 4, 6, 8)) -> Space:
    return Space(
        task.space.workload,
        "cortex-m4",
        (
            Sketch(
                "fast",
                (
                    Decision("tile", ("1x4", "2x2", "3x2", "4x2", "8x1")),
                    Decision("weights", ("w8", "w16")),
                    Decision("unroll", (1, 2, 4, 8, 12, 16, 24)),
                    Decision("rows", rows),
                ),
            ),
            Sketch("scalar", (Decision("unroll", (1, 2, 4, 8)), Decision("order", ("p", "c")))),
        ),
        {"sketch": "fast", "tile": "1x4", "weights": "w8", "unroll": 1, "rows": 1},
    )


def cost(decisions) -> float | None:
    if decisions["sketch"] == "scalar":
        return 5000.0 - 100 * int(decisions["unroll"])
    if decisions["tile"] == "4x2" and decisions["unroll"] > 12:
        return None
    tile = {"1x4": 1.3, "2x2": 1.12, "3x2": 1.04, "4x2": 1.0, "8x1": 1.4}[decisions["tile"]]
    wide = {"w8": 1.05, "w16": 1.0}[decisions["weights"]]
    unroll = 1 + 0.4 / decisions["unroll"] + 0.004 * decisions["unroll"]
    return 1000 * tile * wide * unroll * (1 + 0.2 / decisions["rows"])


def follow(search, trials: int, enough: float = 0.0) -> list[float]:
    """The best cost after each trial, until the cost is `enough`."""
    best: list[float] = []
    while len(best) < trials and min(best, default=math.inf) > enough:
        asked = search.ask(min(4, trials - len(best)))
        results = [(decisions, cost(decisions)) for decisions in asked]
        search.tell(results)
        best += [result or math.inf for _, result in results]
    return list(itertools.accumulate(best, min))


def test_the_guided_search_needs_fewer_trials_than_random_search(tasks):
    """Half as many, for two seeds of three."""
    space = space_of(tasks[0])
    assert len(space) == 428
    reached: list[bool] = []
    while reached.count(True) < 2 and reached.count(False) < 2:
        seed = len(reached) + 1
        random_best = follow(RandomSearch(space, seed), 100)[-1]
        (guided,) = guided_searches([(tasks[0].node, space)], seed, 4)
        reached.append(follow(guided, 50, random_best)[-1] <= random_best)
    assert reached.count(True) == 2


def test_estimates_rank_the_first_trials(tasks):
    """Before anything is measured, and without candidates that cannot be implemented."""
    space = space_of(tasks[0])

    def estimate(_, decisions) -> float | None:
        found = cost(decisions)
        # Of the right order among tiles, but blind to the number of rows.
        return found and found / (1 + 0.2 / decisions.get("rows", 1))

    (search,) = guided_searches([(tasks[0].node, space)], 1, 4, estimate)
    known = sorted(found for d in space if (found := cost(d)) is not None)
    first = [cost(decisions) for decisions in search.ask(4)]
    assert None not in first and min(first) <= known[len(known) // 10]
    (search,) = guided_searches([(tasks[0].node, space)], 1, 4, estimate)
    with_estimates = len(follow(search, 100, known[0] * 1.001))
    (search,) = guided_searches([(tasks[0].node, space)], 1, 4)
    assert with_estimates < len(follow(search, 100, known[0] * 1.001))


def test_candidates_are_estimated_without_building_them(digits, tasks):
    target = resolve("cortex-m4")
    estimate = CandidateCosts.of(digits, target, Goal.BALANCED)
    assert estimate is not None
    layers = {layer.name: layer for layer in tvmtiny.cost(digits, target).layers}
    for task in tasks:
        default = estimate(task.node, task.space.default)
        estimated = layers[task.node.output.name].estimated_cycles
        assert default == pytest.approx(estimated, rel=0.05), task.label
        step = len(task.space) // 2
        found = {estimate(task.node, d) for d in itertools.islice(task.space, 0, None, step)}
        assert len(found - {None}) > 1, task.label
    assert CandidateCosts.of(digits, resolve("rv32imc"), Goal.BALANCED) is None


def test_a_candidate_that_was_estimated_has_its_code(digits, tasks, monkeypatch):
    """Candidates are implemented once, and the code is that of a candidate by itself."""
    target, task = resolve("cortex-m4"), tasks[0]
    implemented = []
    monkeypatch.setattr(
        "tvmtiny.estimation.candidates.implement",
        lambda *given: implemented.append(given[-1]) or implement(*given),
    )
    costs = CandidateCosts.of(digits, target, Goal.BALANCED)
    assert costs is not None
    some = [d for i, d in enumerate(task.space) if i % 3 == 0 or d == task.space.default]
    found = {decisions_key(d): costs(task.node, d) for d in some}
    assert len(implemented) == len(some) > 16
    fastest = min((d for d in some if found[decisions_key(d)]), key=lambda d: costs(task.node, d))
    code = costs.artifact(task.node, fastest)
    assert len(implemented) == len(some)
    expected = compile_layer(digits, task.node, target, fastest, name="layer")
    assert code is not None and expected is not None
    assert (code.files, code.parameters) == (expected.files, expected.parameters)
    assert costs.artifact(task.node, fastest) is None


def test_no_search_proposes_what_it_was_told(tasks):
    space = space_of(tasks[0], rows=(1, 2))
    (guided,) = guided_searches([(tasks[0].node, space)], 1, 4)
    for search in (RandomSearch(space, 1), guided):
        told = list(itertools.islice(space, len(space) - 8))
        search.tell([(decisions, cost(decisions)) for decisions in told])
        known = {decisions_key(decisions) for decisions in told}
        found = []
        while asked := search.ask(4):
            found += [decisions_key(decisions) for decisions in asked]
            search.tell([(decisions, cost(decisions)) for decisions in asked])
        assert len(set(found)) == len(found) and not known & set(found)
        assert len(found) == len(space) - len(known)


def test_features_tell_candidates_of_a_layer_apart(tasks):
    for task in tasks:
        describe = LayerFeatures(task.node)
        seen = [tuple(sorted(describe(decisions).items())) for decisions in task.space]
        assert len(set(seen)) == len(seen)


def test_xgboost_is_imported_where_it_trains(warm_programs: Path) -> None:
    """Neither commands that tune nothing nor the collection of tests import them."""
    code = "import sys, tvmtiny.tuning.search; sys.exit('xgboost' in sys.modules)"
    subprocess.run([warm_programs / "python", "-c", code], check=True)
