"""Which steps make the arena as large as it is."""

from __future__ import annotations

from collections.abc import Mapping

from tvmtiny.memory.plan import plan
from tvmtiny.memory.problem import Problem

#: Deterministic seconds of the exact solver for one step.
_TIME_LIMIT = 1.0


def step_bounds(problem: Problem) -> Mapping[int, int]:
    """By step: the bytes that what is alive there needs at the least, whatever lies elsewhere.

    Only steps at which something begins or ends are looked at; between them nothing changes.
    """
    steps = {step for r in problem.requests for step in (r.first, r.last)}
    bounds = {}
    for step in sorted(steps):
        alive = problem.at(step)
        result = plan(alive.requests, alive.overlaps, alive.insides, _TIME_LIMIT)
        bounds[step] = result.lower_bound
    return bounds


def without(problem: Problem, names: set[str]) -> Problem:
    """The same without some requests."""
    return Problem(
        tuple(r for r in problem.requests if r.name not in names),
        tuple(o for o in problem.overlaps if not {o.written, o.read} & names),
        tuple(i for i in problem.insides if not {i.inner, i.outer} & names),
    )
