"""Offsets of activations and workspaces in the arena."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from tvmtiny.memory.bounds import overlapped_bound, stacked_bound
from tvmtiny.memory.exact import solve
from tvmtiny.memory.first_fit import extent, first_fit, settle
from tvmtiny.memory.problem import Conflicts, Inside, Overlap, Problem, Request

#: Default limit of the exact solver, in deterministic seconds.
TIME_LIMIT = 2.0

#: Problems with more requests alive at one step are only placed greedily: the solver's work grows
#: with the square of their number, while its deterministic clock hardly advances.
MOST_ALIVE = 12

#: Problems with more requests in total are only placed greedily as well: a plan for a chain of 600
#: layers with workspaces takes 2.5 seconds, and a compilation makes several plans.
MOST_REQUESTS = 1000

#: Size of the cache of plans. Shrinking a model asks for several plans, for each of its targets,
#: and many of these are equal.
_KEPT_PLANS = 128


@dataclass(frozen=True)
class Plan:
    """The offset of each request.

    Attributes
    ----------
    offsets
        Bytes from the start of the arena, by request name.
    total
        Size of the arena in bytes.
    lower_bound
        Proven lower bound of the arena in bytes.
    """

    offsets: Mapping[str, int]
    total: int
    lower_bound: int

    @property
    def optimal(self) -> bool:
        """Whether the arena is proven to be as small as possible."""
        return self.total == self.lower_bound


def plan(
    requests: Sequence[Request],
    overlaps: Sequence[Overlap] = (),
    insides: Sequence[Inside] = (),
    time_limit: float = TIME_LIMIT,
) -> Plan:
    """Place all requests in an arena that is as small as possible.

    A greedy placement comes first. If it exceeds a simple lower bound, CP-SAT improves it or proves
    that no placement is better. The result depends on the arguments alone, neither on the order of
    the requests nor on the speed of the machine.

    Parameters
    ----------
    requests
        The buffers to place.
    overlaps
        Permissions to share bytes. Each only applies if the request that is read dies at the step
        of the request that is written.
    insides
        Requests that are parts of other requests.
    time_limit
        Limit of the exact solver in deterministic seconds, a measure of work of about one second
        each.

    Returns
    -------
    Plan
        Offsets, arena size and lower bound in bytes.

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
    cliques = conflicts.cliques
    bound = stacked_bound(conflicts, cliques)
    offsets = first_fit(conflicts, bound)
    total = extent(conflicts, offsets)
    alive = max((len(clique) for clique in cliques), default=0)
    small = alive <= MOST_ALIVE and len(requests) <= MOST_REQUESTS
    if total > bound and small:
        bound = max(bound, overlapped_bound(conflicts))
    if total > bound and time_limit > 0 and small:
        solution = solve(conflicts, offsets, bound, time_limit)
        bound = solution.lower_bound
        if solution.offsets is not None and extent(conflicts, solution.offsets) < total:
            offsets = settle(conflicts, solution.offsets)
    return Plan(offsets, extent(conflicts, offsets), bound)
