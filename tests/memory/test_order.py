"""The order of execution."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from tvmtiny.memory.order import Operation, best_order

Case = tuple[list[Operation], dict[str, int], list[str]]


@st.composite
def graphs(draw: st.DrawFn) -> Case:
    """Operations, sizes and outputs; the input is ``x``."""
    names, operations = ["x"], []
    for i in range(draw(st.integers(0, 6))):
        reads = draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
        workspace = draw(st.integers(0, 20))
        shared = {reads[0]: draw(st.integers(0, 20))} if draw(st.booleans()) else None
        operations.append(Operation(tuple(reads), f"y{i}", workspace, shared))
        names.append(f"y{i}")
    sizes = {name: draw(st.integers(20, 100)) for name in names}
    outputs = draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
    return operations, sizes, outputs


def is_valid(order: Sequence[int], operations: Sequence[Operation]) -> bool:
    there = {"x"}
    for index in order:
        if not set(operations[index].reads) <= there:
            return False
        there.add(operations[index].writes)
    return sorted(order) == list(range(len(operations)))


def orders(operations: Sequence[Operation]) -> Iterator[tuple[int, ...]]:
    for order in permutations(range(len(operations))):
        if is_valid(order, operations):
            yield order


def peak(
    order: Sequence[int],
    operations: Sequence[Operation],
    sizes: Mapping[str, int],
    outputs: Sequence[str],
) -> int:
    """The largest sum of live bytes, computed from lifetimes."""
    largest = 0
    for step, index in enumerate(order):
        later = {r for i in order[step + 1 :] for r in operations[i].reads} | set(outputs)
        now = operations[index]
        before = {"x"} | {operations[i].writes for i in order[:step]}
        live = {n for n in before if n in later or n in now.reads} | {now.writes}
        saved = [b for n, b in (now.shared or {}).items() if n not in later]
        total = sum(sizes[n] for n in live) + now.workspace - max(saved, default=0)
        largest = max(largest, total)
    return largest


@settings(max_examples=200, deadline=None, derandomize=True)
@given(case=graphs())
def test_no_order_has_a_smaller_peak(case: Case) -> None:
    operations, sizes, outputs = case
    order = best_order(operations, sizes, ["x"], outputs)
    assert is_valid(order, operations)
    smallest = min(peak(o, operations, sizes, outputs) for o in orders(operations))
    assert peak(order, operations, sizes, outputs) == smallest
    given_order = tuple(range(len(operations)))
    if peak(given_order, operations, sizes, outputs) == smallest:
        assert order == given_order


#: Two branches that grow before they shrink: best executed one after the other.
BRANCHES = [
    Operation(("x",), "wide0"),
    Operation(("x",), "wide1"),
    Operation(("wide0",), "narrow0"),
    Operation(("wide1",), "narrow1"),
    Operation(("narrow0", "narrow1"), "y"),
]
SIZES = {"x": 10, "wide0": 100, "wide1": 100, "narrow0": 5, "narrow1": 5, "y": 10}


def test_branches_are_executed_one_after_the_other() -> None:
    assert best_order(BRANCHES, SIZES, ["x"], ["y"]) == (0, 2, 1, 3, 4)


def test_too_many_states_keep_the_order() -> None:
    assert best_order(BRANCHES, SIZES, ["x"], ["y"], most_states=4) == (0, 1, 2, 3, 4)


def test_nothing() -> None:
    assert best_order([], {}, [], []) == ()
