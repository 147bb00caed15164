"""Trading instructions for arena: slower implementations where they lower the peak."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

from tvmtiny.ops import Node, Oracle
from tvmtiny.schedule.families.registry import family_of
from tvmtiny.schedule.implementation import Goal, Implementation
from tvmtiny.targets import Cpu

#: Each build takes about as long as the whole compilation without this search.
_MOST_BUILDS = 8

#: Without a budget, workspaces below this share of the arena are left alone.
_LEAST_SHARE = 0.02

#: A percent of arena is worth this many percent of instructions, or of cycles for speed.
_WORTH = {Goal.SPEED: 0.02, Goal.BALANCED: 0.5, Goal.SIZE: 0.5}

#: What each node is implemented by; None where its tensor expression is scheduled.
Choices = Mapping[int, Implementation | None]


class Built(Protocol):
    """A model whose arena is planned."""

    @property
    def arena_bytes(self) -> int:
        """Size of the arena."""

    @property
    def choices(self) -> Choices:
        """What it was built from."""

    def tight_nodes(self) -> Mapping[int, int]:
        """Bytes of workspace of the nodes that need one while the arena is used to its end."""

    def bytes_for(self, node: int, changed: Container[int]) -> int:
        """Bytes that one of those and its neighbours need, whatever `changed` ones become."""


AnyBuilt = TypeVar("AnyBuilt", bound=Built)


def shrink(
    build: Callable[[Choices], AnyBuilt],
    nodes: Sequence[Node],
    chosen: Choices,
    cpu: Cpu,
    oracle: Oracle,
    goal: Goal,
    ram_budget: int | None = None,
) -> AnyBuilt:
    """Build with slower implementations as long as that pays, or as long as the budget wants it.

    Parameters
    ----------
    build
        Plans the arena for given implementations.
    chosen
        The fastest implementations, by node index.
    ram_budget
        Bytes; what is needed to get below is done whatever it costs.
    """
    by_index = {node.index: node for node in nodes}
    best, current = build(chosen), dict(chosen)
    left = _MOST_BUILDS
    while left > 0:
        total = sum(i.weight(goal) for i in current.values() if i is not None)
        wanted = ram_budget is not None and best.arena_bytes > ram_budget
        least = 0.0 if wanted else _LEAST_SHARE * best.arena_bytes
        for step in _steps(by_index, current, best, cpu, oracle, goal, least):
            if left == 0:
                return best
            left -= 1
            if _is_in_vain(step, best):
                continue
            choices = {**current, **step}
            built = build(choices)
            saved = (best.arena_bytes - built.arena_bytes) / max(best.arena_bytes, 1)
            after = sum(i.weight(goal) for i in choices.values() if i is not None)
            if saved > 0 and (wanted or saved * _WORTH[goal] >= (after - total) / max(total, 1)):
                best, current = built, choices
                break
        else:
            return best
    return best


def _is_in_vain(step: Mapping[int, Implementation], best: Built) -> bool:
    """Whether the arena stays as large because of other nodes; much faster than a build."""
    others = [index for index in best.tight_nodes() if index not in step]
    # In a long chain of layers that are alike, any of them will do.
    asked = dict.fromkeys([*others[:1], *others[len(others) // 2 :][:1], *others[-1:]])
    return any(best.bytes_for(index, step) >= best.arena_bytes for index in asked)


def _steps(
    nodes: Mapping[int, Node],
    current: Choices,
    best: Built,
    cpu: Cpu,
    oracle: Oracle,
    goal: Goal,
    least: float,
) -> Iterator[dict[int, Implementation]]:
    """Slower implementations of one node, and then of all, that use the arena to its end."""
    tight: dict[int, list[Implementation]] = {}
    for index, workspace in best.tight_nodes().items():
        implementation = current.get(index)
        if workspace >= least and implementation is not None:
            # One after the other: of many nodes, few are ever asked for.
            tight[index] = list(_smaller(nodes[index], implementation, cpu, oracle, goal))
            yield from ({index: slower} for slower in tight[index])
    if len(tight) > 1 and all(tight.values()):
        for depth in range(max(map(len, tight.values()))):
            yield {i: o[min(depth, len(o) - 1)] for i, o in tight.items()}


def _smaller(
    node: Node, implementation: Implementation, cpu: Cpu, oracle: Oracle, goal: Goal
) -> Iterator[Implementation]:
    """Implementations by the same family that need less workspace."""
    family = family_of(implementation.decisions)
    if family is None:
        return
    for decisions in family.smaller(node, implementation.decisions):
        found = family.implement(node, cpu, oracle, goal, decisions)
        if found is not None:
            yield found
