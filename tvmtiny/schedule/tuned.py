"""Replacing default implementations by tuned ones, without a larger arena."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from tvmtiny.ops import Node, Oracle, find_operator
from tvmtiny.schedule.implement import implement
from tvmtiny.schedule.implementation import TUNED_ATTR, Goal, Implementation
from tvmtiny.schedule.records import Records
from tvmtiny.schedule.shrink import AnyBuilt, Choices
from tvmtiny.schedule.workload import workload
from tvmtiny.targets import Cpu


def tuned(
    node: Node, cpu: Cpu, oracle: Oracle, goal: Goal, records: Records
) -> Iterator[Implementation]:
    """Implementations of `node` that records say are better than the default rule's, best first."""
    for record in records.ranked(workload(node, oracle), cpu.name, goal):
        found = implement(node, cpu, oracle, goal, record.decisions)
        if found is not None:
            yield replace(found, function=found.function.with_attr(TUNED_ATTR, "yes"))


def with_records(
    build: Callable[[Choices], AnyBuilt],
    nodes: Sequence[Node],
    default: AnyBuilt,
    better: Callable[[Node], Sequence[Implementation]],
    ram_budget: int | None,
    fits: Callable[[Choices], bool],
) -> AnyBuilt:
    """Build with tuned implementations wherever they fit.

    Parameters
    ----------
    build
        Plans the arena for given implementations.
    default
        What was built without records.
    better
        Tuned implementations of a node, best first.
    ram_budget
        Bytes of arena that may be used; without one, the arena must not become larger.
    fits
        Whether the constants of all nodes are few enough.
    """
    limit = max(default.arena_bytes, ram_budget or 0)
    options = {node.index: found for node in nodes if (found := better(node))}

    def attempt(accepted: AnyBuilt, changes: Mapping[int, Implementation]) -> AnyBuilt | None:
        choices = {**accepted.choices, **changes}
        if not fits(choices):
            return None
        built = build(choices)
        return built if built.arena_bytes <= limit else None

    def settle(accepted: AnyBuilt, group: Sequence[int]) -> AnyBuilt:
        """Take as much as possible for a group of nodes: all at once, or by halves."""
        if len(group) == 1:
            tried = (attempt(accepted, {group[0]: option}) for option in options[group[0]])
            return next((built for built in tried if built is not None), accepted)
        together = attempt(accepted, {index: options[index][0] for index in group})
        if together is not None:
            return together
        half = len(group) // 2
        return settle(settle(accepted, group[:half]), group[half:])

    # The largest layers come first, since memory that they take may be missing for others.
    macs = {node.index: _macs(node) for node in nodes}
    order = sorted(options, key=lambda index: -macs[index])
    return settle(default, order) if order else default


def _macs(node: Node) -> int:
    operator = find_operator(node.operator)
    return 0 if operator is None else operator.macs(node)
