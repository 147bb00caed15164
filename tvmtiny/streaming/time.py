"""Sliding windows: rows are kept between inferences, and each new row completes another window.

Along the height, no layer may pad or have a stride. Then each layer computes one row for a new
window, and all other rows are those of the window before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tvmtiny.ops import Node
from tvmtiny.streaming.rows import activations_of, row_rule
from tvmtiny.streaming.segment import (
    Event,
    Kind,
    MisalignedError,
    Move,
    Ring,
    RowTensor,
    Schedule,
    Segment,
)


@dataclass(frozen=True)
class Obstacle:
    """A layer that does not slide.

    Attributes
    ----------
    reason
        Why the layer does not slide, and how to change the model.
    """

    node: Node
    reason: str


def obstacle(node: Node) -> Obstacle | None:
    """Return why a layer cannot slide along the height; None if it can."""
    rule = row_rule(node)
    if rule is None:
        return Obstacle(node, "cannot make single rows")
    if rule.fold:
        return Obstacle(node, "covers all rows at once")
    x, output = activations_of(node)[0], node.output
    if rule.sources:
        return Obstacle(node, "makes more or fewer rows than it reads")
    if rule.stride > 1:
        return Obstacle(node, f"has a stride of {rule.stride} along the height: make it 1")
    if rule.top or (output.shape[1] - 1) + rule.reach > x.shape[1]:
        return Obstacle(node, "pads along the height: make its padding VALID")
    return None


def sliding_schedule(segment: Segment) -> tuple[Schedule, int] | None:
    """Order the work of a segment for windows that slide.

    Parameters
    ----------
    segment
        A segment whose input is pushed and whose output has a single row.

    Returns
    -------
    tuple or None
        The schedule of the first window and one more row, and the event that begins the work on
        this row. All later rows repeat the same events. None if an address would be unaligned.
    """
    assert segment.pushed is not None
    height = segment.tensors[segment.pushed].height
    capacity = {
        name: max((k.rule.reach for k in segment.layers if name in k.reads), default=1)
        for name in segment.tensors
    }
    try:
        events, begin = _events(segment, height, capacity)
    except MisalignedError:
        return None
    rings = {}
    last = len(segment.layers) - 1
    producers = {layer.writes: k for k, layer in enumerate(segment.layers)}
    for name, rows in capacity.items():
        if name == segment.output:
            continue
        readers = [k for k, layer in enumerate(segment.layers) if name in layer.reads]
        first, end = producers.get(name, 0), max(readers, default=last)
        # Rows that the next window needs outlive all layers.
        kept = rows > 1 or name == segment.pushed
        alive = (0, last) if kept else (first, end)
        rings[name] = Ring(segment.tensors[name], rows, (alive,), 0)
    count = (1,) * len(segment.layers)
    made = Schedule(segment, count, False, tuple(events), rings, {}, np.zeros(1, np.int64))
    return made, begin


def _events(segment: Segment, height: int, capacity: Mapping[str, int]) -> tuple[list[Event], int]:
    made = dict.fromkeys(segment.tensors, 0)
    events: list[Event] = []
    begin = 0
    for row in range(height + 1):
        begin = len(events)
        pushed = str(segment.pushed)
        before, slot = _place(segment.tensors[pushed], made[pushed], capacity[pushed])
        events.append(Event(Kind.TAKE, -1, row, 1, before, (), slot))
        made[pushed] += 1
        for position, layer in enumerate(segment.layers):
            if any(made[name] < layer.rule.reach + made[layer.writes] for name in layer.reads):
                continue
            reads = []
            for name in layer.reads:
                there = min(made[name], capacity[name])
                slot = there - layer.rule.reach
                _check(segment.tensors[name], slot)
                reads.append(slot)
            name = layer.writes
            before, slot = _place(segment.tensors[name], made[name], capacity[name])
            _check(segment.tensors[name], slot)
            writes = None if name == segment.output else slot
            events.append(Event(Kind.CALL, position, made[name], 1, before, tuple(reads), writes))
            made[name] += 1
    return events, begin


def _place(tensor: RowTensor, made: int, capacity: int) -> tuple[tuple[Move, ...], int]:
    if made < capacity:
        return (), made
    moves = (Move(tensor.name, 1, capacity - 1),) if capacity > 1 else ()
    return moves, capacity - 1


def _check(tensor: RowTensor, slot: int) -> None:
    if slot * tensor.row_bytes % tensor.alignment:
        raise MisalignedError(tensor.name)
