"""Choosing the segments of a program, and how many rows each layer makes at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

from tvmtiny.memory import Overlap, Problem
from tvmtiny.memory.peak import step_bounds
from tvmtiny.schedule.overlap import smallest_distance
from tvmtiny.streaming.rows import RowRule
from tvmtiny.streaming.segment import (
    Kind,
    MisalignedError,
    Move,
    RowLayer,
    RowTensor,
    Schedule,
    Segment,
    schedule,
)
from tvmtiny.streaming.time import sliding_schedule

#: Rows at a time that are tried.
ROWS = (1, 2, 3, 4)
#: The same for all layers of a segment, before single layers are looked at.
_UNIFORM = (1, 2, 4)
#: Segments of as many layers are tried with all combinations of rows, in programs of at most so
#: many layers, and in others.
_SMALL_PROGRAM, _EXHAUSTIVE, _EXHAUSTIVE_ELSE = 8, 4, 2
_SMALL_ROWS = (1, 2, 4)
#: Instructions of an event, and of each move or fill in it; bytes that an instruction moves.
_EVENT, _MOVE, _BYTES = 30, 12, 4
_MOST_ROUNDS = 12
#: Events of schedules that are tried for single layers; a measure of time that does not depend on
#: the machine, a few seconds of it.
_MOST_EVENTS = 40_000


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
        Of some rows; None where that many cannot be made.
    """

    reads: tuple[str, ...]
    writes: str
    rule: RowRule | None
    instructions: int
    cost: Callable[[int], RowCost | None]


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
    """

    begin: int
    end: int
    plan: Schedule
    peak: int
    instructions: int


@dataclass(frozen=True)
class Choice:
    """What runs row by row.

    Attributes
    ----------
    segments
        In order; all other layers run as a whole.
    peak
        Bytes, an estimate: what is alive at one time.
    instructions
        An estimate of what it takes more.
    """

    segments: tuple[Streamed, ...]
    peak: int
    instructions: int


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


class Planner:
    """Finds segments of a program.

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
        self._known: dict[tuple[int, int, tuple[int, ...]], Streamed | None] = {}
        self._shapes: dict[tuple[int, int], Segment | None] = {}
        self._events = 0

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

    def choose(self, budget: int | None = None, overhead: float | None = None) -> Choice:
        """Choose segments.

        Parameters
        ----------
        budget
            Bytes: the fewest instructions within them. Without, the fewest bytes.
        overhead
            Without a budget: the most instructions more than without segments, as a share.

        Returns
        -------
        Choice
            The smallest there is, where nothing fits the budget.
        """
        smallest = self._smallest()
        if budget is not None and smallest.peak <= budget:
            return self._refined(self._cheapest(budget) or smallest, budget)
        found = self._refined(smallest, smallest.peak)
        if budget is not None or overhead is None:
            return found
        total = sum(layer.instructions for layer in self._layers)
        low, high = smallest.peak, max(self.plain, default=0)
        while found.instructions > overhead * total and high - low > max(64, high // 100):
            # More memory takes fewer instructions.
            middle = (low + high) // 2
            tried = self._refined(self._cheapest(middle) or smallest, middle)
            if tried.instructions > overhead * total:
                low = middle
            else:
                high = middle
                found = tried
        return found

    def _smallest(self) -> Choice:
        """The fewest bytes, for rows of the same number in each segment."""
        best = self._path(None) or Choice((), max(self.plain, default=0), 0)
        for _ in range(_MOST_ROUNDS):
            tried = self._path(best.peak - 1)
            if tried is None or tried.peak >= best.peak:
                break
            best = tried
        return self._cheapest(best.peak) or best

    def _cheapest(self, limit: int) -> Choice | None:
        """The fewest instructions within `limit` bytes."""
        return self._path(limit, cheap=True)

    def sliding(self, slides: Callable[[int], bool]) -> tuple[Streamed, int] | None:
        """The longest segment from the input on whose windows slide, up to a single row.

        Parameters
        ----------
        slides
            Whether a layer does, by position.

        Returns
        -------
        tuple or None
            The segment, and the event with which work on each further row begins.
        """
        count = next((i for i in range(len(self._layers)) if not slides(i)), len(self._layers))
        for end in range(count, 0, -1):
            segment = self._segment(0, end)
            if segment is None or segment.tensors[segment.output].height > 1:
                continue
            found = sliding_schedule(segment)
            if found is not None:
                return Streamed(0, end, found[0], 0, 0), found[1]
        return None

    def _path(self, limit: int | None, cheap: bool = False) -> Choice | None:
        """Segments and whole layers from the first layer to the last, by dynamic programming.

        Parameters
        ----------
        limit
            Bytes that nothing may exceed.
        cheap
            Compare instructions first, bytes otherwise.
        """
        count = len(self._layers)
        most = limit if limit is not None else 1 << 60
        best: list[tuple[tuple[int, int], tuple[Streamed, ...]] | None] = [None] * (count + 1)
        best[0] = ((0, 0), ())
        for begin in range(count):
            here = best[begin]
            if here is None:
                continue
            (first, second), segments = here
            peak, cost = (second, first) if cheap else (first, second)
            options: list[tuple[int, int, int, tuple[Streamed, ...]]] = []
            if not (begin == 0 and self._pushed) and self.plain[begin] <= most:
                options.append((begin + 1, self.plain[begin], 0, ()))
            for end in range(begin + 1, count + 1):
                if self._layers[end - 1].rule is None:
                    break
                if not self._worth(begin, end, limit):
                    continue
                for streamed in self._uniform(begin, end):
                    if streamed.peak <= most:
                        options.append((end, streamed.peak, streamed.instructions, (streamed,)))
            for end, more, work, added in options:
                high, total = max(peak, more), cost + work
                key = (total, high) if cheap else (high, total)
                known = best[end]
                if known is None or key < known[0]:
                    best[end] = (key, (*segments, *added))
        last = best[count]
        if last is None:
            return None
        (first, second), segments = last
        return Choice(segments, *((second, first) if cheap else (first, second)))

    def _worth(self, begin: int, end: int, limit: int | None) -> bool:
        """Whether a segment could be needed: else its first or last layer might run as a whole."""
        if begin == 0 and self._pushed:
            return True
        most = max(self.plain, default=0) if limit is None else limit
        if max(self.plain[begin:end]) < most and limit is None:
            return False
        if max(self.plain[begin:end]) <= most:
            return False
        grows = self._live(begin + 1) > self._live(begin)
        shrinks = self._live(end) < self._live(end - 1)
        return (self.plain[begin] > most or grows) and (self.plain[end - 1] > most or shrinks)

    def _live(self, cut: int) -> int:
        """Bytes of activations that are alive between two layers."""
        return sum(
            r.size
            for r in self._problem.requests
            if r.first <= cut < r.last and not r.name.startswith("workspace.")
        )

    def _uniform(self, begin: int, end: int) -> Iterator[Streamed]:
        segment = self._segment(begin, end)
        if segment is None:
            return
        count = end - begin
        vectors: list[tuple[int, ...]] = [(rows,) * count for rows in _UNIFORM]
        small = len(self._layers) <= _SMALL_PROGRAM
        if count <= (_EXHAUSTIVE if small else _EXHAUSTIVE_ELSE):
            vectors = list(product(_SMALL_ROWS, repeat=count))
        for vector in vectors:
            streamed = self.streamed(begin, end, vector)
            if streamed is not None:
                yield streamed

    def _segment(self, begin: int, end: int) -> Segment | None:
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
        segment = Segment(
            layers, {name: self._tensors[name] for name in sorted(names)}, whole, pushed
        )
        if any(segment.pad_of(name) is None for name in names):
            return None
        return segment

    def streamed(self, begin: int, end: int, rows: tuple[int, ...]) -> Streamed | None:
        """A segment with these rows a layer; None where that cannot be."""
        key = begin, end, rows
        if key not in self._known:
            self._known[key] = self._streamed(begin, end, rows)
        return self._known[key]

    def _streamed(self, begin: int, end: int, rows: tuple[int, ...]) -> Streamed | None:
        segment = self._segment(begin, end)
        if segment is None:
            return None
        rows = tuple(
            min(n, segment.tensors[(layer.reads[0] if layer.rule.fold else layer.writes)].height)
            for n, layer in zip(rows, segment.layers, strict=True)
        )
        try:
            plan = schedule(segment, rows)
        except MisalignedError:
            return None
        workspaces, extra = self._work(begin, plan)
        if workspaces is None:
            return None
        return Streamed(begin, end, plan, self._peak(begin, end, plan, workspaces), extra)

    def _work(self, begin: int, plan: Schedule) -> tuple[list[int] | None, int]:
        """Workspace of each layer, and instructions more than those of whole layers."""
        segment, extra = plan.segment, 0
        counts: dict[tuple[int, int], int] = {}
        for event in plan.events:
            extra += _EVENT
            for change in event.before:
                name, lines = change.tensor, change.rows
                moved = lines * segment.tensors[name].row_bytes
                extra += _MOVE + moved // _BYTES // (1 if isinstance(change, Move) else 2)
            if event.kind is Kind.CALL:
                key = event.layer, event.rows
                counts[key] = counts.get(key, 0) + 1
        workspaces = [0] * len(segment.layers)
        for (layer, rows), count in counts.items():
            cost = self._layers[begin + layer].cost(rows)
            if cost is None:
                return None, 0
            workspaces[layer] = max(workspaces[layer], cost.workspace)
            extra += count * cost.instructions
        for layer, made in enumerate(segment.layers):
            if not made.rule.fold:
                extra -= self._layers[begin + layer].instructions
        return workspaces, extra

    def _peak(self, begin: int, end: int, plan: Schedule, workspaces: Sequence[int]) -> int:
        segment = plan.segment
        inside = {layer.writes for layer in segment.layers} - {segment.output}
        outside = 0
        for request in self._problem.requests:
            mine = request.name in segment.whole or request.name in inside
            if mine or request.name == segment.pushed or request.name.startswith("workspace."):
                continue
            if request.first <= end and request.last >= begin + 1:
                outside += request.size
        return outside + self._ends(end, plan) + inner_bytes(plan, workspaces)

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

    def _refined(self, choice: Choice, limit: int) -> Choice:
        """Change the rows of single layers, and of neighbours, where that saves instructions."""
        segments = tuple(self._refined_segment(s, max(limit, s.peak)) for s in choice.segments)
        plain = set(range(len(self._layers)))
        for streamed in segments:
            plain -= set(range(streamed.begin, streamed.end))
        peaks = [*(s.peak for s in segments), *(self.plain[i] for i in plain)]
        return Choice(segments, max(peaks, default=0), sum(s.instructions for s in segments))

    def _refined_segment(self, streamed: Streamed, limit: int) -> Streamed:
        best = streamed
        improved = True
        while improved:
            improved = False
            count = best.end - best.begin
            for width in (1, 2, 3):
                for first in range(count - width + 1):
                    for rows in ROWS if self._events < _MOST_EVENTS else ():
                        vector = list(best.plan.rows)
                        vector[first : first + width] = [rows] * width
                        key_of = best.begin, best.end, tuple(vector)
                        new = key_of not in self._known
                        tried = self.streamed(*key_of)
                        if tried is not None and new:
                            self._events += len(tried.plan.events)
                        if tried is not None and tried.peak <= limit:
                            key = tried.instructions, tried.peak
                            if key < (best.instructions, best.peak):
                                best, improved = tried, True
        return best


def inner_bytes(plan: Schedule, workspaces: Sequence[int]) -> int:
    """Bytes of rings, sums and workspaces of a segment: the most that are alive in a layer."""
    most = 0
    for layer in range(len(plan.rows)):
        alive = sum(r.size for r in plan.rings.values() if r.first <= layer <= r.last)
        most = max(most, alive + workspaces[layer])
    return most + sum_bytes(plan)


def sum_bytes(plan: Schedule) -> int:
    """Bytes of the sums of a global pool."""
    last = plan.segment.layers[-1]
    return 4 * plan.segment.tensors[last.writes].row_bytes if last.rule.fold else 0
