"""Division of kernels into parts: their work is numbered, and a call does a range of it.

A kernel is a sequence of statements and loops. Each statement is one *unit* of work, and so is each
iteration of a loop, or of a loop inside it. Data that is kept between two units has to be in a
workspace, so local buffers that a later unit could read become workspaces.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from tvm import ir, tirx
from tvm.ir import PointerType, PrimType

from tvmtiny.codegen.unit_memory import (
    NO_WORK,
    Roots,
    all_expressions,
    all_statements,
    memory,
    outlives,
    reads_memory,
)
from tvmtiny.ops.shared.primfunc_attributes import DIVISIBLE_ATTR
from tvmtiny.schedule.nest import Divisible, parse_divisible

#: A statement that does not write the output prepares workspaces; it counts as 1/50 of its
#: sequence.
_PREPARES = 50
#: A loop is divided further if one of its iterations takes more than 1/3 of the longest slice.
_GRAIN = 3
#: Limit of the number of units, which slices count in 16 bits.
_MOST_UNITS = 1 << 16


@dataclass(frozen=True, eq=False)
class Sliced:
    """A function with two more parameters: the first unit to run, and the end of the range.

    Attributes
    ----------
    function
        The divided function.
    moved
        Local buffers that have become parameters, placed before these two.
    weights
        Estimated share of each unit in the function's work.
    """

    function: tirx.PrimFunc
    moved: tuple[tirx.Buffer, ...]
    weights: np.ndarray


@dataclass
class _Part:
    """A statement: a divided loop with its own parts, a divisible call, or a single unit."""

    statement: tirx.Stmt
    weights: np.ndarray
    inside: list[_Part] = field(default_factory=list)
    divisible: Divisible | None = None

    @property
    def units(self) -> int:
        return len(self.weights)


def slice_function(function: tirx.PrimFunc, slices: float) -> Sliced | None:
    """Divide a function into units.

    Parameters
    ----------
    function
        The function in the form in which it is printed.
    slices
        Approximate number of parts: the function's cycles over those of the longest slice.

    Returns
    -------
    Sliced or None
        None if no loop of the function can be divided.
    """
    statements = _sequence(function.body)
    roots = Roots(function.body)
    outputs = [v for v in function.params if v.name == "out"]
    parts = _Slicer(roots, outputs[0], slices, function).parts(statements, 1.0)
    if parts is None:
        return None
    weights = np.concatenate([part.weights for part in parts])
    if not 1 < len(weights) < _MOST_UNITS:
        return None
    begin, end = tirx.Var("begin", "int32"), tirx.Var("end", "int32")
    kept = [s.buffer for s in statements if isinstance(s, tirx.AllocBuffer)]
    moved = [b for b in kept if any(outlives(leaf, b, roots) for leaf in _leaves(parts))]
    alone = len([part for part in parts if part.units]) == 1
    made = _Emitter().sequence(parts, begin, end, alone)
    declared: list[tirx.Stmt] = []
    pointers: list[tirx.Var] = []
    for buffer in moved:
        pointer = tirx.Var(buffer.name, PointerType(PrimType(buffer.dtype)))
        pointers.append(pointer)
        declared.append(tirx.DeclBuffer(buffer, data=pointer))
    made = [s for s in made if not (isinstance(s, tirx.AllocBuffer) and s.buffer in moved)]
    return Sliced(
        tirx.PrimFunc(
            [*function.params, *pointers, begin, end],
            tirx.SeqStmt([*declared, *made]),
            function.ret_type,
            attrs=function.attrs,
        ),
        tuple(moved),
        weights,
    )


def _sequence(body: tirx.Stmt) -> list[tirx.Stmt]:
    return list(body.seq) if isinstance(body, tirx.SeqStmt) else [body]


class _Slicer:
    """Finds the units of a function."""

    def __init__(
        self, roots: Roots, output: tirx.Var, slices: float, function: tirx.PrimFunc
    ) -> None:
        self._roots, self._output, self._slices = roots, output, slices
        self._divisible: dict[str, Divisible] = {}
        if DIVISIBLE_ATTR in function.attrs:
            self._divisible = parse_divisible(str(function.attrs[DIVISIBLE_ATTR]))

    def parts(self, statements: Sequence[tirx.Stmt], weight: float) -> list[_Part] | None:
        """Return the parts of a sequence; None if the sequence has to be one unit."""
        main = [s for s in statements if self._writes_output(s)]
        turns_of = [self._turns(s) for s in main]
        loops = [s for s, n in zip(main, turns_of, strict=True) if n > 1]
        if not loops or any(isinstance(s, tirx.Bind) and reads_memory(s.value) for s in statements):
            return None
        sizes = [_size(loop) for loop in loops]
        lengths = [self._length(s) for s in main]
        parts = []
        for statement in statements:
            same = [i for i, loop in enumerate(loops) if statement.same_as(loop)]
            length = sum(n for s, n in zip(main, lengths, strict=True) if statement.same_as(s))
            if isinstance(statement, NO_WORK):
                parts.append(_Part(statement, np.zeros(0)))
            elif length and all(lengths):
                share = weight * length / sum(lengths)
                one = _Part(statement, np.array([share]))
                parts.append(self._loop(statement, share) if same else one)
            elif same:
                parts.append(self._loop(statement, weight * sizes[same[0]] / sum(sizes)))
            elif any(statement.same_as(m) for m in main):
                # The statement counts as a whole iteration of the sequence, unless a loop calls the
                # same micro-kernels and thus gives a better estimate.
                turns = [
                    size / sum(sizes) / self._turns(loop)
                    for size, loop in zip(sizes, loops, strict=True)
                    if _called(statement) and _called(statement) <= _called(loop)
                ]
                parts.append(_Part(statement, np.array([weight * max(turns, default=1.0)])))
            else:
                parts.append(_Part(statement, np.array([weight / _PREPARES])))
        return parts

    def _turns(self, statement: tirx.Stmt) -> int:
        """Return the iterations of a loop or of a divisible call; 0 if they are not known."""
        if _constant_loop(statement):
            return int(statement.extent)
        known = self._division(statement)
        if known is None:
            return 0
        arguments = list(statement.value.args)[1:]
        for position, each in known.count.items():
            count = arguments[position]
            return -(-int(count) // each) if isinstance(count, tirx.IntImm) else 0
        for each in known.until.values():
            return self._length(statement) // each
        return 0

    def _length(self, statement: tirx.Stmt) -> int:
        """Return the elements that a divisible call advances to its end; 0 if they are unknown."""
        known = self._division(statement)
        if known is None:
            return 0
        arguments = list(statement.value.args)[1:]
        for position, each in known.until.items():
            end = _index(arguments[position])
            for start, more in known.advance.items():
                begin = _index(arguments[start])
                same = more == each and _same_buffer(arguments[start], arguments[position])
                if same and begin is not None and end is not None:
                    return end - begin
        return 0

    def _division(self, statement: tirx.Stmt) -> Divisible | None:
        names = _called(statement) if isinstance(statement, tirx.Evaluate) else set()
        return self._divisible.get(next(iter(names), ""))

    def _loop(self, loop: tirx.Stmt, weight: float) -> _Part:
        known = self._division(loop)
        if known is not None:
            turns = self._turns(loop)
            return _Part(loop, np.full(turns, weight / turns), divisible=known)
        extent = int(loop.extent)
        turn = weight / extent
        body = _sequence(loop.body)
        if turn * self._slices * _GRAIN > 1 and not any(
            isinstance(s, tirx.AllocBuffer) for s in body
        ):
            inside = self.parts(body, turn)
            if inside is not None:
                weights = np.concatenate([part.weights for part in inside])
                if len(weights) * extent < _MOST_UNITS and max(weights) < turn:
                    return _Part(loop, np.tile(weights, extent), inside)
        return _Part(loop, np.full(extent, turn))

    def _writes_output(self, statement: tirx.Stmt) -> bool:
        """Return whether a statement accesses the output; all such statements write it."""
        return any(self._roots.of(v).same_as(self._output) for v in memory(statement))


def _constant_loop(statement: tirx.Stmt) -> bool:
    return (
        isinstance(statement, tirx.For)
        and isinstance(statement.extent, tirx.IntImm)
        and isinstance(statement.min, tirx.IntImm)
        and int(statement.min) == 0
        and 1 < int(statement.extent) < _MOST_UNITS
        and statement.kind == tirx.ForKind.SERIAL
    )


def _index(address: ir.Expr) -> int | None:
    """Return the index of the element whose address is taken; None if it is not constant."""
    index = address.args[0].indices[0]
    return int(index) if isinstance(index, tirx.IntImm) else None


def _same_buffer(address: ir.Expr, other: ir.Expr) -> bool:
    return bool(address.args[0].source.same_as(other.args[0].source))


def _size(statement: tirx.Stmt, times: int = 1) -> int:
    """Count the statements that a loop executes, as a measure to compare loops."""
    if isinstance(statement, tirx.For):
        extent = statement.extent
        turns = int(extent) if isinstance(extent, tirx.IntImm) else 4
        return _size(statement.body, times * max(turns, 1))
    if isinstance(statement, tirx.SeqStmt):
        return sum(_size(part, times) for part in statement.seq)
    if isinstance(statement, tirx.IfThenElse):
        return _size(statement.then_case, times)
    return times


def _called(statement: tirx.Stmt) -> set[str]:
    """Return the names of the micro-kernels that a statement calls."""
    return {
        str(found.args[0].value)
        for part in all_statements(statement)
        if isinstance(part, tirx.Evaluate)
        for found in all_expressions(part.value)
        if isinstance(found, ir.Call) and str(getattr(found.op, "name", "")).endswith("extern")
    }


def _leaves(parts: Sequence[_Part]) -> Iterator[tirx.Stmt]:
    """Yield the statements that are units, and the bodies of loops whose iterations are units."""
    for part in parts:
        if part.inside:
            yield from _leaves(part.inside)
        elif part.divisible is not None:
            yield part.statement
        elif part.units > 1 or (part.units and isinstance(part.statement, tirx.For)):
            yield part.statement.body
        elif part.units:
            yield part.statement


class _Emitter:
    """Generates statements that run a range of units."""

    def __init__(self) -> None:
        self._loops = 0

    def sequence(
        self, parts: Sequence[_Part], begin: ir.Expr, end: ir.Expr, alone: bool
    ) -> list[tirx.Stmt]:
        """Return the statements for units `begin` to ``end - 1`` of a sequence.

        With `alone`, only one part has units, and the range lies within them.
        """
        made: list[tirx.Stmt] = []
        offset = 0
        for part in parts:
            if not part.units:
                made.append(part.statement)
            elif part.divisible is not None:
                made += self._call(part, begin, end, offset)
            elif isinstance(part.statement, tirx.For) and (part.units > 1 or part.inside):
                made += self._loop(part, begin, end, offset, alone)
            else:
                inside = tirx.And(begin <= offset, end > offset)
                made.append(tirx.IfThenElse(inside, part.statement, None))
            offset += part.units
        return made

    def _call(self, part: _Part, begin: ir.Expr, end: ir.Expr, offset: int) -> list[tirx.Stmt]:
        """Return the statements that make a divisible call for some of its iterations."""
        known = part.divisible
        assert known is not None
        number = self._loops
        self._loops += 1
        first, last = tirx.Var(f"first{number}", "int32"), tirx.Var(f"last{number}", "int32")
        made: list[tirx.Stmt] = [
            tirx.Bind(first, tirx.max(_less(begin, offset), 0)),
            tirx.Bind(last, tirx.min(_less(end, offset), part.units)),
        ]
        call = part.statement.value
        name, *arguments = call.args
        for position, each in known.advance.items():
            arguments[position] = _moved(arguments[position], first * each)
        for position, each in known.until.items():
            back = part.units * each
            arguments[position] = _moved(arguments[position], last * each - back)
        for position, each in known.count.items():
            rest = arguments[position] - first * each
            arguments[position] = tirx.min((last - first) * each, rest)
        some = tirx.Evaluate(tirx.call_extern("void", str(name.value), *arguments))
        made.append(tirx.IfThenElse(first < last, some, None))
        return made

    def _loop(
        self, part: _Part, begin: ir.Expr, end: ir.Expr, offset: int, alone: bool
    ) -> list[tirx.Stmt]:
        loop = part.statement
        extent = int(loop.extent)
        each = part.units // extent
        low, high = _less(begin, offset), _less(end, offset)
        if not alone:
            low = tirx.max(low, 0)
        if each > 1:
            low, high = tirx.truncdiv(low, each), tirx.truncdiv(high + (each - 1), each)
        if not alone:
            high = tirx.min(high, extent)
        made: list[tirx.Stmt] = []
        number = self._loops
        self._loops += 1
        bounds = []
        for name, value in (("first", low), ("last", high)):
            if isinstance(value, tirx.Var):
                bounds.append(value)
                continue
            bound = tirx.Var(f"{name}{number}", "int32")
            made.append(tirx.Bind(bound, value))
            bounds.append(bound)
        first, last = bounds
        body = loop.body
        if part.inside:
            turn = loop.loop_var * each
            one = len([p for p in part.inside if p.units]) == 1
            inner = self.sequence(
                part.inside, _less(begin, offset) - turn, _less(end, offset) - turn, False
            )
            assert one or len(inner) > 1
            body = tirx.SeqStmt(inner) if len(inner) > 1 else inner[0]
        return [*made, tirx.For(loop.loop_var, first, last - first, loop.kind, body)]


def _moved(address: ir.Expr, by: ir.Expr) -> ir.Expr:
    """Return an address `by` elements further on."""
    element = address.args[0]
    return tirx.address_of(element.source[element.indices[0] + by])


def _less(value: ir.Expr, offset: int) -> ir.Expr:
    return value - offset if offset else value
