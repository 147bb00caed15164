"""The search space of a layer as data: every decision that its schedules leave open."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import prod

from tvmtiny.ops import Node, Oracle
from tvmtiny.schedule.families.registry import families_for
from tvmtiny.schedule.implement import implement
from tvmtiny.schedule.implementation import Decisions, Goal, Sketch, is_candidate
from tvmtiny.schedule.workload import Workload, workload
from tvmtiny.targets import Cpu


@dataclass(frozen=True)
class Space:
    """All candidates of one layer.

    Iteration gives each candidate once, in a fixed order. A candidate names its sketch and every
    decision of that sketch; `tvmtiny.schedule.implement` says whether it can be built at all.

    Attributes
    ----------
    workload
        Which layers have this space.
    cpu
        Name of the CPU.
    sketches
        Ways to compute the layer; empty where nothing is left to decide.
    default
        What the default rule chooses, or None where no sketch has it.
    """

    workload: Workload
    cpu: str
    sketches: tuple[Sketch, ...]
    default: Decisions | None

    def __len__(self) -> int:
        return sum(prod(len(d.values) for d in sketch.decisions) for sketch in self.sketches)

    def __iter__(self) -> Iterator[Decisions]:
        for sketch in self.sketches:
            names = [decision.name for decision in sketch.decisions]
            for values in product(*(decision.values for decision in sketch.decisions)):
                yield {"sketch": sketch.name, **dict(zip(names, values, strict=True))}

    def __contains__(self, decisions: object) -> bool:
        """Whether `decisions` are a candidate: they name one value of every decision."""
        return isinstance(decisions, Mapping) and is_candidate(self.sketches, decisions)


def decisions_key(decisions: Decisions) -> str:
    """Decisions as one line of text, the same whatever their order."""
    return json.dumps(dict(decisions), sort_keys=True, separators=(",", ":"))


def space(node: Node, cpu: Cpu, oracle: Oracle, goal: Goal = Goal.BALANCED) -> Space:
    """The search space of `node` on `cpu`: the sketches of all kernel families that run there.

    Parameters
    ----------
    node
        Of an optimized graph, see `tvmtiny.compiler.optimized_nodes`.
    goal
        Whose default rule gives `Space.default`.
    """
    sketches: tuple[Sketch, ...] = ()
    replaced: set[str] = set()
    for family in families_for(node, cpu):
        found = () if family.name in replaced else family.sketches(node, cpu, oracle)
        if found:
            sketches += found
            replaced |= family.replaces
    chosen = implement(node, cpu, oracle, goal) if sketches else None
    default = None
    if chosen is not None and is_candidate(sketches, chosen.decisions):
        default = chosen.decisions
    return Space(workload(node, oracle), cpu.name, sketches, default)
