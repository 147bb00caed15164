"""Replacing default implementations by tuned ones, without a larger arena."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from tvmtiny.ops import Node, Oracle
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
    chosen: Choices,
    better: Callable[[Node], Sequence[Implementation]],
    ram_budget: int | None,
    fits: Callable[[Choices], bool],
) -> AnyBuilt:
    """Build with tuned implementations wherever they fit.

    Parameters
    ----------
    build
        Plans the arena for given implementations.
    default, chosen
        What was built without records, and from what.
    better
        Tuned implementations of a node, best first.
    ram_budget
        Bytes of arena that may be used; without one, the arena must not become larger.
    fits
        Whether the constants of all nodes are few enough.
    """
    limit = max(default.arena_bytes, ram_budget or 0)
    options = {node.index: list(better(node)) for node in nodes}
    current = dict(chosen)
    for index, found in options.items():
        while found and not fits({**current, index: found[0]}):
            found.pop(0)
        if found:
            current[index] = found[0]
    while any(options.values()):
        built = build(current)
        if built.arena_bytes <= limit:
            return built
        # A layer that uses the arena to its end takes its next best; if there is none, any other.
        tight = {index: size for index, size in built.tight_nodes().items() if options.get(index)}
        index = max(
            tight or [i for i, found in options.items() if found], key=lambda i: tight.get(i, 0)
        )
        found = options[index]
        found.pop(0)
        while found and not fits({**current, index: found[0]}):
            found.pop(0)
        current[index] = found[0] if found else chosen[index]
    return default
