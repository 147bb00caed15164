"""Replacement of default implementations by tuned ones, without a larger arena."""

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
    """Yield implementations of `node` that beat the default rule according to records."""
    if not records.concern(cpu.name):
        return
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
    nodes
        The nodes of the optimized graph.
    default
        The model built without records.
    better
        Returns the tuned implementations of a node, the best first.
    ram_budget
        Limit of the arena in bytes; None if the arena must not grow.
    fits
        Returns whether the constants of all nodes are within the flash budget.
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
        """Apply the best options to a group of nodes: all at once, or half by half."""
        if len(group) == 1:
            tried = (attempt(accepted, {group[0]: option}) for option in options[group[0]])
            return next((built for built in tried if built is not None), accepted)
        together = attempt(accepted, {index: options[index][0] for index in group})
        if together is not None:
            return together
        half = len(group) // 2
        return settle(settle(accepted, group[:half]), group[half:])

    # The largest layers come first, because memory they occupy may be unavailable to others.
    macs = {node.index: _macs(node) for node in nodes}
    order = sorted(options, key=lambda index: -macs[index])
    return settle(default, order) if order else default


def _macs(node: Node) -> int:
    operator = find_operator(node.operator)
    return 0 if operator is None else operator.macs(node)
