"""The planning problem: requests for parts of the arena, and which of them may share bytes."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from math import lcm


@dataclass(frozen=True)
class Request:
    """A part of the arena that holds data for some steps.

    Attributes
    ----------
    name
        Name that is unique within a plan.
    size
        Size in bytes.
    first, last
        First and last step of the lifetime, both included: an input of step 3 whose producer is
        step 1 has ``first=1, last=3``.
    alignment
        Alignment in bytes, a power of two.
    """

    name: str
    size: int
    first: int
    last: int
    alignment: int = 4


@dataclass(frozen=True)
class Overlap:
    """Permission to write over data that is read for the last time at the same step.

    The two requests need not be disjoint if ``offset[read] - offset[written] >= before`` and that
    difference minus `before` is divisible by `multiple`.

    Attributes
    ----------
    written, read
        Names of the requests.
    before
        Bytes by which `written` has to start before `read`; negative if it may start after it.
    multiple
        Divisor of the distance beyond `before`.
    """

    written: str
    read: str
    before: int
    multiple: int = 1

    def allows(self, offset_written: int, offset_read: int) -> bool:
        """Return whether the two requests may lie at these offsets, whatever their sizes."""
        excess = offset_read - offset_written - self.before
        return excess >= 0 and excess % self.multiple == 0


@dataclass(frozen=True)
class Inside:
    """A request that is a part of another: both hold the same bytes and never conflict.

    Attributes
    ----------
    inner, outer
        Names of the requests.
    offset
        Bytes from the start of `outer` to the start of `inner`.
    """

    inner: str
    outer: str
    offset: int


@dataclass(frozen=True)
class Problem:
    """The input of the planner.

    Attributes
    ----------
    requests
        The buffers to place.
    overlaps, insides
        Relations between them, by name.
    """

    requests: tuple[Request, ...]
    overlaps: tuple[Overlap, ...] = ()
    insides: tuple[Inside, ...] = ()

    def at(self, step: int) -> Problem:
        """Return the part of the problem that is alive at one step."""
        alive = tuple(r for r in self.requests if r.first <= step <= r.last)
        names = {r.name for r in alive}
        return Problem(
            alive,
            tuple(o for o in self.overlaps if {o.written, o.read} <= names),
            tuple(i for i in self.insides if {i.inner, i.outer} <= names),
        )


@dataclass(frozen=True)
class Member:
    """A request at a fixed distance from the base of its group."""

    request: Request
    delta: int


@dataclass(frozen=True)
class Group:
    """Requests at fixed distances from each other, which move together.

    Attributes
    ----------
    members
        The requests of one chain of `Inside`, or a single request.
    alignment
        Alignment of the base in bytes, such that every member is aligned.
    """

    members: tuple[Member, ...]
    alignment: int

    @cached_property
    def size(self) -> int:
        """Bytes from the base to the end of the last member."""
        return max(m.delta + m.request.size for m in self.members)

    @cached_property
    def first(self) -> int:
        """First step of any member."""
        return min(m.request.first for m in self.members)

    @cached_property
    def last(self) -> int:
        """Last step of any member."""
        return max(m.request.last for m in self.members)


class Conflicts:
    """Decides which requests may share bytes, and at which offsets.

    Parameters
    ----------
    problem
        The requests and their relations.

    Raises
    ------
    ValueError
        If a name is unknown or used twice, or an `Inside` contradicts a size, an alignment or
        another `Inside`.
    """

    def __init__(self, problem: Problem) -> None:
        # Sorting makes the plan independent of the order of the requests.
        ordered = sorted(problem.requests, key=lambda r: (r.first, r.last, -r.size, r.name))
        self.requests: Mapping[str, Request] = {r.name: r for r in ordered}
        if len(self.requests) != len(ordered):
            raise ValueError("requests share a name")
        self._roots = _roots(self.requests, problem.insides)
        self.groups = _groups(ordered, self._roots)
        self._overlaps: dict[tuple[str, str], tuple[Overlap, ...]] = {}
        for overlap in sorted(
            set(problem.overlaps), key=lambda o: (o.written, o.read, o.before, o.multiple)
        ):
            if not {overlap.written, overlap.read} <= self.requests.keys():
                raise ValueError(f"{overlap} names no request")
            pair = _pair(overlap.written, overlap.read)
            self._overlaps[pair] = (*self._overlaps.get(pair, ()), overlap)
        outers = {i.inner: i.outer for i in problem.insides}
        self._related = {_pair(r, outer) for r in outers for outer in _chain(r, outers)}
        self._rivals = self._find_rivals(ordered)
        self._sharing: dict[str, dict[str, tuple[Overlap, ...]]] = {r.name: {} for r in ordered}
        for (one, other), overlaps in self._overlaps.items():
            if other in self._rivals[one]:
                self._sharing[one][other] = self._sharing[other][one] = overlaps
        self._check_groups()

    def _find_rivals(self, ordered: Sequence[Request]) -> dict[str, dict[str, tuple[Overlap, ...]]]:
        rivals: dict[str, dict[str, tuple[Overlap, ...]]] = {r.name: {} for r in ordered}
        sized = [r for r in ordered if r.size]
        for position, a in enumerate(sized):
            mine, last = rivals[a.name], a.last
            for b in islice(sized, position + 1, None):
                if b.first > last:
                    # All following requests begin later still.
                    break
                mine[b.name] = rivals[b.name][a.name] = ()
        for one, other in self._related:
            rivals[one].pop(other, None)
            rivals[other].pop(one, None)
        for (one, other), overlaps in self._overlaps.items():
            if other in rivals[one]:
                rivals[one][other] = rivals[other][one] = overlaps
        return rivals

    def rivals(self, request: Request) -> Mapping[str, tuple[Overlap, ...]]:
        """Return all requests that conflict with `request`, with the overlaps of `between`."""
        return self._rivals[request.name]

    def sharing(self, request: Request) -> Mapping[str, tuple[Overlap, ...]]:
        """Return the rivals of `request` with permitted overlaps."""
        return self._sharing[request.name]

    def between(self, a: Request, b: Request) -> tuple[Overlap, ...] | None:
        """Return the permitted overlaps of two requests; None if they do not conflict at all."""
        return self._rivals[a.name].get(b.name)

    def compatible(self, a: Request, offset_a: int, b: Request, offset_b: int) -> bool:
        """Return whether two requests may lie at these offsets."""
        overlaps = self.between(a, b)
        if overlaps is None or offset_a + a.size <= offset_b or offset_b + b.size <= offset_a:
            return True
        offsets = {a.name: offset_a, b.name: offset_b}
        return any(o.allows(offsets[o.written], offsets[o.read]) for o in overlaps)

    @cached_property
    def alive(self) -> tuple[tuple[Request, ...], ...]:
        """The requests that are alive at each step where one begins, the largest ones first."""
        steps = sorted({r.first for r in self.requests.values()})
        alive: list[list[Request]] = [[] for _ in steps]
        for request in sorted(self.requests.values(), key=lambda r: (-r.size, r.name)):
            begin, end = bisect_left(steps, request.first), bisect_right(steps, request.last)
            for requests in alive[begin:end]:
                requests.append(request)
        return tuple(map(tuple, alive))

    @cached_property
    def cliques(self) -> Sequence[Sequence[Request]]:
        """Return, for each step, requests that must all be disjoint, the largest ones first."""
        found: dict[frozenset[str], list[Request]] = {}
        apart = {
            name: rivals.keys() - self._sharing[name].keys()
            for name, rivals in self._rivals.items()
        }
        for largest_first in self.alive:
            chosen: list[Request] = []
            names: set[str] = set()
            for request in largest_first:
                if names <= apart[request.name]:
                    chosen.append(request)
                    names.add(request.name)
            found[frozenset(names)] = chosen
        return list(found.values())

    def _check_groups(self) -> None:
        for group in self.groups:
            for i, a in enumerate(group.members):
                for b in group.members[:i]:
                    if not self.compatible(a.request, a.delta, b.request, b.delta):
                        raise ValueError(f"{a.request.name} and {b.request.name} collide")


def _pair(a: str, b: str) -> tuple[str, str]:
    return (a, b) if a < b else (b, a)


def _chain(name: str, outers: Mapping[str, str]) -> Iterable[str]:
    while name in outers:
        name = outers[name]
        yield name


def _roots(
    requests: Mapping[str, Request], insides: Sequence[Inside]
) -> Mapping[str, tuple[str, int]]:
    """Return for each request the outermost request around it, and the offset in that request."""
    outers: dict[str, Inside] = {}
    for inside in insides:
        if not {inside.inner, inside.outer} <= set(requests) or inside.inner in outers:
            raise ValueError(f"{inside}: no such request, or inside two others")
        inner, outer = requests[inside.inner], requests[inside.outer]
        if inside.offset < 0 or inside.offset + inner.size > outer.size:
            raise ValueError(f"{inside}: {inner.size} bytes do not fit into {outer.size}")
        if inside.offset % inner.alignment:
            raise ValueError(f"{inside}: not aligned to {inner.alignment} bytes")
        outers[inside.inner] = inside
    roots = {}
    for name in requests:
        root, offset, seen = name, 0, {name}
        while root in outers:
            offset += outers[root].offset
            root = outers[root].outer
            if root in seen:
                raise ValueError(f"{root} is inside itself")
            seen.add(root)
        roots[name] = (root, offset)
    return roots


def _groups(ordered: Sequence[Request], roots: Mapping[str, tuple[str, int]]) -> tuple[Group, ...]:
    members: dict[str, list[Member]] = {}
    for request in ordered:
        root, offset = roots[request.name]
        members.setdefault(root, []).append(Member(request, offset))
    return tuple(
        Group(tuple(group), lcm(*(m.request.alignment for m in group)))
        for group in members.values()
    )
