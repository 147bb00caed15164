"""Properties of the arena plan."""

from __future__ import annotations

import signal
import sys
from dataclasses import replace
from importlib import import_module
from itertools import combinations, product
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tvmtiny.memory import Inside, Overlap, Plan, Problem, Request, exact, plan
from tvmtiny.memory.exact import Solution
from tvmtiny.memory.problem import Conflicts

#: Random requests are harder to place than requests of networks.
TIME_LIMIT = 0.01


@pytest.fixture(autouse=True)
def forgotten() -> None:
    """Compute each plan anew, whatever an earlier test requested."""
    import_module("tvmtiny.memory.plan")._plan.cache_clear()


@st.composite
def problems(draw: st.DrawFn, most: int = 20, largest: int = 300) -> Problem:
    """Random requests; some pairs may overlap, and some lie inside others."""
    drawn = draw(
        st.lists(
            st.tuples(
                st.integers(0, largest),
                st.integers(0, 12),
                st.integers(0, 6),
                st.sampled_from([1, 4, 4, 4, 8, 16]),
            ),
            max_size=most,
        )
    )
    requests = [
        Request(f"r{i}", size, first, first + length, alignment)
        for i, (size, first, length, alignment) in enumerate(drawn)
    ]
    overlaps = [
        Overlap(
            written.name,
            read.name,
            draw(st.integers(-largest, largest)),
            draw(st.sampled_from([1, 1, 2, 3, 4, 12])),
        )
        for read, written in product(requests, requests)
        if read is not written
        and read.last == written.first > read.first
        and draw(st.integers(0, 2))
    ]
    insides: list[Inside] = []
    for outer in requests[:3]:
        start, size = 0, draw(st.integers(0, 2))
        parts = [r for r in requests[3:] if r.name not in {i.inner for i in insides}][:size]
        for inner in parts:
            start = -(-start // inner.alignment) * inner.alignment
            insides.append(Inside(inner.name, outer.name, start))
            start += inner.size
        if parts:
            requests[requests.index(outer)] = replace(outer, size=max(start, outer.size))
    return Problem(tuple(requests), tuple(overlaps), tuple(insides))


def solved(problem: Problem, time_limit: float = TIME_LIMIT) -> Plan:
    return plan(problem.requests, problem.overlaps, problem.insides, time_limit)


def may_share(problem: Problem, a: Request, b: Request, offsets: dict[str, int]) -> bool:
    """Whether two requests that are not disjoint are allowed to overlap as they do."""
    if a.last < b.first or b.last < a.first:
        return True
    names = {a.name, b.name}
    if any({i.inner, i.outer} == names for i in problem.insides):
        return True
    return any(
        {o.written, o.read} == names
        and (excess := offsets[o.read] - offsets[o.written] - o.before) >= 0
        and excess % o.multiple == 0
        for o in problem.overlaps
    )


def is_valid(problem: Problem, offsets: dict[str, int]) -> bool:
    for a, b in combinations(problem.requests, 2):
        start_a, start_b = offsets[a.name], offsets[b.name]
        disjoint = start_a + a.size <= start_b or start_b + b.size <= start_a
        if a.size and b.size and not disjoint and not may_share(problem, a, b, offsets):
            return False
    return all(offsets[i.inner] - offsets[i.outer] == i.offset for i in problem.insides) and all(
        offsets[r.name] >= 0 and offsets[r.name] % r.alignment == 0 for r in problem.requests
    )


def brute_force(problem: Problem, largest: int) -> int:
    """The smallest end over all aligned offsets below `largest`."""
    best = largest

    def extend(offsets: dict[str, int], end: int) -> None:
        nonlocal best
        if end >= best:
            return
        if len(offsets) == len(problem.requests):
            best = end
            return
        request = problem.requests[len(offsets)]
        known = [r for r in problem.requests if r.name in offsets or r is request]
        names = {r.name for r in known}
        part = Problem(
            tuple(known),
            problem.overlaps,
            tuple(i for i in problem.insides if {i.inner, i.outer} <= names),
        )
        for offset in range(0, best - request.size, request.alignment):
            candidate = {**offsets, request.name: offset}
            if is_valid(part, candidate):
                extend(candidate, max(end, offset + request.size))

    extend({}, 0)
    return best


@settings(max_examples=200, deadline=None, derandomize=True)
@given(problem=problems())
def test_plans_are_valid_and_the_solver_is_never_worse(problem: Problem) -> None:
    result = solved(problem)
    assert set(result.offsets) == {r.name for r in problem.requests}
    assert is_valid(problem, dict(result.offsets))
    ends = [result.offsets[r.name] + r.size for r in problem.requests]
    assert result.total == max(ends, default=0)
    greedy = solved(problem, time_limit=0)
    assert is_valid(problem, dict(greedy.offsets))
    assert greedy.lower_bound <= result.lower_bound <= result.total <= greedy.total


@settings(max_examples=60, deadline=None, derandomize=True)
@given(problem=problems(most=4, largest=20))
def test_small_plans_are_optimal(problem: Problem) -> None:
    result = solved(problem, time_limit=5.0)
    assert result.optimal
    assert brute_force(problem, result.total + 1) == result.total


@settings(max_examples=40, deadline=None, derandomize=True)
@given(problem=problems(), data=st.data())
def test_the_order_of_arguments_does_not_matter(problem: Problem, data: st.DataObject) -> None:
    shuffled = Problem(
        tuple(data.draw(st.permutations(problem.requests))),
        tuple(data.draw(st.permutations(problem.overlaps))),
        tuple(data.draw(st.permutations(problem.insides))),
    )
    assert solved(shuffled) == solved(problem)


def test_nothing() -> None:
    assert plan([]) == Plan({}, 0, 0)


def test_a_chain_takes_two_buffers() -> None:
    chain = [Request(f"r{i}", 100, i, i + 1) for i in range(10)]
    result = plan(chain)
    assert (result.total, result.optimal) == (200, True)


def test_a_chain_in_place_takes_one_buffer() -> None:
    chain = [Request(f"r{i}", 100, i, i + 1) for i in range(10)]
    overlaps = [Overlap(f"r{i + 1}", f"r{i}", 0) for i in range(9)]
    assert plan(chain, overlaps).total == 100
    # Each request may start eight bytes before the one that it overwrites.
    ahead = [Overlap(o.written, o.read, 8) for o in overlaps]
    assert plan(chain, ahead).total == 100 + 9 * 8
    behind = [Overlap(o.written, o.read, -8) for o in overlaps]
    assert plan(chain, behind).total == 100


def test_a_multiple_is_kept() -> None:
    requests = [Request("x", 40, 0, 1), Request("y", 40, 1, 2), Request("workspace", 8, 1, 1)]
    result = plan(requests, [Overlap("y", "x", 4, 12)])
    assert (result.offsets["x"] - result.offsets["y"] - 4) % 12 == 0
    assert result.total == 4 + 40 + 8


def test_parts_of_a_whole_take_no_memory_of_their_own() -> None:
    requests = [Request("a", 40, 1, 3), Request("b", 60, 2, 3), Request("ab", 100, 3, 4)]
    insides = [Inside("a", "ab", 0), Inside("b", "ab", 40)]
    result = plan(requests, insides=insides)
    assert result.total == 100
    assert [result.offsets[n] - result.offsets["ab"] for n in ("a", "b")] == [0, 40]
    assert plan(requests).total == 200


@pytest.mark.parametrize("sizes", [(100, 60, 40), (40, 60, 100), (60, 100, 40)])
def test_requests_that_never_meet_share_memory(sizes: tuple[int, ...]) -> None:
    apart = [Request(f"r{i}", size, 2 * i, 2 * i + 1) for i, size in enumerate(sizes)]
    assert plan(apart).total == max(sizes)


#: The simple bound uses the smallest alignment only: the solver proves that 17 bytes are needed.
ALIGNED = [
    Request("a", 1, 0, 0, alignment=8),
    Request("b", 1, 0, 0, alignment=8),
    Request("c", 8, 0, 0),
]


def test_without_time_the_bound_is_stated_as_such() -> None:
    assert plan(ALIGNED) == Plan({"c": 0, "a": 8, "b": 16}, 17, 17)
    greedy = plan(ALIGNED, time_limit=0)
    assert (greedy.total, greedy.lower_bound, greedy.optimal) == (17, 13, False)


@pytest.mark.parametrize("sizes", [(1, 1), (3, 7, 5, 8), (7, 8)])
def test_the_simple_bound_counts_padding_behind_all_but_the_last(sizes: tuple[int, ...]) -> None:
    together = plan([Request(f"r{i}", s, 0, 0) for i, s in enumerate(sizes)], time_limit=0)
    padding = [-size % 4 for size in sizes]
    assert together.lower_bound == sum(sizes) + sum(padding) - max(padding)


def test_the_simple_bound_counts_what_overlaps_cannot_share() -> None:
    """A search for offsets would prove the same; for rings it would take seconds."""
    read = [Request("a", 60, 0, 1), Request("b", 48, 0, 1), Request("beside", 20, 1, 1)]
    written = Request("written", 80, 1, 2)
    overlaps = [Overlap("written", "a", 36), Overlap("written", "b", 52)]
    greedy = plan([*read, written], overlaps, time_limit=0)
    assert greedy.lower_bound == 60 + 48 + 20 + 36
    assert plan([*read, written], overlaps).total == greedy.lower_bound
    # Without its own start nothing is left of it: all may lie at the same place.
    assert plan([read[0], written], [Overlap("written", "a", -8)], time_limit=0).lower_bound == 80


@pytest.mark.parametrize(
    ("insides", "words"),
    [
        ([Inside("a", "b", 4)], "do not fit"),
        ([Inside("a", "b", -4)], "do not fit"),
        ([Inside("c", "b", 2)], "not aligned"),
        ([Inside("a", "nobody", 0)], "no such request"),
        ([Inside("a", "b", 0), Inside("b", "a", 0)], "inside itself"),
        ([Inside("a", "b", 0), Inside("c", "b", 0)], "collide"),
    ],
)
def test_contradictions_are_refused(insides: list[Inside], words: str) -> None:
    requests = [Request("a", 8, 0, 1), Request("b", 8, 1, 1), Request("c", 4, 0, 1)]
    with pytest.raises(ValueError, match=words):
        plan(requests, insides=insides)


def test_names_are_unique_and_known() -> None:
    with pytest.raises(ValueError, match="share a name"):
        plan([Request("a", 8, 0, 1), Request("a", 8, 2, 3)])
    with pytest.raises(ValueError, match="names no request"):
        plan([Request("a", 8, 0, 1)], [Overlap("b", "a", 0)])


def test_the_solver_leaves_the_handler_of_interrupts_alone() -> None:
    assert plan(ALIGNED).optimal
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_the_solver_comes_without_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "ortools.sat.python.cp_model"
    monkeypatch.delitem(sys.modules, name, raising=False)
    solver = exact.load_solver.__wrapped__()
    assert not isinstance(solver.pd, ModuleType) and name not in sys.modules
    # Once all of it has been loaded, no other copy is needed.
    monkeypatch.setitem(sys.modules, name, solver)
    assert exact.load_solver.__wrapped__() is solver


def test_very_many_requests_stay_with_the_greedy_placement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = import_module("tvmtiny.memory.plan")
    asked = []

    def unsolved(conflicts: Conflicts, *_: object) -> Solution:
        asked.append(len(conflicts.requests))
        return Solution(None, 0)

    monkeypatch.setattr(module, "solve", unsolved)
    # No placement is proven to be the best.
    for bound in ("stacked_bound", "overlapped_bound"):
        monkeypatch.setattr(module, bound, lambda *_: 0)
    chain = [Request(f"r{i}", 16 + i % 7, i, i + 1) for i in range(module.MOST_REQUESTS + 1)]
    assert plan(chain[:-1]).total == plan(chain).total
    assert asked == [module.MOST_REQUESTS]
