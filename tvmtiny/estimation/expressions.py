"""Counting of the accesses, arithmetic, addresses and calls in expressions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable

import numpy as np
from tvm import ir, tirx
from tvm.ir.expr import StringImm, TensorLoad

from tvmtiny.estimation.counts import Call, Walk
from tvmtiny.estimation.multipliers import shifts_and_sums
from tvmtiny.estimation.terms import (
    Term,
    add_terms,
    class_of,
    dtype_of,
    id_of,
    is_int,
    operation_of,
    parts_of,
    size_of,
    value_range,
)

#: Suffix of the names of requantizations that shift by one bit.
BY_ONE = " by one"

#: Elements that Thumb's loads and stores reach from a pointer without an index register.
_NEAR = 32

#: Number of loads far from the first one for which each load has a pointer of its own.
_LEAST_FAR = 2

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


class ExpressionCounter:
    """Counts expressions at the points of the surrounding loops.

    Parameters
    ----------
    function
        The function that is counted.
    unaligned
        Whether the core loads words from any address, see `tvmtiny.estimation.walk.walk`.
    """

    def __init__(self, function: tirx.PrimFunc, unaligned: bool) -> None:
        self.found = Walk()
        self._unaligned = unaligned
        self._random = np.random.default_rng(0)
        self._points: dict[tirx.Var, np.ndarray] = {}
        self._size = 1
        self._weight = 1.0
        #: Executions of the body of each surrounding loop, outermost first; the function is 0.
        self._times = [1.0]
        self._levels: dict[tirx.Var, int] = {}
        self._around: list[tirx.Var] = []
        #: Iterations of the innermost loop if they are few; otherwise 0.
        self._trips = 0
        self._bound: dict[tirx.Var, Term] = {}
        self._seen: list[set[Hashable]] = [set()]
        #: By address without its constant, the constants of signed bytes that the innermost loop
        #: loads, see `_near_loads`.
        self._offsets: defaultdict[Hashable, set[int]] = defaultdict(set)
        self._parameters = {str(parameter.name) for parameter in function.params}
        #: By name of the buffer, the loops in which it is written.
        self._writers: defaultdict[str, set[tirx.Var]] = defaultdict(set)
        self._note_writers(function.body, ())

    def _note_writers(self, statement: tirx.Stmt, loops: tuple[tirx.Var, ...]) -> None:
        if isinstance(statement, tirx.BufferStore):
            self._writers[self._name(statement.buffer)].update(loops)
        elif isinstance(statement, tirx.For):
            self._note_writers(statement.body, (*loops, statement.loop_var))
        else:
            for part in parts_of(statement):
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
        """Return the name of a buffer, or of the parameter that it is a view of."""
        name = str(buffer.name)
        parameter, _, number = name.rpartition("_")
        return parameter if number.isdigit() and parameter in self._parameters else name

    def _first(self, key: Hashable) -> bool:
        """Return whether an expression was not computed before in this or a surrounding block."""
        if any(key in block for block in self._seen):
            return False
        self._seen[-1].add(key)
        return True

    # ---- Expressions ---------------------------------------------------------------------

    def _term(self, expression: ir.Expr) -> Term | None:
        """Return an index as a sum; parts that are not linear are counted and become atoms."""
        if isinstance(expression, tirx.IntImm):
            return Term((), int(expression.value), 0)
        if isinstance(expression, tirx.Var):
            if expression in self._bound:
                return self._bound[expression]
            level = self._levels.get(expression, 0)
            return Term((((expression.name, id_of(expression)), 1, level),), 0, level)
        if isinstance(expression, tirx.Add | tirx.Sub):
            a, b = self._term(expression.a), self._term(expression.b)
            if a is None or b is None:
                return None
            return add_terms(a, b, 1 if isinstance(expression, tirx.Add) else -1)
        if isinstance(expression, tirx.Mul):
            a, b = self._term(expression.a), self._term(expression.b)
            if a is None or b is None:
                return None
            if not a.parts:
                a, b = b, a
            if not b.parts:
                return Term(
                    tuple((k, c * b.offset, lv) for k, c, lv in a.parts if b.offset),
                    a.offset * b.offset,
                    a.level if b.offset else 0,
                )
            key: Hashable = ("Mul", a.key, b.key)
            level = max(a.level, b.level)
            if self._first(key):
                self._count("index multiply", level)
            return Term(((key, 1, level),), 0, level)
        if isinstance(expression, tirx.Cast):
            return self._term(expression.value) if is_int(expression.value) else None
        if isinstance(expression, (*_DIVISIONS, tirx.Min, tirx.Max)):
            a, b = self._term(expression.a), self._term(expression.b)
            if a is None or b is None:
                return None
            level = max(a.level, b.level)
            kind = type(expression).__name__
            key = (kind, a.key, b.key)
            if self._first(key):
                self._division(expression, kind, b, level)
            return Term(((key, 1, level),), 0, level)
        return None

    def _division(self, expression: ir.Expr, kind: str, b: Term, level: int) -> None:
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
        # Cores without a divider spend a step on each bit of the quotient.
        a = self._evaluate(expression.a)
        if a is not None and b.offset:
            bits = np.log2(np.maximum(np.abs(a) // abs(b.offset), 1)).mean()
            times = min(self._now, self._times[min(level, len(self._times) - 1)])
            self.found.counts["index divide bits"] += float(bits) * times

    def _access(
        self, kind: str, buffer: tirx.Var, dtype: str, indices: list[ir.Expr]
    ) -> tuple[Hashable, int]:
        """Count a load or store; return its key and its level."""
        name = self._name(buffer)
        # All buffers are flat, so they have one index.
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
        if kind == "load" and dtype == "int8" and term.level == len(self._times) - 1:
            self._offsets[base].add(term.offset)
        # Each loop that moves the address has a pointer of its own.
        moving = {lv for _, _, lv in term.parts if lv}
        for depth in moving:
            part = tuple(p for p in term.parts if p[2] <= depth)
            if self._first(("pointer", name, part)):
                self._count("pointer", depth)
                if any(factor != 1 for _, factor, lv in part if lv == depth):
                    self._count("pointer stepped", depth)
        if not moving and self._first(("pointer", name)):
            self._count("base", 0)
        if abs(term.offset) >= _NEAR and self._first(("far", base, term.offset // _NEAR)):
            self._count("far", level)
            if self._trips and level == len(self._times) - 1:
                # Whether registers for such offsets are set before the loop depends on its length.
                self._count(f"far in turn of {self._trips}", level)
        written = [self._levels[var] for var in self._writers[name] if var in self._around]
        if written and kind == "load":
            # Each iteration reads a new value, even if it is kept in a register.
            return (key, max(term.level, *written))
        return (key, term.level)

    def _near_loads(self) -> None:
        """Count loads of signed bytes whose offset takes a register, on Armv6-M.

        GCC loads bytes near a pointer with offsets that LDRSB lacks. If more than one of them is
        far from the first, each has a pointer of its own, and all share an index.
        """
        for offsets in self._offsets.values():
            far = sum(offset - min(offsets) >= _NEAR for offset in offsets)
            if len(offsets) > 1 and far < _LEAST_FAR:
                self.found.counts["load int8 near others"] += len(offsets) * self._now

    def _value(self, expression: ir.Expr) -> tuple[Hashable, int]:
        """Count an expression; return its key and the loop that it depends on."""
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
            source, dtype = expression.source, dtype_of(expression)
            return self._access("load", source, dtype, list(expression.indices))
        if isinstance(expression, ir.Call):
            return self._call(expression)
        name = type(expression).__name__
        if isinstance(expression, tirx.Let):
            self._bind(expression.var, expression.value)
            return self._value(expression.body)
        if isinstance(expression, tirx.Cast):
            key, level = self._value(expression.value)
            change = f"cast {class_of(expression.value)} {class_of(expression)}"
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
            name = f"select {class_of(expression)}"
        elif isinstance(expression, tirx.Not):
            return self._value(expression.a)
        elif hasattr(expression, "a") and hasattr(expression, "b"):
            of = expression.a if isinstance(expression, _COMPARISONS) else expression
            found = [self._value(expression.a), self._value(expression.b)]
            operation = operation_of(name)
            constant = any(isinstance(p, tirx.IntImm) for p in (expression.a, expression.b))
            name = f"{operation} {class_of(of)}"
            if operation == "divide" and constant:
                name += " constant"
        else:
            self._count("other")
            return ("other", id_of(expression)), len(self._times) - 1
        level = max(lv for _, lv in found)
        key = (name, tuple(key for key, _ in found))
        if self._first(key):
            self._count(name, level)
            if name == "multiply int" and not self._unaligned:
                self._constant_factor(expression.b, level)
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
                if "requantize" in name or "q31" in name:
                    factor = arguments[1] if name == "tvmtiny_requantize" else None
                    value = int(factor.value) if isinstance(factor, tirx.IntImm) else None
                    self.found.multipliers.add(value)
                if name == "tvmtiny_requantize" and isinstance(arguments[2], tirx.IntImm):
                    self._count(_requantization(arguments[0], int(arguments[2].value)), level)
                if name == "tvmtiny_multiply_add" and not self._unaligned:
                    self._constant_factor(arguments[1], level)
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

    def _constant_factor(self, factor: ir.Expr, level: int) -> None:
        """Count the shifts and adds by which GCC replaces a product with a constant on Armv6-M."""
        if not isinstance(factor, tirx.IntImm):
            return
        found = shifts_and_sums(abs(int(factor.value)))
        if found is None:
            self._count("factor multiplied", level)
            return
        steps, shifts = found
        for _ in range(steps):
            self._count("factor step", level)
        if shifts:
            self._count("factor shift", level)

    def _bounds(self, value: ir.Expr, shift: int, level: int) -> None:
        """Count the bounds of a saturation that the compiler cannot prove to be redundant."""
        found = value_range(value)
        low, high = (None, None) if found is None else (found[0] >> shift, found[1] >> shift)
        if low is None or low < -128:
            self._count("lower bound", level)
        if high is None or high > 127:
            self._count("upper bound", level)

    def _argument(self, argument: ir.Expr) -> int:
        """Count an argument; return the loop that it depends on."""
        if isinstance(argument, ir.Call) and str(argument.op.name).endswith("address_of"):
            return self._address(argument.args[0])[1]
        term = self._term(argument) if is_int(argument) else None
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

    def _condition(self, condition: ir.Expr) -> None:
        """Count a condition; operands of a conjunction count up to the first that is false."""
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
        if is_int(value):
            term = self._term(value)
            if term is not None:
                self._bound[var] = term
                self._levels[var] = term.level
                return
        self._levels[var] = self._value(value)[1]

    # ---- Values --------------------------------------------------------------------------

    def _bytes(self, argument: ir.Expr) -> np.ndarray | None:
        """Return an argument at all points; an address as bytes from the start of its buffer."""
        if isinstance(argument, ir.Call) and str(argument.op.name).endswith("address_of"):
            element = argument.args[0]
            found = self._evaluate(element.indices[0])
            return None if found is None else found * size_of(dtype_of(element))
        return self._evaluate(argument)

    def _evaluate(self, expression: ir.Expr) -> np.ndarray | None:
        """Return the values at all points; None if they depend on data."""
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


def _requantization(value: ir.Expr, shift: int) -> str:
    """Return the name of a requantization's cost.

    Values of one sign need less for halves, and so does a shift by one, whose remainder is a bit.
    """
    if shift >= 0:
        return "requantize left" if shift else "requantize plain"
    found = value_range(value)
    sign = "positive" if found is not None and found[0] >= 0 else "right"
    return f"requantize {sign}{BY_ONE * (shift == -1)}"
