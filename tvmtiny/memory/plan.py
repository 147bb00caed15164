"""Offsets of activations and workspaces in the arena."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Request:
    """A piece of the arena that is needed for a while.

    Attributes
    ----------
    name
        Unique within one plan.
    size
        Bytes.
    first, last
        The steps between which it holds data, both included: an input of step 3 whose producer
        is step 1 has ``first=1, last=3``.
    alignment
        Power of two, in bytes.
    """

    name: str
    size: int
    first: int
    last: int
    alignment: int = 4

    def lives_with(self, other: Request) -> bool:
        """Whether both hold data at the same step."""
        return self.first <= other.last and other.first <= self.last


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
        No plan without overlap can be smaller: the most bytes alive at one step.
    """

    offsets: Mapping[str, int]
    total: int
    lower_bound: int


def plan(requests: Sequence[Request]) -> Plan:
    """Place all requests, largest first, each at the lowest offset where it fits.

    The result depends on the requests alone: ties are broken by first step, then by name.
    """
    placed: list[tuple[int, Request]] = []
    offsets: dict[str, int] = {}
    for request in sorted(requests, key=lambda r: (-r.size, r.first, r.name)):
        offset = 0
        for start, other in sorted(placed, key=lambda p: (p[0], p[1].name)):
            if not request.lives_with(other):
                continue
            if offset + request.size <= start:
                break
            offset = max(offset, _align(start + other.size, request.alignment))
        placed.append((offset, request))
        offsets[request.name] = offset
    total = max((offset + request.size for offset, request in placed), default=0)
    return Plan(offsets, total, _peak(requests))


def _peak(requests: Sequence[Request]) -> int:
    steps = {request.first for request in requests}
    return max(
        (sum(r.size for r in requests if r.first <= step <= r.last) for step in steps), default=0
    )


def _align(offset: int, alignment: int) -> int:
    return (offset + alignment - 1) & -alignment
