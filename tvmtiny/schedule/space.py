"""The search space of a layer as data: all decisions that its schedules leave open."""

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
    """All candidates of a layer.

    Iteration yields each candidate once, in a fixed order. A candidate names its sketch and a value
    for each decision of that sketch; `tvmtiny.schedule.implement` determines whether it can be
    built.

    Attributes
    ----------
    workload
        The workload of the layers that have this space.
    cpu
        Name of the CPU.
    sketches
        Ways to compute the layer; empty if there is nothing to decide.
    default
        The choice of the default rule; None if it is not in any sketch.
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
        """Return whether `decisions` are a candidate: they name a value for every decision."""
        return isinstance(decisions, Mapping) and is_candidate(self.sketches, decisions)


def decisions_key(decisions: Decisions) -> str:
    """Return decisions as one line of text that does not depend on their order."""
    return json.dumps(dict(decisions), sort_keys=True, separators=(",", ":"))


def space(node: Node, cpu: Cpu, oracle: Oracle, goal: Goal = Goal.BALANCED) -> Space:
    """Return the search space of `node`: the sketches of all kernel families that run on `cpu`.

    Parameters
    ----------
    node
        A node of an optimized graph, see `tvmtiny.compiler.optimized_nodes`.
    cpu
        The CPU.
    oracle
        The reference whose results are reproduced.
    goal
        The goal of the default rule that determines `Space.default`.
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
