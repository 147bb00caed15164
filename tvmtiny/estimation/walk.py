"""What a function in TIR does, counted: its loops, accesses and arithmetic, and its calls.

Counts follow what a C compiler makes of loops: what does not depend on a loop is computed before
it, equal expressions once, and an index that moves with a loop is a pointer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
from tvm import ir, tirx
from tvm.ir.expr import StringImm, TensorLoad

__all__ = ["Call", "Walk", "walk"]

#: Points of the iteration space at which extents, conditions and arguments are evaluated; larger
#: spaces are sampled.
_MOST_POINTS = 4096

#: Loads and stores of Thumb reach so many elements from a pointer, without an index of their own.
_NEAR = 32

#: Loops of so many turns are counted by the number of turns.
_SHORT = 4

#: Loops that copy at most so many bytes are unrolled.
_LONGEST_RUN = 8

#: Products are made of so many sums of shifted values at most, where that is faster.
_MOST_STEPS = 3

_COMPARISONS = (tirx.EQ, tirx.NE, tirx.LT, tirx.LE, tirx.GT, tirx.GE)
_EVALUATE = {
    tirx.Add: np.add,
    tirx.Sub: np.subtract,
    tirx.Mul: np.multiply,
    tirx.FloorDiv: np.floor_divide,
    tirx.FloorMod: np.mod,
    tirx.Div: np.floor_divide,
    tirx.Mod: np.mod,
    tirx.Min: np.minimum,
    tirx.Max: np.maximum,
    tirx.EQ: np.equal,
    tirx.NE: np.not_equal,
    tirx.LT: np.less,
    tirx.LE: np.less_equal,
    tirx.GT: np.greater,
    tirx.GE: np.greater_equal,
    tirx.And: np.logical_and,
    tirx.Or: np.logical_or,
}
_DIVISIONS = (tirx.FloorDiv, tirx.FloorMod, tirx.Div, tirx.Mod)


@dataclass(frozen=True)
class Call:
    """One call in the text of a function, with the arguments that it gets.

    Attributes
    ----------
    function
        Its name.
    arguments
        Values at all points; of an address, the bytes from the start of the buffer; None where
        they depend on data.
    constant
        Whether an argument is the same at all points.
    points
        How many points there are.
    weight
        Executions that each point stands for.
    """

    function: str
    arguments: tuple[np.ndarray | None, ...]
    constant: tuple[bool, ...]
    points: int
    weight: float

    @property
    def times(self) -> float:
        """Executions."""
        return self.points * self.weight


@dataclass
class Walk:
    """What was counted in one execution of a function."""

    counts: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    calls: list[Call] = field(default_factory=list)


@dataclass(frozen=True)
class _Term:
    """An integer as a sum: constants times atoms, and a constant.

    Attributes
    ----------
    level
        The innermost loop that the value depends on, counted from 1; 0 for none.
    """

    parts: tuple[tuple[Hashable, int, int], ...]
    offset: int
    level: int

    @property
    def key(self) -> Hashable:
        return (self.parts, self.offset)


@dataclass(frozen=True)
class _Copy:
    """A copy of neighbouring bytes.

    Attributes
    ----------
    key
        The names of both buffers, and what the indices are besides their offsets.
    offsets
        Of the first byte, in both.
    """

    key: tuple[Any, ...]
    offsets: tuple[int, int]
    count: int

    def goes_on(self, other: _Copy) -> bool:
        """Whether another copy follows this one in both buffers."""
        behind = (self.offsets[0] + self.count, self.offsets[1] + self.count)
        return self.key == other.key and other.offsets == behind

    def with_more(self, count: int) -> _Copy:
        """The same, of more bytes."""
        return replace(self, count=self.count + count)


def walk(function: tirx.PrimFunc, unaligned: bool) -> Walk:
    """Count one execution of a function as it is printed.

    Conditions on data count half.

    Parameters
    ----------
    unaligned
        Whether the core loads words from any address, so that compilers join loads of bytes.
    """
    walker = _Walker(function, unaligned)
    walker.statement(function.body)
    walker.found.counts["parameters"] = float(len(function.params))
    return walker.found


class _Walker:
    def __init__(self, function: tirx.PrimFunc, unaligned: bool) -> None:
        self.found = Walk()
        self._unaligned = unaligned
        self._random = np.random.default_rng(0)
        self._points: dict[tirx.Var, np.ndarray] = {}
        self._size = 1
        self._weight = 1.0
        #: Executions of the body of each loop around, outermost first; the function itself is 0.
        self._times = [1.0]
        self._levels: dict[tirx.Var, int] = {}
        self._around: list[tirx.Var] = []
        self._bound: dict[tirx.Var, _Term] = {}
        self._seen: list[set[Hashable]] = [set()]
        self._parameters = {str(parameter.name) for parameter in function.params}
        #: Loops in which each buffer is written, by the name of the buffer.
        self._writers: defaultdict[str, set[tirx.Var]] = defaultdict(set)
        self._note_writers(function.body, ())

    def _note_writers(self, statement: tirx.Stmt, loops: tuple[tirx.Var, ...]) -> None:
        if isinstance(statement, tirx.BufferStore):
            self._writers[self._name(statement.buffer)].update(loops)
        elif isinstance(statement, tirx.For):
            self._note_writers(statement.body, (*loops, statement.loop_var))
        else:
            for part in _parts(statement):
                self._note_writers(part, loops)

    @property
    def _now(self) -> float:
        return self._size * self._weight

    def _count(self, name: str, level: int | None = None) -> None:
        times = self._now
        if level is not None and level < len(self._times):
            times = min(times, self._times[level])
        self.found.counts[name] += times

    def _name(self, buffer: tirx.Var) -> str:
        """Of a buffer, or of the parameter that it is a view of."""
        name = str(buffer.name)
        parameter, _, number = name.rpartition("_")
        return parameter if number.isdigit() and parameter in self._parameters else name

    def _first(self, key: Hashable) -> bool:
        """Whether an expression was not computed before in this block or one around it."""
        if any(key in block for block in self._seen):
            return False
        self._seen[-1].add(key)
        return True

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
            for part in _parts(statement):
                self.statement(part)

    def _sequence(self, statements: list[tirx.Stmt]) -> None:
        """Statements one after the other; copies of neighbouring bytes are joined to words."""
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
        """The bytes that a statement copies, if it does nothing else; a short loop does, too."""
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
            or _size(_dtype(statement.value)) != 1
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

    def _moves(self, run: _Copy) -> None:
        """Count what copies a run, by words, then halfwords, then bytes."""
        count = run.count
        self.found.counts["moves"] += self._now * (count // 4 + count % 4 // 2 + count % 2)
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
        inner = not _contains_loop(statement.body)
        # Compilers unroll short loops whole, or not, for reasons of their own.
        short = isinstance(statement.extent, tirx.IntImm) and total <= outer_size * _SHORT
        kind = f"{'inner ' * inner}turn{f' of {total // outer_size}' * short}"
        self.found.counts[kind] += self._now
        self.found.counts[kind.replace("turn", "loop")] += outer
        self.statement(statement.body)
        self._around.pop()
        self._seen.pop()
        self._times.pop()
        self._points, self._size, self._weight = kept

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

    def _condition(self, condition: ir.Expr) -> None:
        """What a condition takes, and'ed conditions up to the first that is false."""
        if isinstance(condition, tirx.And):
            self._condition(condition.a)
            found = self._evaluate(condition.a)
            kept = self._points, self._size, self._weight
            if found is None:
                self._weight /= 2
            else:
                self._points = {v: value[found != 0] for v, value in self._points.items()}
                self._size = int(np.count_nonzero(found))
            if self._size:
                self._condition(condition.b)
            self._points, self._size, self._weight = kept
            return
        self._count("if")
        self._value(condition)

    def _bind(self, var: tirx.Var, value: ir.Expr) -> None:
        found = self._evaluate(value)
        if found is not None:
            self._points[var] = found
        if _is_int(value):
            term = self._term(value)
            if term is not None:
                self._bound[var] = term
                self._levels[var] = term.level
                return
        self._levels[var] = self._value(value)[1]

    # ---- Expressions ---------------------------------------------------------------------

    def _term(self, expression: ir.Expr) -> _Term | None:
        """An index as a sum; what is not linear is counted here, and is an atom."""
        if isinstance(expression, tirx.IntImm):
            return _Term((), int(expression.value), 0)
        if isinstance(expression, tirx.Var):
            if expression in self._bound:
                return self._bound[expression]
            level = self._levels.get(expression, 0)
            return _Term((((expression.name, id_of(expression)), 1, level),), 0, level)
        if isinstance(expression, tirx.Add | tirx.Sub):
            a, b = self._term(expression.a), self._term(expression.b)
            if a is None or b is None:
                return None
            return _sum(a, b, 1 if isinstance(expression, tirx.Add) else -1)
        if isinstance(expression, tirx.Mul):
            a, b = self._term(expression.a), self._term(expression.b)
            if a is None or b is None:
                return None
            if not a.parts:
                a, b = b, a
            if not b.parts:
                return _Term(
                    tuple((k, c * b.offset, lv) for k, c, lv in a.parts if b.offset),
                    a.offset * b.offset,
                    a.level if b.offset else 0,
                )
            key: Hashable = ("Mul", a.key, b.key)
            level = max(a.level, b.level)
            if self._first(key):
                self._count("index multiply", level)
            return _Term(((key, 1, level),), 0, level)
        if isinstance(expression, tirx.Cast):
            return self._term(expression.value) if _is_int(expression.value) else None
        if isinstance(expression, (*_DIVISIONS, tirx.Min, tirx.Max)):
            a, b = self._term(expression.a), self._term(expression.b)
            if a is None or b is None:
                return None
            level = max(a.level, b.level)
            kind = type(expression).__name__
            key = (kind, a.key, b.key)
            if self._first(key):
                self._division(expression, kind, b, level)
            return _Term(((key, 1, level),), 0, level)
        return None

    def _division(self, expression: ir.Expr, kind: str, b: _Term, level: int) -> None:
        if kind in ("Min", "Max"):
            self._count("index minmax", level)
            return
        power = not b.parts and b.offset > 0 and b.offset & (b.offset - 1) == 0
        if power:
            self._count("index shift", level)
            return
        self._count("index divide", level)
        if "Mod" in kind:
            self._count("index modulo", level)
        # Cores without a divider take a step for each bit of the quotient.
        a = self._evaluate(expression.a)
        if a is not None and b.offset:
            bits = np.log2(np.maximum(np.abs(a) // abs(b.offset), 1)).mean()
            times = min(self._now, self._times[min(level, len(self._times) - 1)])
            self.found.counts["index divide bits"] += float(bits) * times

    def _access(
        self, kind: str, buffer: tirx.Var, dtype: str, indices: list[ir.Expr]
    ) -> tuple[Hashable, int]:
        """Count a load or store; its key and level."""
        name = self._name(buffer)
        # Buffers are flat.
        term = self._term(indices[0])
        if term is None:
            self._value(indices[0])
            self._count(f"{kind} {dtype}")
            self._count("looked up")
            return ("access", name, id_of(indices[0])), len(self._times) - 1
        local = name not in self._parameters
        level = term.level if local or kind == "load" else len(self._times) - 1
        base = (name, term.parts)
        key = ("load", name, term.key)
        if kind == "load" and not local and not self._first(key):
            return (key, term.level)
        self._count(f"{kind} {dtype}", level)
        if kind == "store":
            for block in self._seen:
                block.discard(key)
        # A pointer for each loop that moves it.
        moving = {lv for _, _, lv in term.parts if lv}
        for depth in moving:
            part = tuple(p for p in term.parts if p[2] <= depth)
            if self._first(("pointer", name, part)):
                self._count("pointer", depth)
        if not moving and self._first(("pointer", name)):
            self._count("base", 0)
        if abs(term.offset) >= _NEAR and self._first(("far", base, term.offset // _NEAR)):
            self._count("far", level)
        written = [self._levels[var] for var in self._writers[name] if var in self._around]
        if written and kind == "load":
            # A new value in each turn, though perhaps in a register.
            return (key, max(term.level, *written))
        return (key, term.level)

    def _value(self, expression: ir.Expr) -> tuple[Hashable, int]:
        """Count what computes an expression; its key and the loop it depends on."""
        if isinstance(expression, tirx.IntImm):
            return int(expression.value), 0
        if isinstance(expression, tirx.FloatImm | StringImm):
            return str(expression.value), 0
        if isinstance(expression, tirx.Var):
            if expression in self._bound:
                term = self._bound[expression]
                return term.key, term.level
            return id_of(expression), self._levels.get(expression, len(self._times) - 1)
        if isinstance(expression, TensorLoad):
            source, dtype = expression.source, _dtype(expression)
            return self._access("load", source, dtype, list(expression.indices))
        if isinstance(expression, ir.Call):
            return self._call(expression)
        name = type(expression).__name__
        if isinstance(expression, tirx.Let):
            self._bind(expression.var, expression.value)
            return self._value(expression.body)
        if isinstance(expression, tirx.Cast):
            key, level = self._value(expression.value)
            change = f"cast {_class(expression.value)} {_class(expression)}"
            if change != "cast int int" and self._first((change, key)):
                self._count(change, level)
            return (change, key), level
        if isinstance(expression, tirx.Select):
            found = [
                self._value(part)
                for part in (
                    expression.condition,
                    expression.true_value,
                    expression.false_value,
                )
            ]
            name = f"select {_class(expression)}"
        elif isinstance(expression, tirx.Not):
            return self._value(expression.a)
        elif hasattr(expression, "a") and hasattr(expression, "b"):
            of = expression.a if isinstance(expression, _COMPARISONS) else expression
            found = [self._value(expression.a), self._value(expression.b)]
            operation = _operation(name)
            constant = any(isinstance(p, tirx.IntImm) for p in (expression.a, expression.b))
            name = f"{operation} {_class(of)}"
            if operation == "divide" and constant:
                name += " constant"
        else:
            self._count("other")
            return ("other", id_of(expression)), len(self._times) - 1
        level = max(lv for _, lv in found)
        key = (name, tuple(key for key, _ in found))
        if self._first(key):
            self._count(name, level)
        return key, level

    def _call(self, call: ir.Call) -> tuple[Hashable, int]:
        name = str(getattr(call.op, "name", call.op))
        arguments = list(call.args)
        if name.endswith("address_of"):
            return self._address(arguments[0])
        if name.endswith("if_then_else"):
            return self._conditional(arguments)
        external = name.endswith(("call_extern", "call_pure_extern"))
        if external:
            name = str(arguments.pop(0).value)
        pure = not external or str(call.ty.dtype if hasattr(call.ty, "dtype") else "") not in (
            "",
            "void",
        )
        if pure:
            found = [self._value(argument) for argument in arguments]
            level = max((lv for _, lv in found), default=0)
            key = (name, tuple(key for key, _ in found))
            if self._first(key):
                self._count(f"call {name}", level)
                if name == "tvmtiny_multiply_add":
                    self._constant_factor(arguments[1], arguments[2], level)
                if name == "tvmtiny_saturate_shifted" and not self._unaligned:
                    self._bounds(arguments[0], int(arguments[1].value), level)
            return key, level
        values: list[np.ndarray | None] = []
        constant = []
        for argument in arguments:
            level = self._argument(argument)
            values.append(self._bytes(argument))
            constant.append(level == 0)
            self._count("constant argument" if level == 0 else "argument")
        self.found.calls.append(
            Call(name, tuple(values), tuple(constant), self._size, self._weight)
        )
        return (name, id_of(call)), len(self._times) - 1

    def _constant_factor(self, factor: ir.Expr, addend: ir.Expr, level: int) -> None:
        """What compilers make of a product with a constant, and of a constant that is added."""
        if not isinstance(factor, tirx.IntImm):
            return
        steps = _shifted_sums(abs(int(factor.value)), _MOST_STEPS)
        if steps <= _MOST_STEPS:
            self._count(f"factor of {steps}", level)
        if self._unaligned and steps and isinstance(addend, tirx.IntImm):
            # No register for the addend, but a product and two sums.
            self.found.counts["split sum"] += _is_split(int(addend.value)) * self._now

    def _bounds(self, value: ir.Expr, shift: int, level: int) -> None:
        """The bounds that a compiler cannot leave out, where they take comparisons."""
        found = _range(value)
        low, high = (None, None) if found is None else (found[0] >> shift, found[1] >> shift)
        if low is None or low < -128:
            self._count("lower bound", level)
        if high is None or high > 127:
            self._count("upper bound", level)

    def _argument(self, argument: ir.Expr) -> int:
        """Count what computes an argument, by the loop it depends on."""
        if isinstance(argument, ir.Call) and str(argument.op.name).endswith("address_of"):
            return self._address(argument.args[0])[1]
        term = self._term(argument) if _is_int(argument) else None
        if term is None:
            return self._value(argument)[1]
        return term.level

    def _address(self, element: ir.Expr) -> tuple[Hashable, int]:
        term = self._term(element.indices[0])
        name = self._name(element.source)
        if term is None:
            _, level = self._value(element.indices[0])
            return ("address", name, id_of(element)), level
        for depth in {lv for _, _, lv in term.parts if lv}:
            part = tuple(p for p in term.parts if p[2] <= depth)
            if self._first(("pointer", name, part)):
                self._count("pointer", depth)
        return ("address", name, term.key), term.level

    def _conditional(self, arguments: list[ir.Expr]) -> tuple[Hashable, int]:
        self._condition(arguments[0])
        found = self._evaluate(arguments[0])
        kept = self._points, self._size, self._weight
        for wanted, part in ((True, arguments[1]), (False, arguments[2])):
            if found is None:
                self._weight /= 2
            else:
                chosen = (found != 0) == wanted
                self._points = {v: value[chosen] for v, value in self._points.items()}
                self._size = int(chosen.sum())
            if self._size:
                self._count("branch")
                self._seen.append(set())
                self._value(part)
                self._seen.pop()
            self._points, self._size, self._weight = kept
        return ("condition", id_of(arguments[0])), len(self._times) - 1

    # ---- Values --------------------------------------------------------------------------

    def _bytes(self, argument: ir.Expr) -> np.ndarray | None:
        """An argument at all points, an address as bytes from the start of its buffer."""
        if isinstance(argument, ir.Call) and str(argument.op.name).endswith("address_of"):
            element = argument.args[0]
            found = self._evaluate(element.indices[0])
            return None if found is None else found * _size(_dtype(element))
        return self._evaluate(argument)

    def _evaluate(self, expression: ir.Expr) -> np.ndarray | None:
        """Values at all points; None where they depend on data."""
        if isinstance(expression, tirx.IntImm):
            return np.full(self._size, int(expression.value))
        if isinstance(expression, tirx.Var):
            return self._points.get(expression)
        if isinstance(expression, tirx.Cast):
            return self._evaluate(expression.value)
        if isinstance(expression, tirx.Not):
            found = self._evaluate(expression.a)
            return None if found is None else found == 0
        operation = _EVALUATE.get(type(expression))
        if operation is None:
            return None
        a, b = self._evaluate(expression.a), self._evaluate(expression.b)
        if a is None or b is None:
            return None
        with np.errstate(divide="ignore"):
            return np.asarray(operation(a, b))


def _sum(a: _Term, b: _Term, sign: int) -> _Term:
    parts: dict[Hashable, tuple[int, int]] = {k: (c, lv) for k, c, lv in a.parts}
    for key, factor, level in b.parts:
        parts[key] = (parts.get(key, (0, level))[0] + sign * factor, level)
    kept = tuple(sorted(((k, c, lv) for k, (c, lv) in parts.items() if c), key=repr))
    return _Term(kept, a.offset + sign * b.offset, max((lv for *_, lv in kept), default=0))


def _range(expression: ir.Expr) -> tuple[int, int] | None:
    """The least and the largest value of an expression of bytes and constants."""
    if isinstance(expression, tirx.IntImm):
        return int(expression.value), int(expression.value)
    if isinstance(expression, tirx.Cast):
        return _range(expression.value)
    if isinstance(expression, TensorLoad):
        return (-128, 127) if _dtype(expression) == "int8" else None
    if isinstance(expression, ir.Call):
        arguments = list(expression.args)
        name = arguments.pop(0).value if isinstance(arguments[0], StringImm) else None
        if name != "tvmtiny_multiply_add":
            return None
        factors = [_range(argument) for argument in arguments]
        if any(factor is None for factor in factors):
            return None
        (a, b, c) = (factor for factor in factors if factor is not None)
        products = [x * y for x in a for y in b]
        return min(products) + c[0], max(products) + c[1]
    return None


@cache
def _shifted_sums(factor: int, most: int) -> int:
    """Sums and differences of shifted values that make up a product; more than `most` if more."""
    while factor and factor % 2 == 0:
        factor //= 2
    if factor <= 1:
        return 0
    if most == 0:
        return 1
    best = min(_shifted_sums(factor - 1, most - 1), _shifted_sums(factor + 1, most - 1)) + 1
    for shift in range(2, factor.bit_length() + 1):
        for divisor in ((1 << shift) - 1, (1 << shift) + 1):
            if divisor < factor and factor % divisor == 0:
                best = min(best, _shifted_sums(factor // divisor, most - 1) + 1)
    return best


def _is_split(addend: int) -> bool:
    """Whether a compiler for Thumb-2 adds a constant as two immediates to a product."""
    value = abs(addend)
    for shift in range(25):
        for first in (value >> shift, (value >> shift) + 1):
            if first < 256:
                rest = abs(value - (first << shift))
                width = rest.bit_length()
                if rest < 4096 or (width > 8 and rest & (1 << width - 8) - 1 == 0):
                    return True
    return False


def id_of(expression: object) -> Hashable:
    """A key for something that is only equal to itself."""
    return hash(expression)


def _parts(statement: tirx.Stmt) -> list[tirx.Stmt]:
    """Statements directly within another one."""
    if isinstance(statement, tirx.SeqStmt):
        return list(statement.seq)
    if isinstance(statement, tirx.IfThenElse):
        both = (statement.then_case, statement.else_case)
        return [part for part in both if part is not None]
    if isinstance(statement, tirx.For | tirx.While | tirx.AttrStmt):
        return [statement.body]
    return []


def _contains_loop(statement: tirx.Stmt) -> bool:
    return isinstance(statement, tirx.For) or any(map(_contains_loop, _parts(statement)))


def _is_int(expression: ir.Expr) -> bool:
    return _dtype(expression).startswith("int")


def _size(dtype: str) -> int:
    return 1 if dtype.endswith("8") else 2 if dtype.endswith("16") else 4


def _dtype(expression: ir.Expr) -> str:
    return str(getattr(expression.ty, "dtype", "handle"))


def _class(expression: ir.Expr) -> str:
    text = _dtype(expression)
    if text.startswith("float"):
        return text
    return "int64" if text.endswith("64") else "int"


def _operation(name: str) -> str:
    if name in ("Add", "Sub"):
        return "add"
    if name in ("FloorDiv", "FloorMod", "Div", "Mod"):
        return "divide"
    if name in ("EQ", "NE", "LT", "LE", "GT", "GE"):
        return "compare"
    return {"Min": "minmax", "Max": "minmax", "Mul": "multiply"}.get(name, "logic")
