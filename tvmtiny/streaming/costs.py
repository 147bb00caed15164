"""Segments of a program: what is alive while one runs, and what that takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from tvmtiny.memory import Overlap, Problem
from tvmtiny.memory.peak import step_bounds
from tvmtiny.schedule.overlap import smallest_distance
from tvmtiny.streaming.order import schedule
from tvmtiny.streaming.rows import RowRule
from tvmtiny.streaming.segment import (
    Kind,
    MisalignedError,
    Move,
    RowLayer,
    RowTensor,
    Schedule,
    Segment,
)

#: Instructions of an event, and of each move or fill in it; bytes that an instruction moves.
_EVENT, _MOVE, _BYTES = 30, 12, 4


@dataclass(frozen=True)
class RowCost:
    """What it takes to make some rows of a layer.

    Attributes
    ----------
    workspace
        Bytes.
    instructions
        An estimate.
    """

    workspace: int
    instructions: int


@dataclass(frozen=True)
class PlanLayer:
    """A kernel call of the program.

    Attributes
    ----------
    reads, writes
        Names of activations.
    rule
        None where it cannot be a part of a segment.
    instructions
        An estimate for the whole layer.
    cost
        Of some rows, within so many bytes of workspace where that is given; None where there is
        no such way.
    """

    reads: tuple[str, ...]
    writes: str
    rule: RowRule | None
    instructions: int
    cost: Callable[[int, int | None], RowCost | None]


@dataclass(frozen=True)
class Streamed:
    """A segment with all that was decided.

    Attributes
    ----------
    begin, end
        The first layer, and the one behind the last.
    plan
        Order and rings.
    peak
        Bytes while it runs, of all that is alive.
    instructions
        An estimate of what it takes more than its layers as a whole.
    workspaces
        The most bytes of workspace of each layer; None where any may be used.
    """

    begin: int
    end: int
    plan: Schedule
    peak: int
    instructions: int
    workspaces: tuple[int | None, ...]


@dataclass(frozen=True)
class _Base:
    """A segment without workspaces.

    Attributes
    ----------
    alive
        Bytes at each layer.
    moves
        Instructions around kernels.
    counts
        How often each layer makes how many rows.
    """

    plan: Schedule
    alive: tuple[int, ...]
    moves: int
    counts: Mapping[int, Mapping[int, int]]


def segment_overlaps(plan: Schedule) -> Iterator[Overlap]:
    """How far a segment's output may run over those of its inputs that exist as a whole.

    A kernel of a segment never writes over rows that it reads itself.
    """
    segment = plan.segment
    size = segment.tensors[segment.output].row_bytes
    write = (2 * plan.first_write).repeat(size)
    for name, last_read in sorted(plan.last_read.items()):
        read = (2 * last_read + 1).repeat(segment.tensors[name].row_bytes)
        distance = smallest_distance(read, write)
        yield Overlap(segment.output, name, -(-distance // 4) * 4)


class Segments:
    """Segments of a program, remembered.

    Parameters
    ----------
    layers
        In the order of execution.
    tensors
        Activations that can be read and written by rows, by name.
    problem
        What the layers need as a whole: layer ``i`` runs at step ``i + 1``.
    pushed
        The model's input, if its rows are to come one by one.
    fixed
        Names of activations that are wanted as a whole whoever reads them: the model's outputs.
    """

    def __init__(
        self,
        layers: Sequence[PlanLayer],
        tensors: Mapping[str, RowTensor],
        problem: Problem,
        pushed: str | None = None,
        fixed: frozenset[str] = frozenset(),
    ) -> None:
        self._layers, self._tensors, self._problem = tuple(layers), tensors, problem
        self._pushed, self._fixed = pushed, fixed
        self._requests = {request.name: request for request in problem.requests}
        self._readers: dict[str, list[int]] = {}
        for index, layer in enumerate(self._layers):
            for name in layer.reads:
                self._readers.setdefault(name, []).append(index)
        self._bases: dict[tuple[int, int, tuple[int, ...], bool], _Base | None] = {}
        self._shapes: dict[tuple[int, int], Segment | None] = {}
        self._known: dict[tuple[object, ...], Streamed | None] = {}
        #: How many events were put in order: a measure of time that machines agree on.
        self.events = 0

    @cached_property
    def plain(self) -> tuple[int, ...]:
        """Bytes that each layer needs as a whole, with all that is alive."""
        bounds = step_bounds(self._problem)
        steps = sorted(bounds)
        found = []
        for index in range(len(self._layers)):
            at = max((s for s in steps if s <= index + 1), default=None)
            found.append(0 if at is None else bounds[at])
        return tuple(found)

    def segment(self, begin: int, end: int) -> Segment | None:
        """Layers as a segment; None where they cannot be one."""
        key = begin, end
        if key not in self._shapes:
            self._shapes[key] = self._make_segment(begin, end)
        return self._shapes[key]

    def _make_segment(self, begin: int, end: int) -> Segment | None:
        inside = self._layers[begin:end]
        made = [layer.writes for layer in inside]
        if any(layer.rule is None for layer in inside):
            return None
        if any(layer.rule is not None and layer.rule.fold for layer in inside[:-1]):
            return None
        names = {*made, *(name for layer in inside for name in layer.reads)}
        if not names <= self._tensors.keys():
            return None
        for name in made[:-1]:
            readers = self._readers.get(name, [])
            if not readers or readers[-1] >= end or name in self._fixed:
                return None
        pushed = self._pushed if begin == 0 else None
        whole = frozenset(names - set(made) - {pushed} | {made[-1]})
        if pushed is not None and (
            pushed not in names or pushed in self._fixed or self._readers[pushed][-1] >= end
        ):
            return None
        layers = tuple(
            RowLayer(tuple(dict.fromkeys(layer.reads)), layer.writes, layer.rule)
            for layer in inside
            if layer.rule is not None
        )
        if any(k.rule.outside and whole & set(k.reads) for k in layers):
            return None
        segment = Segment(
            layers, {name: self._tensors[name] for name in sorted(names)}, whole, pushed
        )
        if any(segment.pad_of(name) is None for name in names):
            return None
        return segment

    def streamed(
        self,
        begin: int,
        end: int,
        rows: tuple[int, ...],
        limit: int | None = None,
        shared: bool = False,
    ) -> Streamed | None:
        """A segment with these rows a layer; None where that cannot be.

        Parameters
        ----------
        limit
            Bytes: the fewest instructions within them, or the fewest bytes where nothing fits.
            Without, the fewest bytes.
        shared
            Whether windows share memory.
        """
        key = begin, end, rows, limit, shared
        if key not in self._known:
            self._known[key] = self._streamed(begin, end, rows, limit, shared)
        return self._known[key]

    def is_known(self, begin: int, end: int, rows: tuple[int, ...], shared: bool) -> bool:
        """Whether the order of these rows is known."""
        return (begin, end, rows, shared) in self._bases

    def _streamed(
        self, begin: int, end: int, rows: tuple[int, ...], limit: int | None, shared: bool
    ) -> Streamed | None:
        key = begin, end, rows, shared
        if key not in self._bases:
            self._bases[key] = self._base(begin, end, rows, shared)
        base = self._bases[key]
        if base is None:
            return None
        found = self._within(begin, base, limit)
        if found is None:
            return None
        caps, costs = found
        peak = max(a + cost.workspace for a, cost in zip(base.alive, costs, strict=True))
        if limit is None or peak > limit:
            # Layers that others exceed anyway need no smaller workspaces.
            again = self._within(begin, base, peak)
            assert again is not None
            caps, costs = again
        whole = sum(
            self._layers[begin + k].instructions
            for k, layer in enumerate(base.plan.segment.layers)
            if not layer.rule.fold
        )
        extra = base.moves + sum(cost.instructions for cost in costs) - whole
        return Streamed(begin, end, base.plan, peak, extra, caps)

    def _within(
        self, begin: int, base: _Base, limit: int | None
    ) -> tuple[tuple[int | None, ...], list[RowCost]] | None:
        """The most workspace of each layer, and what all layers take; see `streamed`."""
        count = len(base.alive)
        caps: list[int | None] = [None] * count
        costs: list[RowCost] = []
        for layer in range(count):
            cost = self._cost(begin + layer, base.counts[layer], None)
            if cost is None:
                return None
            costs.append(cost)
        while True:
            peaks = [a + cost.workspace for a, cost in zip(base.alive, costs, strict=True)]
            layer = peaks.index(max(peaks))
            if limit is not None and peaks[layer] <= limit:
                return tuple(caps), costs
            wanted = [costs[layer].workspace - 1]
            if limit is not None:
                wanted.insert(0, limit - base.alive[layer])
            for cap in wanted:
                smaller = self._cost(begin + layer, base.counts[layer], cap) if cap >= 0 else None
                if smaller is not None:
                    caps[layer], costs[layer] = cap, smaller
                    break
            else:
                return tuple(caps), costs

    def _cost(self, index: int, counts: Mapping[int, int], cap: int | None) -> RowCost | None:
        """What all calls of a layer take."""
        workspace = instructions = 0
        for rows, count in counts.items():
            cost = self._layers[index].cost(rows, cap)
            if cost is None:
                return None
            workspace = max(workspace, cost.workspace)
            instructions += count * cost.instructions
        return RowCost(workspace, instructions)

    def _base(self, begin: int, end: int, rows: tuple[int, ...], shared: bool) -> _Base | None:
        segment = self.segment(begin, end)
        if segment is None:
            return None
        rows = tuple(
            min(n, segment.tensors[(layer.reads[0] if layer.rule.fold else layer.writes)].height)
            for n, layer in zip(rows, segment.layers, strict=True)
        )
        try:
            plan = schedule(segment, rows, shared)
        except MisalignedError:
            return None
        self.events += len(plan.events)
        moves = 0
        counts: list[dict[int, int]] = [{} for _ in segment.layers]
        for event in plan.events:
            moves += _EVENT
            for change in (*event.before, *event.after):
                moved = change.rows * segment.tensors[change.tensor].row_bytes
                moves += _MOVE + moved // _BYTES // (1 if isinstance(change, Move) else 2)
            if event.kind is Kind.CALL:
                found = counts[event.layer]
                found[event.rows] = found.get(event.rows, 0) + 1
        around = self._outside(begin, end, segment) + self._ends(end, plan) + sum_bytes(plan)
        alive = tuple(around + ring_bytes(plan, layer) for layer in range(len(rows)))
        return _Base(plan, alive, moves, dict(enumerate(counts)))

    def _outside(self, begin: int, end: int, segment: Segment) -> int:
        """Bytes of what is alive beside a segment."""
        inside = {layer.writes for layer in segment.layers} - {segment.output}
        found = 0
        for request in self._problem.requests:
            mine = request.name in segment.whole or request.name in inside
            if mine or request.name == segment.pushed or request.name.startswith("workspace."):
                continue
            if request.first <= end and request.last >= begin + 1:
                found += request.size
        return found

    def _ends(self, end: int, plan: Schedule) -> int:
        """Bytes of the inputs and the output that exist as a whole, as far as they overlap."""
        segment = plan.segment
        output = segment.tensors[segment.output].nbytes
        saved = total = 0
        for overlap in segment_overlaps(plan):
            size = segment.tensors[overlap.read].nbytes
            total += size
            request = self._requests.get(overlap.read)
            if request is not None and request.last <= end and overlap.read not in self._fixed:
                spans = [
                    max(output, d + size) - min(0, d)
                    for d in (max(overlap.before, 0), max(overlap.before, output - size))
                ]
                saved = max(saved, output + size - min(spans))
        if segment.output not in self._requests:
            # The output lies in memory of the caller.
            return total
        return total + output - saved


def ring_bytes(plan: Schedule, layer: int) -> int:
    """Bytes of the rings and windows that are alive in a layer."""
    found = sum(r.size for r in plan.rings.values() if r.first <= layer <= r.last)
    return found + sum(
        r.window_size for r in plan.rings.values() if r.window_first <= layer <= r.window_last
    )


def sum_bytes(plan: Schedule) -> int:
    """Bytes of the sums of a global pool."""
    last = plan.segment.layers[-1]
    return 4 * plan.segment.tensors[last.writes].row_bytes if last.rule.fold else 0
