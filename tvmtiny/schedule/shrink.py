"""Trading of instructions for arena: slower implementations that lower the peak."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from tvmtiny.ops import Node, Oracle
from tvmtiny.schedule.families.registry import family_of
from tvmtiny.schedule.implement import implement_by
from tvmtiny.schedule.implementation import Goal, Implementation
from tvmtiny.targets import Cpu

#: Limits of builds without and with a budget. Each build takes about as long as a compilation
#: without this search.
_MOST_BUILDS, _MOST_BUILDS_FOR_BUDGET = 8, 16

#: Without a budget, nodes with workspaces below this share of the arena are left unchanged.
_LEAST_SHARE = 0.02

#: Percent of instructions, or of cycles for speed, that one percent of arena is worth.
_WORTH = {Goal.SPEED: 0.02, Goal.BALANCED: 0.5, Goal.SIZE: 0.5}

#: Share of the instructions up to which a family's `arena_worth` counts; more is left to budgets.
_LITTLE = 0.02

#: Implementations by node index; None for a scheduled tensor expression.
Choices = Mapping[int, Implementation | None]


class Built(Protocol):
    """A model with a planned arena."""

    @property
    def arena_bytes(self) -> int:
        """Size of the arena in bytes."""

    @property
    def choices(self) -> Choices:
        """The implementations that the model was built from."""

    def tight_nodes(self) -> Mapping[int, int]:
        """Return the workspace bytes of nodes that have one while the arena is full."""

    def bytes_for(self, node: int, changed: Container[int]) -> int:
        """Return a lower bound of the arena around `node`, whatever `changed` nodes become."""


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
    """Build with slower implementations while that is worthwhile or the budget requires it.

    Parameters
    ----------
    build
        Plans the arena for given implementations.
    nodes
        The nodes of the optimized graph.
    chosen
        The fastest implementations, by node index.
    cpu, oracle, goal
        See `tvmtiny.schedule.implement`.
    ram_budget
        Limit of the arena in bytes, which is met at any cost in instructions.
    """
    by_index = {node.index: node for node in nodes}
    search = _Search(by_index, cpu, oracle, goal)
    best = search.run(build, build(chosen), chosen, None)
    # The worthwhile steps come first, so that a budget which they meet changes nothing.
    if ram_budget is not None and best.arena_bytes > ram_budget:
        best = search.run(build, best, best.choices, ram_budget)
    return best


class _Options:
    """Implementations of a node that are made when they are first asked for: few ever are."""

    def __init__(self, made: Iterator[Implementation]) -> None:
        self._made = made
        self._known: list[Implementation] = []

    def __iter__(self) -> Iterator[Implementation]:
        yield from self._known
        for implementation in self._made:
            self._known.append(implementation)
            yield implementation


@dataclass(frozen=True)
class _Search:
    nodes: Mapping[int, Node]
    cpu: Cpu
    oracle: Oracle
    goal: Goal

    def run(
        self,
        build: Callable[[Choices], AnyBuilt],
        best: AnyBuilt,
        chosen: Choices,
        budget: int | None,
    ) -> AnyBuilt:
        """Take worthwhile steps or, with a budget, any steps until the arena meets the budget."""
        current, fastest = dict(chosen), self._weight(chosen)
        left = _MOST_BUILDS if budget is None else _MOST_BUILDS_FOR_BUDGET
        while left > 0 and (budget is None or best.arena_bytes > budget):
            total = self._weight(current)
            least = _LEAST_SHARE * best.arena_bytes if budget is None else 0.0
            in_vain: set[frozenset[int]] = set()
            for step in self._steps(current, best, least, in_vain):
                if left == 0:
                    return best
                if _is_in_vain(step, best):
                    in_vain.add(frozenset(step))
                    left -= budget is None
                    continue
                left -= 1
                choices = {**current, **step}
                built = build(choices)
                if len(step) > 1 and left > 0 and built.arena_bytes >= best.arena_bytes:
                    left -= 1
                    choices |= self._others(current, step, built)
                    built = build(choices)
                saved = (best.arena_bytes - built.arena_bytes) / max(best.arena_bytes, 1)
                cost = (self._weight(choices) - total) / max(total, 1)
                worth = _WORTH[self.goal]
                if self._weight(choices) <= (1 + _LITTLE) * fastest:
                    worth *= _arena_worth(step)
                if saved > 0 and (budget is not None or saved * worth >= cost):
                    best, current = built, choices
                    break
            else:
                return best
        return best

    def _steps(
        self, current: Choices, best: Built, least: float, in_vain: Container[frozenset[int]]
    ) -> Iterator[dict[int, Implementation]]:
        """Yield slower implementations of single nodes, then of all nodes that fill the arena.

        Those of nodes that meanwhile are `in_vain` are left out: their decisions do not change the
        memory that other nodes need.
        """
        tight: dict[int, _Options] = {}
        for index, workspace in best.tight_nodes().items():
            implementation = current.get(index)
            if workspace >= least and implementation is not None:
                tight[index] = _Options(self._slower(index, implementation))
                for slower in tight[index]:
                    yield {index: slower}
                    if frozenset((index,)) in in_vain:
                        break
        if len(tight) < 2:
            return
        left = {index: iter(options) for index, options in tight.items()}
        step: dict[int, Implementation] = {}
        while frozenset(tight) not in in_vain:
            # A node that has no more implementations keeps its last one.
            found = {index: next(options, None) for index, options in left.items()}
            step = {**step, **{i: slower for i, slower in found.items() if slower is not None}}
            if len(step) < len(tight) or not any(found.values()):
                return
            yield step

    def _slower(self, index: int, implementation: Implementation) -> Iterator[Implementation]:
        return smaller_implementations(
            self.nodes[index], implementation, self.cpu, self.oracle, self.goal
        )

    def _weight(self, choices: Choices) -> int:
        return sum(i.weight(self.goal) for i in choices.values() if i is not None)

    def _others(
        self, current: Choices, step: Mapping[int, Implementation], built: Built
    ) -> dict[int, Implementation]:
        """Return slower implementations of nodes that need more than those of a step now do.

        Such nodes did not fill the arena, but keep it as large.
        """
        needed = max(built.bytes_for(index, current) for index in step)
        found: dict[int, Implementation] = {}
        for index, implementation in current.items():
            if index in step or implementation is None:
                continue
            if built.bytes_for(index, current) <= needed:
                continue
            first = next(self._slower(index, implementation), None)
            if first is not None:
                found[index] = first
        return found


def _arena_worth(step: Mapping[int, Implementation]) -> float:
    """Return what a byte of arena is worth to the families of a step's implementations."""
    families = (family_of(implementation.decisions) for implementation in step.values())
    return min(1.0 if family is None else family.arena_worth for family in families)


def _is_in_vain(step: Mapping[int, Implementation], best: Built) -> bool:
    """Return whether other nodes keep the arena as large; much faster than a build."""
    others = [index for index in best.tight_nodes() if index not in step]
    # In a long chain of similar layers, any of them will do.
    asked = dict.fromkeys([*others[:1], *others[len(others) // 2 :][:1], *others[-1:]])
    return any(best.bytes_for(index, step) >= best.arena_bytes for index in asked)


def smaller_implementations(
    node: Node, implementation: Implementation, cpu: Cpu, oracle: Oracle, goal: Goal
) -> Iterator[Implementation]:
    """Yield implementations by the same family that need less workspace."""
    family = family_of(implementation.decisions)
    if family is None:
        return
    for decisions in family.smaller(node, implementation.decisions):
        found = implement_by(family, node, cpu, oracle, goal, decisions)
        if found is not None:
            yield found
