"""Choose the segments of a program, and how many rows each layer computes at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

from tvmtiny.streaming.segment import Segment
from tvmtiny.streaming.segment_costs import Segments, Streamed
from tvmtiny.streaming.time import sliding_schedule

#: Numbers of rows at a time that are tried.
ROWS = (1, 2, 3, 4)
#: The same for all layers of a segment, before single layers are looked at.
_UNIFORM = (1, 2, 4)
#: Segments with at most `_EXHAUSTIVE` layers, or `_EXHAUSTIVE_ELSE` in programs with more than
#: `_SMALL_PROGRAM` layers, are tried with all combinations of rows.
_SMALL_PROGRAM, _EXHAUSTIVE, _EXHAUSTIVE_ELSE = 8, 4, 2
_SMALL_ROWS = (1, 2, 4)
_MOST_ROUNDS = 12
#: The limit on events of schedules that are tried for single layers. Events measure time
#: independently of the machine; the limit corresponds to a few seconds.
_MOST_EVENTS = 40_000


@dataclass(frozen=True)
class Choice:
    """The segments that run row by row.

    Attributes
    ----------
    segments
        The segments, in order; all other layers run as a whole.
    peak
        The estimated number of bytes that are live at one time.
    instructions
        The estimated number of additional instructions.
    """

    segments: tuple[Streamed, ...]
    peak: int
    instructions: int


class Planner(Segments):
    """Finds the segments of a program."""

    #: Number of events of schedules that were tried for single layers.
    _tried_events = 0

    def choose(self, budget: int | None = None, overhead: float | None = None) -> Choice:
        """Choose segments.

        Parameters
        ----------
        budget
            A limit in bytes, within which instructions are minimized. Without a budget, bytes are
            minimized.
        overhead
            The limit on additional instructions without a budget, as a share of those without
            segments.

        Returns
        -------
        Choice
            The choice; the one with the fewest bytes if nothing fits the budget.
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
            # With more memory, fewer instructions are needed.
            middle = (low + high) // 2
            tried = self._refined(self._cheapest(middle) or smallest, middle)
            if tried.instructions > overhead * total:
                low = middle
            else:
                high = middle
                found = tried
        return found

    def _smallest(self) -> Choice:
        """Minimize bytes, with the same number of rows for all layers of a segment."""
        best = self._path(None) or Choice((), max(self.plain, default=0), 0)
        for _ in range(_MOST_ROUNDS):
            tried = self._path(best.peak - 1)
            if tried is None or tried.peak >= best.peak:
                break
            best = tried
        return self._cheapest(best.peak) or best

    def _cheapest(self, limit: int) -> Choice | None:
        """Minimize instructions within `limit` bytes."""
        return self._path(limit, cheap=True)

    def sliding(self, slides: Callable[[int], bool]) -> tuple[Streamed, int] | None:
        """Find the longest segment from the input whose windows slide, up to a single row.

        Parameters
        ----------
        slides
            Whether each layer slides, by position.

        Returns
        -------
        tuple or None
            The segment, and the event that begins the work on each further row.
        """
        count = next((i for i in range(len(self._layers)) if not slides(i)), len(self._layers))
        for end in range(count, 0, -1):
            segment = self.segment(0, end)
            if segment is None or segment.tensors[segment.output].height > 1:
                continue
            found = sliding_schedule(segment)
            if found is not None:
                return Streamed(0, end, found[0], 0, 0, (None,) * end), found[1]
        return None

    def _path(self, limit: int | None, cheap: bool = False) -> Choice | None:
        """Choose segments and whole layers from the first layer to the last by dynamic programming.

        Parameters
        ----------
        limit
            The limit on bytes at every layer.
        cheap
            Whether instructions are compared first; otherwise bytes are.
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
                for streamed in self._uniform(begin, end, limit, cheap):
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
        """Whether a segment may help; otherwise its first or last layer might run as a whole."""
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
        """Bytes of activations that are live between two layers."""
        return sum(
            r.size
            for r in self._problem.requests
            if r.first <= cut < r.last and not r.name.startswith("workspace.")
        )

    def _uniform(self, begin: int, end: int, limit: int | None, cheap: bool) -> Iterator[Streamed]:
        """Yield segments with promising numbers of rows; windows share memory if necessary."""
        segment = self.segment(begin, end)
        if segment is None:
            return
        count = end - begin
        vectors: list[tuple[int, ...]] = [(rows,) * count for rows in _UNIFORM]
        vectors.append(tuple(_rows_of_a_window(segment, layer.writes) for layer in segment.layers))
        small = len(self._layers) <= _SMALL_PROGRAM
        if count <= (_EXHAUSTIVE if small else _EXHAUSTIVE_ELSE):
            vectors = list(product(_SMALL_ROWS, repeat=count))
        for vector in dict.fromkeys(vectors):
            streamed = self.streamed(begin, end, vector, limit if cheap else None)
            if streamed is None:
                continue
            yield streamed
            if limit is not None and _may_gain(streamed, limit):
                shared = self.streamed(begin, end, vector, limit if cheap else None, shared=True)
                if shared is not None:
                    yield shared

    def _refined(self, choice: Choice, limit: int) -> Choice:
        """Change the rows of single layers and of neighbours if that saves instructions."""
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
                    for rows in ROWS:
                        vector = list(best.plan.rows)
                        vector[first : first + width] = [rows] * width
                        tried = self._tried(best, tuple(vector), limit)
                        if tried is not None and tried.peak <= limit:
                            key = tried.instructions, tried.peak
                            if key < (best.instructions, best.peak):
                                best, improved = tried, True
        return best

    def _tried(self, best: Streamed, rows: tuple[int, ...], limit: int) -> Streamed | None:
        """Return the same segment with other rows; None if the limit on events is reached."""
        key = best.begin, best.end, rows
        shared = best.plan.shared
        if not self.is_known(*key, shared):
            if self._tried_events >= _MOST_EVENTS:
                return None
            self._tried_events -= self.events
            self.streamed(*key, limit, shared)
            self._tried_events += self.events
        return self.streamed(*key, limit, shared)


def _rows_of_a_window(segment: Segment, tensor: str) -> int:
    """Return the number of rows of a tensor that complete its reader's next window."""
    rules = [layer.rule for layer in segment.layers if tensor in layer.reads]
    return rules[0].stride if len(rules) == 1 and not rules[0].fold else 1


def _may_gain(streamed: Streamed, limit: int) -> bool:
    """Whether windows that share memory may meet the limit, or make room for workspaces.

    They save at most all but one row of each ring.
    """
    if streamed.peak <= limit:
        return any(cap is not None for cap in streamed.workspaces)
    rings = streamed.plan.rings.values()
    return streamed.peak <= limit + sum((r.capacity - 1) * r.tensor.row_bytes for r in rings)
