"""Offsets of activations and workspaces in the arena."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from tvmtiny.memory.exact import solve
from tvmtiny.memory.first_fit import extent, first_fit, settle
from tvmtiny.memory.problem import Conflicts, Inside, Overlap, Problem, Request

#: Deterministic seconds of the exact solver.
TIME_LIMIT = 2.0

#: Problems with more requests alive at one step stay with the greedy placement: the solver's work
#: grows with the square of their number, and its deterministic clock hardly advances meanwhile.
MOST_ALIVE = 12

#: The same for problems with more requests in all: a chain of 600 layers with workspaces takes 2.5
#: seconds a plan, and a compilation makes several plans.
MOST_REQUESTS = 1000

#: Plans that are remembered: shrinking asks for several a model, and so does each of its targets,
#: many of which need the same.
_KEPT_PLANS = 128


@dataclass(frozen=True)
class Plan:
    """Where each request lies.

    Attributes
    ----------
    offsets
        Bytes from the arena's start, by request name.
    total
        Size of the arena in bytes.
    lower_bound
        Proven: no plan for these requests is smaller.
    """

    offsets: Mapping[str, int]
    total: int
    lower_bound: int

    @property
    def optimal(self) -> bool:
        """Whether it is proven that no plan is smaller."""
        return self.total == self.lower_bound


def plan(
    requests: Sequence[Request],
    overlaps: Sequence[Overlap] = (),
    insides: Sequence[Inside] = (),
    time_limit: float = TIME_LIMIT,
) -> Plan:
    """Place all requests in as few bytes as possible.

    A greedy placement comes first; where it is larger than a simple lower bound, CP-SAT improves
    it or proves that nothing is better. The result depends on the arguments alone, neither on the
    order of requests nor on the speed of the machine.

    Parameters
    ----------
    overlaps
        Each only holds where the request that it reads dies at the step of the request that it
        writes.
    time_limit
        Deterministic seconds for the exact solver: how much it works, about a second of time each.

    Raises
    ------
    ValueError
        If a name is unknown or used twice, or an `Inside` contradicts a size, an alignment or
        another `Inside`.
    """
    return _plan(Problem(tuple(requests), tuple(overlaps), tuple(insides)), time_limit)


@lru_cache(_KEPT_PLANS)
def _plan(problem: Problem, time_limit: float) -> Plan:
    conflicts = Conflicts(problem)
    requests = problem.requests
    offsets = first_fit(conflicts)
    total = extent(conflicts, offsets)
    cliques = conflicts.cliques()
    bound = max(map(_stacked, cliques), default=0)
    bound = max([bound, *(group.size for group in conflicts.groups)])
    alive = max((len(clique) for clique in cliques), default=0)
    small = alive <= MOST_ALIVE and len(requests) <= MOST_REQUESTS
    if total > bound and time_limit > 0 and small:
        solution = solve(conflicts, offsets, bound, time_limit)
        bound = solution.lower_bound
        if solution.offsets is not None and extent(conflicts, solution.offsets) < total:
            offsets = settle(conflicts, solution.offsets)
    return Plan(offsets, extent(conflicts, offsets), bound)


def _stacked(clique: Sequence[Request]) -> int:
    """The least bytes of requests that are all disjoint: behind each but the last lies padding."""
    unit = min(request.alignment for request in clique)
    padding = [-request.size % unit for request in clique]
    return sum(request.size for request in clique) + sum(padding) - max(padding)
