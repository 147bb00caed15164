"""Lower bounds of single steps, to find those that determine the size of the arena."""

from __future__ import annotations

from collections.abc import Mapping

from tvmtiny.memory.plan import plan
from tvmtiny.memory.problem import Problem

#: Deterministic seconds of the exact solver for one step: what is not proven by then is rarely
#: proven in several times as long.
_TIME_LIMIT = 0.3


def step_bounds(problem: Problem) -> Mapping[int, int]:
    """Compute for each step a lower bound of the bytes that its live requests need.

    Only steps at which a request begins or ends are listed; between them nothing changes.
    """
    steps = {step for r in problem.requests for step in (r.first, r.last)}
    bounds = {}
    for step in sorted(steps):
        alive = problem.at(step)
        result = plan(alive.requests, alive.overlaps, alive.insides, _TIME_LIMIT)
        bounds[step] = result.lower_bound
    return bounds


def without(problem: Problem, names: set[str]) -> Problem:
    """Return the problem without the requests called `names`."""
    return Problem(
        tuple(r for r in problem.requests if r.name not in names),
        tuple(o for o in problem.overlaps if not {o.written, o.read} & names),
        tuple(i for i in problem.insides if not {i.inner, i.outer} & names),
    )
