"""Costs of the segments of a program: live tensors, bytes and instructions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import gcd

from tvmtiny.memory import Overlap, Problem
from tvmtiny.memory.peak import step_bounds
from tvmtiny.schedule.overlap import smallest_distance
from tvmtiny.streaming.order import Order
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

#: Instructions per event, and per move or fill in an event; bytes that one instruction moves.
_EVENT, _MOVE, _BYTES = 30, 12, 4

#: Instructions that are worth a byte of constants that are stored twice.
_PER_REPEATED_BYTE = 8


@dataclass(frozen=True)
class RowCost:
    """The cost of computing some rows of a layer.

    Attributes
    ----------
    workspace
        Bytes of workspace.
    instructions
        The estimated number of instructions.
    constants
        Names and bytes of large constants.
    """

    workspace: int
    instructions: int
    constants: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class PlanLayer:
    """A kernel call of the program.

    Attributes
    ----------
    reads, writes
        Names of activations.
    rule
        How rows of the output depend on rows of inputs; None if the call cannot be part of a
        segment.
    instructions
        The estimated number of instructions for the whole layer.
    cost
        A function that returns the cost of some rows, optionally within a limit on the bytes of
        workspace; None if no implementation fits the limit.
    """

    reads: tuple[str, ...]
    writes: str
    rule: RowRule | None
    instructions: int
    cost: Callable[[int, int | None], RowCost | None]


@dataclass(frozen=True)
class Streamed:
    """A segment with all decisions.

    Attributes
    ----------
    begin, end
        The first layer, and the layer after the last one.
    plan
        The order of the work, and the rings.
    peak
        The largest number of bytes of live tensors while the segment runs.
    instructions
        The estimated number of instructions beyond those of the same layers run as a whole.
    workspaces
        The limit on the bytes of workspace of each layer; None without a limit.
    """

    begin: int
    end: int
    plan: Schedule
    peak: int
    instructions: int
    workspaces: tuple[int | None, ...]


#: Numbers of rows, and how often a layer computes them.
_Counts = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class _Base:
    """A segment without workspaces.

    Attributes
    ----------
    alive
        Bytes of live tensors at each layer.
    moves
        Instructions of moves and fills around the kernels.
    counts
        Numbers of rows that each layer computes at a time, and how often.
    """

    plan: Schedule
    alive: tuple[int, ...]
    moves: int
    counts: tuple[_Counts, ...]


def segment_overlaps(plan: Schedule) -> Iterator[Overlap]:
    """Return how far a segment's output may overlap inputs that are stored as a whole.

    A kernel of a segment never writes over rows that it reads itself.
    """
    segment = plan.segment
    size = segment.tensors[segment.output].row_bytes
    for name, last_read in sorted(plan.last_read.items()):
        # All bytes of such a unit are read by the same events, and written by the same ones.
        unit = gcd(size, segment.tensors[name].row_bytes)
        read = (2 * last_read + 1).repeat(segment.tensors[name].row_bytes // unit)
        write = (2 * plan.first_write).repeat(size // unit)
        distance = unit * smallest_distance(read, write)
        yield Overlap(segment.output, name, -(-distance // 4) * 4)


class Segments:
    """The segments of a program, with a cache.

    Parameters
    ----------
    layers
        The layers, in the order of execution.
    tensors
        Activations that can be read and written by rows, by name.
    problem
        The memory problem of layers that run as a whole: layer ``i`` runs at step ``i + 1``.
    pushed
        The model's input, if its rows arrive one by one.
    fixed
        Names of activations that must be stored as a whole, whichever layer reads them: the model's
        outputs.
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
        #: The same for numbers of rows that are at most those of the tensors.
        self._placed: dict[tuple[int, int, tuple[int, ...], bool], _Base | None] = {}
        self._orders: dict[tuple[int, int, tuple[int, ...]], Order] = {}
        self._shapes: dict[tuple[int, int], Segment | None] = {}
        self._known: dict[tuple[object, ...], Streamed | None] = {}
        self._costs: dict[tuple[int, _Counts, int | None], RowCost | None] = {}
        #: Number of events that were ordered: a measure of time that is the same on every machine.
        self.events = 0

    @cached_property
    def plain(self) -> tuple[int, ...]:
        """Bytes of live tensors at each layer, if layers run as a whole."""
        bounds = step_bounds(self._problem)
        steps = sorted(bounds)
        found = []
        for index in range(len(self._layers)):
            at = max((s for s in steps if s <= index + 1), default=None)
            found.append(0 if at is None else bounds[at])
        return tuple(found)

    def segment(self, begin: int, end: int) -> Segment | None:
        """Return some layers as a segment; None if they cannot form one."""
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
        """Plan a segment with these numbers of rows per layer; None if that is impossible.

        Parameters
        ----------
        limit
            A limit in bytes. With a limit, take the fewest instructions within it, or the fewest
            bytes if nothing fits. Without a limit, take the fewest bytes.
        shared
            Whether rows move into windows that share memory.
        """
        key = begin, end, rows, limit, shared
        if key not in self._known:
            self._known[key] = self._streamed(begin, end, rows, limit, shared)
        return self._known[key]

    def is_known(self, begin: int, end: int, rows: tuple[int, ...], shared: bool) -> bool:
        """Whether the order for these rows is in the cache."""
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
            # A layer below the peak of another layer does not need a smaller workspace.
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
        """Return the limits on workspaces and the costs of all layers; see `streamed`."""
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

    def _cost(self, index: int, counts: _Counts, cap: int | None) -> RowCost | None:
        """The cost of all calls of a layer."""
        key = index, counts, cap
        if key not in self._costs:
            self._costs[key] = self._sum(*key)
        return self._costs[key]

    def _sum(self, index: int, counts: _Counts, cap: int | None) -> RowCost | None:
        workspace = instructions = most = 0
        constants: dict[str, int] = {}
        for rows, count in counts:
            cost = self._layers[index].cost(rows, cap)
            if cost is None:
                return None
            workspace = max(workspace, cost.workspace)
            instructions += count * cost.instructions
            constants.update(cost.constants)
            most = max(most, sum(size for _, size in cost.constants))
        # Other numbers of rows may need the same weights in another order.
        repeated = sum(constants.values()) - most
        return RowCost(workspace, instructions + _PER_REPEATED_BYTE * repeated)

    def _base(self, begin: int, end: int, rows: tuple[int, ...], shared: bool) -> _Base | None:
        segment = self.segment(begin, end)
        if segment is None:
            return None
        rows = tuple(
            min(n, segment.tensors[(layer.reads[0] if layer.rule.fold else layer.writes)].height)
            for n, layer in zip(rows, segment.layers, strict=True)
        )
        key = begin, end, rows, shared
        if key not in self._placed:
            self._placed[key] = self._place(segment, *key)
        found = self._placed[key]
        if found is not None:
            self.events += len(found.plan.events)
        return found

    def _place(
        self, segment: Segment, begin: int, end: int, rows: tuple[int, ...], shared: bool
    ) -> _Base | None:
        key = begin, end, rows
        if key not in self._orders:
            self._orders[key] = Order(segment, rows)
        try:
            plan = self._orders[key].schedule(shared)
        except MisalignedError:
            return None
        moves = 0
        counts: list[dict[int, int]] = [{} for _ in segment.layers]
        for event in plan.events:
            moves += _EVENT
            for change in event.before:
                moved = change.rows * segment.tensors[change.tensor].row_bytes
                moves += _MOVE + moved // _BYTES // (1 if isinstance(change, Move) else 2)
            if event.kind is Kind.CALL:
                found = counts[event.layer]
                found[event.rows] = found.get(event.rows, 0) + 1
        around = self._outside(begin, end, segment) + self._ends(end, plan) + sum_bytes(plan)
        alive = tuple(around + ring_bytes(plan, layer) for layer in range(len(rows)))
        return _Base(plan, alive, moves, tuple(tuple(found.items()) for found in counts))

    def _outside(self, begin: int, end: int, segment: Segment) -> int:
        """Bytes of tensors that are live beside a segment."""
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
        """Bytes of inputs and output that are stored as a whole, reduced by their overlap."""
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
            # The output is in the caller's memory.
            return total
        return total + output - saved


def ring_bytes(plan: Schedule, layer: int) -> int:
    """Bytes of the rings and windows that are live in a layer."""
    return sum(
        (r.size if any(first <= layer <= last for first, last in r.spans) else 0)
        + (r.window_size if r.window_first <= layer <= r.window_last else 0)
        for r in plan.rings.values()
    )


def sum_bytes(plan: Schedule) -> int:
    """Bytes of the sums of a global pool."""
    last = plan.segment.layers[-1]
    return 4 * plan.segment.tensors[last.writes].row_bytes if last.rule.fold else 0
