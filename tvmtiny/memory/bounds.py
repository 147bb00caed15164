"""Lower bounds on the arena that need no search: bytes that cannot be shared at one step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tvmtiny.memory.problem import Conflicts, Request


def stacked_bound(conflicts: Conflicts, cliques: Sequence[Sequence[Request]]) -> int:
    """Return the bytes of the largest group, or of the largest clique of disjoint requests."""
    stacked = (_stacked(clique, {r.name: r.size for r in clique}) for clique in cliques)
    return max([0, *stacked, *(group.size for group in conflicts.groups)])


def overlapped_bound(conflicts: Conflicts) -> int:
    """Return the most bytes that requests with permitted overlaps need at one step.

    What is written may overlap what is read from `Overlap.before` bytes after its own start on; all
    of its bytes before are disjoint from what is read.
    """
    bound = 0
    for largest_first in conflicts.alive:
        apart: dict[str, int] = {}
        for request in largest_first:
            added = _with(conflicts, apart, request)
            if sum(added.values()) > sum(apart.values()):
                apart = added
        bound = max(bound, _stacked([conflicts.requests[name] for name in apart], apart))
    return bound


def _with(conflicts: Conflicts, apart: Mapping[str, int], request: Request) -> dict[str, int]:
    """Add a request to others whose leading bytes are disjoint; return these numbers of bytes.

    The result is what is known already if nothing is known about the overlaps of the request.
    """
    found = {**apart, request.name: request.size}
    for name in apart:
        overlaps = conflicts.between(request, conflicts.requests[name])
        if overlaps is None or len({overlap.written for overlap in overlaps}) > 1:
            return dict(apart)
        for overlap in overlaps:
            found[overlap.written] = max(0, min(found[overlap.written], overlap.before))
    return found


def _stacked(requests: Sequence[Request], sizes: Mapping[str, int]) -> int:
    """Return the least bytes of the first `sizes` bytes of requests, if all these are disjoint.

    As each of them begins at an aligned offset, padding follows all but the last.
    """
    unit = min((request.alignment for request in requests), default=1)
    padding = [-sizes[request.name] % unit for request in requests]
    return sum(sizes[request.name] for request in requests) + sum(padding) - max(padding, default=0)
