"""Greedy placement: each group in turn goes to the lowest offset where it fits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import lcm
from typing import Any

from tvmtiny.memory.problem import Conflicts, Group, Overlap, Request

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


def first_fit(conflicts: Conflicts, lower_bound: int = 0) -> Offsets:
    """Return the smallest of several greedy placements, or the first one of `lower_bound` bytes."""
    placements: list[Offsets] = []
    for order in _ORDERS:
        placements.append(_place(conflicts, order))
        if extent(conflicts, placements[-1]) == lower_bound:
            break
    return min(placements, key=lambda offsets: extent(conflicts, offsets))


def settle(conflicts: Conflicts, offsets: Offsets) -> Offsets:
    """Move every group down as far as possible, the lowest group first."""
    settled = dict(offsets)
    for group in sorted(
        conflicts.groups, key=lambda g: (_base(g, offsets), g.first, g.members[0].request.name)
    ):
        names = {m.request.name for m in group.members}
        others = {name: offset for name, offset in settled.items() if name not in names}
        base = _lowest(conflicts, group, others, _base(group, settled))
        settled.update((m.request.name, base + m.delta) for m in group.members)
    return settled


def extent(conflicts: Conflicts, offsets: Offsets) -> int:
    """Return the bytes from the start of the arena to the end of the last request."""
    return max((offsets[r.name] + r.size for r in conflicts.requests.values()), default=0)


def _base(group: Group, offsets: Offsets) -> int:
    return offsets[group.members[0].request.name] - group.members[0].delta


def _place(conflicts: Conflicts, order: Callable[[Group], Any]) -> Offsets:
    placed: dict[str, int] = {}
    for group in sorted(
        conflicts.groups, key=lambda g: (order(g), g.first, g.members[0].request.name)
    ):
        base = _lowest(conflicts, group, placed)
        placed.update((m.request.name, base + m.delta) for m in group.members)
    return placed


def _lowest(conflicts: Conflicts, group: Group, placed: Offsets, known: int = 0) -> int:
    """Return the lowest base at which `group` does not conflict with any placed request.

    Parameters
    ----------
    known
        An additional candidate for the base.
    """
    others = [
        (member, conflicts.requests[name], placed[name], overlaps)
        for member in group.members
        for name, overlaps in conflicts.rivals(member.request).items()
        if name in placed
    ]
    special = [other for other in others if other[3]]
    # Without a permitted overlap, bases strictly between the two bounds are ruled out.
    bounds = sorted(
        (offset - member.delta - member.request.size, offset - member.delta + other.size)
        for member, other, offset, overlaps in others
        if not overlaps
    )
    if not special:
        return _gap(bounds, group.alignment)
    candidates = {0, known}
    for member, other, offset, overlaps in others:
        for wanted, step in _borders(member.request, other, offset, overlaps):
            candidates.update(_aligned(wanted - member.delta, step, group.alignment))
    begun, end = 0, 0
    for base in sorted(candidates):
        while begun < len(bounds) and bounds[begun][0] < base:
            end = max(end, bounds[begun][1])
            begun += 1
        if end <= base and all(
            conflicts.compatible(member.request, base + member.delta, other, offset)
            for member, other, offset, _ in special
        ):
            return base
    raise AssertionError("there is room above all other requests")


def _gap(bounds: Sequence[tuple[int, int]], alignment: int) -> int:
    """Return the lowest aligned base that lies strictly inside none of the sorted `bounds`."""
    base = 0
    for begin, end in bounds:
        if base <= begin:
            break
        base = max(base, -(-end // alignment) * alignment)
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
