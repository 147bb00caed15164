"""Greedy placement: each group in turn goes to the lowest offset where it fits."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from math import lcm
from typing import Any

from tvmtiny.memory.problem import Conflicts, Group, Member, Overlap, Request

#: Offsets by request name.
Offsets = Mapping[str, int]

#: Orders to try; each suits some graphs. Ties are broken by step, then by name.
_ORDERS: tuple[Callable[[Group], Any], ...] = (
    lambda g: -g.size,
    # From the end, because a result that overlaps its operand has to start before it.
    lambda g: (-g.last, -g.first),
    lambda g: (g.first, -g.size),
    lambda g: -g.size * (g.last - g.first + 1),
)

#: If fewer than the number of placed requests divided by this one conflict with a request, sorting
#: them is faster than going through all placed requests in order.
_FEW = 4


def first_fit(conflicts: Conflicts, lower_bound: int = 0) -> Offsets:
    """Return the smallest of several greedy placements, or the first one of `lower_bound` bytes."""
    best: Offsets = {}
    total: int | None = None
    for order in _ORDERS:
        offsets = _place(conflicts, order, total)
        if offsets is None:
            continue
        best, total = offsets, extent(conflicts, offsets)
        if total == lower_bound:
            break
    return best


def settle(conflicts: Conflicts, offsets: Offsets) -> Offsets:
    """Move every group down as far as possible, the lowest group first."""
    settled = _Placement(conflicts)
    for group in conflicts.groups:
        settled.put(group, _base(group, offsets))
    for group in sorted(
        conflicts.groups, key=lambda g: (_base(g, offsets), g.first, g.members[0].request.name)
    ):
        settled.remove(group)
        settled.put(group, settled.lowest(group, _base(group, offsets)))
    return settled.offsets


def extent(conflicts: Conflicts, offsets: Offsets) -> int:
    """Return the bytes from the start of the arena to the end of the last request."""
    return max((offsets[r.name] + r.size for r in conflicts.requests.values()), default=0)


def _base(group: Group, offsets: Offsets) -> int:
    return offsets[group.members[0].request.name] - group.members[0].delta


def _place(
    conflicts: Conflicts, order: Callable[[Group], Any], limit: int | None
) -> Offsets | None:
    """Place all groups in an order; None if they need at least `limit` bytes."""
    placed = _Placement(conflicts)
    for group in sorted(
        conflicts.groups, key=lambda g: (order(g), g.first, g.members[0].request.name)
    ):
        base = placed.lowest(group)
        if limit is not None and base + group.size >= limit:
            return None
        placed.put(group, base)
    return placed.offsets


class _Placement:
    """The requests that are placed already.

    Attributes
    ----------
    offsets
        Offsets by request name.
    """

    def __init__(self, conflicts: Conflicts) -> None:
        self._conflicts = conflicts
        self.offsets: dict[str, int] = {}
        #: Offset, end and name of each request: by name, and in ascending order.
        self._spans: dict[str, tuple[int, int, str]] = {}
        self._ascending: list[tuple[int, int, str]] = []

    def put(self, group: Group, base: int) -> None:
        """Place a group."""
        for member in group.members:
            name, offset = member.request.name, base + member.delta
            self.offsets[name] = offset
            self._spans[name] = span = offset, offset + member.request.size, name
            insort(self._ascending, span)

    def remove(self, group: Group) -> None:
        """Remove a group that was placed."""
        for member in group.members:
            del self.offsets[member.request.name]
            self._ascending.remove(self._spans.pop(member.request.name))

    def lowest(self, group: Group, known: int = 0) -> int:
        """Return the lowest base at which a group does not conflict with any placed request.

        Parameters
        ----------
        known
            An additional candidate for the base.
        """
        base = _gap(self._bounds(group), group.alignment)
        special = [
            (member, self._conflicts.requests[name], self.offsets[name])
            for member in group.members
            for name, overlaps in self._conflicts.sharing(member.request).items()
            if name in self.offsets and _has_multiples(overlaps)
        ]
        if self._compatible(base, special):
            return base
        # Multiples leave gaps between the bases that are possible, which is why not all are tried.
        bounds = list(self._bounds(group))
        for candidate in sorted({known, *self._borders(group)}):
            free = not any(begin < candidate < end for begin, end in bounds)
            if free and self._compatible(candidate, special):
                return candidate
        raise AssertionError("there is room above all other requests")

    def _borders(self, group: Group) -> Iterator[int]:
        """Yield the bases at which a conflict with a placed request can begin or end."""
        for member in group.members:
            for name, overlaps in self._conflicts.rivals(member.request).items():
                if name not in self.offsets:
                    continue
                other, offset = self._conflicts.requests[name], self.offsets[name]
                for wanted, step in _borders(member.request, other, offset, overlaps):
                    yield from _aligned(wanted - member.delta, step, group.alignment)

    def _compatible(self, base: int, special: Iterable[tuple[Member, Request, int]]) -> bool:
        return all(
            self._conflicts.compatible(member.request, base + member.delta, other, offset)
            for member, other, offset in special
        )

    def _bounds(self, group: Group) -> Iterable[tuple[int, int]]:
        """Return pairs of bases in ascending order; those strictly in between are ruled out.

        Overlaps whose distance is a multiple of a number are left out.
        """
        parts: list[Iterable[tuple[int, int]]] = []
        for member in group.members:
            parts.append(self._disjoint(member))
            shared = [
                _collisions(member, self._spans[name], overlaps)
                for name, overlaps in self._conflicts.sharing(member.request).items()
                if name in self._spans and not _has_multiples(overlaps)
            ]
            if shared:
                parts.append(sorted(shared))
        return sorted(chain(*parts)) if len(parts) > 1 else parts[0]

    def _disjoint(self, member: Member) -> Iterator[tuple[int, int]]:
        """Yield the bounds that requests set which must be disjoint from a member."""
        rivals = self._conflicts.rivals(member.request)
        delta, reach = member.delta, member.delta + member.request.size
        ascending = self._ascending
        if len(rivals) < len(ascending) // _FEW:
            ascending = sorted(self._spans[name] for name in rivals if name in self._spans)
        for offset, end, name in ascending:
            overlaps = rivals.get(name)
            if overlaps is not None and not overlaps:
                yield offset - reach, end - delta


def _has_multiples(overlaps: Sequence[Overlap]) -> bool:
    return any(overlap.multiple > 1 for overlap in overlaps)


def _collisions(
    member: Member, span: tuple[int, int, str], overlaps: Sequence[Overlap]
) -> tuple[int, int]:
    """Return the bases between which a member collides with a request that it may overlap."""
    offset, end, name = span
    begin = offset - member.request.size
    for overlap in overlaps:
        if overlap.written == name:
            end = min(end, offset + overlap.before)
        else:
            begin = max(begin, offset - overlap.before)
    return begin - member.delta, end - member.delta


def _gap(bounds: Iterable[tuple[int, int]], alignment: int) -> int:
    """Return the lowest aligned base that lies strictly inside none of the sorted `bounds`."""
    base = 0
    for begin, end in bounds:
        if base <= begin:
            break
        if base < end:
            base = -(-end // alignment) * alignment
    return base


def _borders(
    request: Request, other: Request, offset: int, overlaps: tuple[Overlap, ...]
) -> Iterator[tuple[int, int]]:
    """Yield the offsets at which compatibility of `request` with `other` can begin or end.

    Yields
    ------
    tuple
        The offset, and the step by which to search for an aligned offset from there.
    """
    yield offset + other.size, 1
    yield offset - request.size, -1
    for overlap in overlaps:
        if overlap.read == request.name:
            yield offset + overlap.before, overlap.multiple
        else:
            yield offset - overlap.before, -overlap.multiple


def _aligned(offset: int, step: int, alignment: int) -> list[int]:
    """Return the first aligned one of ``offset, offset + step, ...``, and the one nearest to 0."""
    if step in (1, -1):
        # The most frequent steps have a closed form.
        candidate = offset + step * (-step * offset % alignment)
        return [candidate, 0] if candidate >= 0 else [0]
    period = lcm(step, alignment)
    for candidate in range(offset, offset + step * alignment, step):
        if candidate % alignment == 0:
            return [c for c in (candidate, candidate % period) if c >= 0]
    return []
