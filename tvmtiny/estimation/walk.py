"""Counting of a TIR function's work: its loops, accesses, arithmetic and calls.

The counts follow a C compiler's optimizations: invariant expressions are computed before the loop,
equal expressions once, and an index that moves with a loop is a pointer.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from tvm import tirx
from tvm.ir.expr import TensorLoad

from tvmtiny.estimation.counts import Walk
from tvmtiny.estimation.expressions import ExpressionCounter
from tvmtiny.estimation.terms import Term, contains_loop, dtype_of, parts_of, size_of

__all__ = ["walk"]

#: Points of the iteration space at which extents, conditions and arguments are evaluated; a larger
#: space is sampled.
_MOST_POINTS = 4096

#: Loops of at most this many iterations are also counted separately for each trip count.
_SHORT = 4

#: Loops that copy at most this many bytes are unrolled.
_LONGEST_RUN = 8

#: Numbers of neighbouring bytes that a load and a store copy.
_SINGLE_MOVES = (1, 2, 4)

#: Most iterations of a loop of copies that may be unrolled.
_MOST_UNROLLED = 8

#: Size of the cache: more kernels than a model has.
_KEPT_WALKS = 512

#: Walks by the body of the function and by whether the core loads words from any address.
_known: dict[tuple[tirx.Stmt, bool], Walk] = {}


@dataclass(frozen=True)
class _Copy:
    """A copy of adjacent bytes.

    Attributes
    ----------
    key
        Names of both buffers, and the variable parts of both indices.
    offsets
        Constant parts of the indices of the first byte, in both buffers.
    count
        Number of bytes.
    """

    key: tuple[Any, ...]
    offsets: tuple[int, int]
    count: int

    def goes_on(self, other: _Copy) -> bool:
        """Return whether `other` continues this copy in both buffers."""
        behind = (self.offsets[0] + self.count, self.offsets[1] + self.count)
        return self.key == other.key and other.offsets == behind

    def with_more(self, count: int) -> _Copy:
        """Return the copy extended by `count` bytes."""
        return replace(self, count=self.count + count)


def walk(function: tirx.PrimFunc, unaligned: bool) -> Walk:
    """Count one execution of a function in the form in which it is printed.

    Branches on conditions that depend on data count half.

    Parameters
    ----------
    function
        The lowered function.
    unaligned
        Whether the core loads words from any address, so that compilers merge loads of bytes.

    Returns
    -------
    Walk
        Counts and calls.
    """
    # Kernels of equal functions share the body, whatever their names; see `lower_kernels`.
    key = function.body, unaligned
    if key not in _known:
        if len(_known) == _KEPT_WALKS:
            _known.clear()
        walker = _Walker(function, unaligned)
        walker.statement(function.body)
        walker.found.counts["parameters"] = float(len(function.params))
        _known[key] = walker.found
    return _known[key]


class _Walker(ExpressionCounter):
    # ---- Statements ----------------------------------------------------------------------

    def statement(self, statement: tirx.Stmt) -> None:
        if self._size == 0:
            return
        if isinstance(statement, tirx.SeqStmt):
            self._sequence(list(statement.seq))
            return
        if isinstance(statement, tirx.For):
            copied = self._copy(statement)
            if copied is not None:
                self._moves(copied)
            elif self._is_unrolled(statement):
                self._unrolled(statement)
            else:
                self._loop(statement)
        elif isinstance(statement, tirx.IfThenElse):
            self._condition(statement.condition)
            self._branches(statement)
        elif isinstance(statement, tirx.BufferStore):
            self._value(statement.value)
            dtype = str(statement.buffer.dtype)
            self._access("store", statement.buffer, dtype, list(statement.indices))
        elif isinstance(statement, tirx.Evaluate):
            self._value(statement.value)
        elif isinstance(statement, tirx.Bind):
            self._bind(statement.var, statement.value)
        else:
            for part in parts_of(statement):
                self.statement(part)

    def _sequence(self, statements: list[tirx.Stmt]) -> None:
        """Count statements in sequence; copies of adjacent bytes are merged to words."""
        run: _Copy | None = None
        for statement in statements:
            copied = self._copy(statement)
            if run is not None and (copied is None or not run.goes_on(copied)):
                if copied is None and isinstance(statement, tirx.Bind):
                    self.statement(statement)
                    continue
                self._moves(run)
                run = None
            if copied is None:
                self.statement(statement)
            else:
                run = copied if run is None else run.with_more(copied.count)
        if run is not None:
            self._moves(run)

    def _copy(self, statement: tirx.Stmt) -> _Copy | None:
        """Return the bytes that a statement or a short loop copies, if it does nothing else."""
        variable = None
        count = 1
        if isinstance(statement, tirx.For) and isinstance(statement.extent, tirx.IntImm):
            count, variable = int(statement.extent), statement.loop_var
            statement = statement.body
        if (
            not self._unaligned
            or count > _LONGEST_RUN
            or not isinstance(statement, tirx.BufferStore)
            or not isinstance(statement.value, TensorLoad)
            or size_of(dtype_of(statement.value)) != 1
        ):
            return None
        if variable is not None:
            self._levels[variable] = len(self._times)
        to = self._term(statement.indices[0])
        source = self._term(statement.value.indices[0])
        if to is None or source is None:
            return None
        names = (self._name(statement.buffer), self._name(statement.value.source))
        rest = []
        for term in (to, source):
            moving = [p for p in term.parts if variable is not None and p[2] == len(self._times)]
            if [factor for _, factor, _ in moving] != [1] * (variable is not None):
                return None
            rest.append(tuple(p for p in term.parts if p not in moving))
        return _Copy((names, *rest), (to.offset, source.offset), count)

    def _is_unrolled(self, statement: tirx.For) -> bool:
        """Return whether GCC unrolls a loop that only copies, as far as code does not grow.

        Of each copied byte, GCC counts a load, a store and two sums of addresses. The other
        statements, indices and the condition, vanish with the loop. GCC expects a third of the
        copies' statements to vanish, too.
        """
        if not self._unaligned or not isinstance(statement.extent, tirx.IntImm):
            return False
        count = int(statement.extent)
        size = self._copied(statement.body)
        if not size or count > _MOST_UNROLLED:
            return False
        stay, vanish = 4 * size, 2 * size + 3
        return count * stay * 2 // 3 <= stay + vanish + 1

    def _copied(self, statement: tirx.Stmt) -> int:
        """Return how many bytes a statement copies one by one; 0 if it does anything else."""
        if isinstance(statement, tirx.Bind):
            return 0
        if isinstance(statement, tirx.SeqStmt):
            parts = [part for part in statement.seq if not isinstance(part, tirx.Bind)]
            sizes = [self._copied(part) for part in parts]
            return sum(sizes) if all(sizes) else 0
        if isinstance(statement, tirx.For):
            short = self._copy(statement)
            return 0 if short is None else short.count
        copies = (
            isinstance(statement, tirx.BufferStore)
            and isinstance(statement.value, TensorLoad)
            and size_of(dtype_of(statement.value)) == 1
        )
        return int(copies)

    def _unrolled(self, statement: tirx.For) -> None:
        """Count copies whose addresses are constant, because their loop is unrolled."""
        variable, extent = statement.loop_var, int(statement.extent)
        for value in range(extent):
            self._bound[variable] = Term((), value, 0)
            self._points[variable] = np.full(self._size, value)
            self.statement(statement.body)
        del self._bound[variable], self._points[variable]

    def _moves(self, run: _Copy) -> None:
        """Count the moves of a copy: words, then a halfword, then a byte."""
        count = run.count
        moves = self._now * (count // 4 + count % 4 // 2 + count % 2)
        self.found.counts["moves"] += moves
        names, *bases = run.key
        for name, parts in zip(names, bases, strict=True):
            for depth in {level for *_, level in parts if level}:
                part = tuple(p for p in parts if p[2] <= depth)
                if self._first(("pointer", name, part)):
                    self._count("pointer", depth)

    def _loop(self, statement: tirx.For) -> None:
        extent = self._evaluate(statement.extent)
        if extent is None:
            extent = np.ones(self._size, np.int64)
        kept = self._points, self._size, self._weight
        outer_trips, self._trips = self._trips, 0
        outer = self._now
        extent = np.maximum(extent, 0)
        total, outer_size = int(extent.sum()), self._size
        rows = np.repeat(np.arange(self._size), extent)
        starts = np.cumsum(extent) - extent
        values = np.arange(total) - np.repeat(starts, extent)
        if total > _MOST_POINTS:
            chosen = np.sort(self._random.choice(total, _MOST_POINTS, replace=False))
            rows, values = rows[chosen], values[chosen]
            self._weight *= total / _MOST_POINTS
        self._points = {var: found[rows] for var, found in self._points.items()}
        self._points[statement.loop_var] = values
        self._size = len(rows)
        self._times.append(self._now)
        self._levels[statement.loop_var] = len(self._times) - 1
        self._around.append(statement.loop_var)
        self._seen.append(set())
        inner = not contains_loop(statement.body)
        # Compilers unroll some short loops completely, so each trip count has its own cost.
        short = isinstance(statement.extent, tirx.IntImm) and total <= outer_size * _SHORT
        kind = "inner " * inner
        trips = total // outer_size
        number = f" of {trips}"
        self._trips = trips if short and inner else 0
        for suffix in ("", number) if short else ("",):
            self.found.counts[f"{kind}turn{suffix}"] += self._now
            self.found.counts[f"{kind}loop{suffix}"] += outer
        if self._unaligned and self._copied(statement.body) in _SINGLE_MOVES:
            # The instructions of the move also change its pointers.
            self.found.counts["turn of a move"] += self._now
        outer_offsets, self._offsets = self._offsets, defaultdict(set)
        self.statement(statement.body)
        if inner and not self._unaligned:
            self._near_loads()
        self._offsets = outer_offsets
        self._around.pop()
        self._seen.pop()
        self._times.pop()
        self._points, self._size, self._weight = kept
        self._trips = outer_trips

    def _branches(self, statement: tirx.IfThenElse) -> None:
        found = self._evaluate(statement.condition)
        kept = self._points, self._size, self._weight
        for wanted, part in ((True, statement.then_case), (False, statement.else_case)):
            if part is None:
                continue
            if found is None:
                self._weight /= 2
            else:
                chosen = (found != 0) == wanted
                self._points = {var: value[chosen] for var, value in self._points.items()}
                self._size = int(chosen.sum())
            self._count("branch")
            self._seen.append(set())
            self.statement(part)
            self._seen.pop()
            self._points, self._size, self._weight = kept
