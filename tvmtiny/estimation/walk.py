"""What a function in TIR does, counted: loops, accesses and arithmetic by class."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
from tvm import ir, tirx
from tvm.ir.expr import StringImm, TensorLoad

#: Points at which extents and conditions are evaluated.
_POINTS = 64

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


def count(function: tirx.PrimFunc, names: Mapping[str, str]) -> Mapping[str, float]:
    """Counts of one execution, by what is done.

    Parameters
    ----------
    function
        As it is printed.
    names
        What stands for a called function, by its own name.

    Loop extents and conditions that depend on loops are averaged over points of these loops;
    conditions on data count half.
    """
    walker = _Walker(names)
    walker.statement(function.body, 1.0, False)
    return walker.counts


class _Walker:
    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names
        self.counts: defaultdict[str, float] = defaultdict(float)
        self._random = np.random.default_rng(0)
        self._points: dict[tirx.Var, np.ndarray] = {}

    def statement(self, statement: tirx.Stmt, times: float, inside: bool) -> None:
        if times <= 0:
            return
        if isinstance(statement, tirx.SeqStmt):
            for part in statement.seq:
                self.statement(part, times, inside)
        elif isinstance(statement, tirx.For):
            extent = self._evaluate(statement.extent)
            turns = 1.0 if extent is None else float(np.mean(extent))
            most = 1 if extent is None else max(1, int(np.max(extent)))
            self._points[statement.loop_var] = self._random.integers(0, most, _POINTS)
            self.counts["loop"] += times
            self.counts["turn"] += times * turns
            self.statement(statement.body, times * turns, True)
        elif isinstance(statement, tirx.IfThenElse):
            self._expression(statement.condition, times, "")
            share = self._share(statement.condition)
            self.counts["if"] += times
            self.statement(statement.then_case, times * share, inside)
            if statement.else_case is not None:
                self.statement(statement.else_case, times * (1 - share), inside)
        elif isinstance(statement, tirx.BufferStore):
            self.counts[f"store {statement.buffer.dtype}"] += times
            self._expression(statement.value, times, "")
            for index in statement.indices:
                self._expression(index, times, "index ")
        elif isinstance(statement, tirx.Evaluate):
            self._expression(statement.value, times, "")
        elif isinstance(statement, tirx.Bind):
            self._expression(statement.value, times, "")
            found = self._evaluate(statement.value)
            if found is not None:
                self._points[statement.var] = found
        elif isinstance(statement, tirx.While):
            self.statement(statement.body, times, True)
        elif isinstance(statement, tirx.AttrStmt):
            self.statement(statement.body, times, inside)

    def _expression(self, expression: ir.Expr, times: float, kind: str) -> None:
        if isinstance(expression, tirx.Var | tirx.IntImm | tirx.FloatImm | StringImm):
            return
        if isinstance(expression, ir.Call):
            self._call(expression, times, kind)
            return
        if isinstance(expression, TensorLoad):
            self.counts[f"load {_dtype(expression)}"] += times
            for index in expression.indices:
                self._expression(index, times, "index ")
            return
        name = type(expression).__name__
        if isinstance(expression, tirx.Let):
            self._expression(expression.value, times, kind)
            self._expression(expression.body, times, kind)
            return
        if isinstance(expression, tirx.Cast):
            change = f"{_class(expression.value)} {_class(expression)}"
            self.counts[f"{kind}cast {change}"] += times
            self._expression(expression.value, times, kind)
            return
        if isinstance(expression, tirx.Select):
            self.counts[f"{kind}select {_class(expression)}"] += times
            parts: tuple[ir.Expr, ...] = (
                expression.condition,
                expression.true_value,
                expression.false_value,
            )
        elif isinstance(expression, tirx.Not):
            parts = (expression.a,)
        elif hasattr(expression, "a") and hasattr(expression, "b"):
            of = expression.a if isinstance(expression, _COMPARISONS) else expression
            self.counts[f"{kind}{_operation(name)} {_class(of)}"] += times
            parts = (expression.a, expression.b)
        else:
            self.counts["other"] += times
            return
        for part in parts:
            self._expression(part, times, kind)

    def _call(self, call: ir.Call, times: float, kind: str) -> None:
        name = str(getattr(call.op, "name", call.op))
        arguments = list(call.args)
        if name.endswith("call_extern") or name.endswith("call_pure_extern"):
            name = str(arguments.pop(0).value)
        elif name.endswith("address_of"):
            for argument in arguments:
                for index in getattr(argument, "indices", ()):
                    self._expression(index, times, "index ")
            return
        elif name.endswith("if_then_else"):
            share = self._share(arguments[0])
            self.counts["if"] += times
            self._expression(arguments[0], times, kind)
            self._expression(arguments[1], times * share, kind)
            self._expression(arguments[2], times * (1 - share), kind)
            return
        name = self._names.get(name, name)
        self.counts[f"{kind}call {name}"] += times
        product: np.ndarray | float = 1.0
        apart = np.zeros(_POINTS)
        for position, argument in enumerate(arguments):
            apart += self._misaligned(argument)
            found = self._evaluate(argument)
            if found is None or name.startswith("tirx."):
                continue
            # What a micro-kernel does is often proportional to an argument, or to all of them.
            self.counts[f"{name} {position}"] += times * float(np.mean(np.abs(found)))
            # Bytes are often taken 16 at a time, then by words, then one by one.
            self.counts[f"{name} {position} words"] += times * float(np.mean(found % 16 // 4))
            self.counts[f"{name} {position} rest"] += times * float(np.mean(found % 4))
            product = product * np.maximum(np.abs(found), 1)
        if not name.startswith("tirx."):
            self.counts[f"{name} all"] += times * float(np.mean(product))
            self.counts[f"{name} misaligned"] += times * float(np.mean(apart > 0))
            self.counts[f"{name} misaligned all"] += times * float(np.mean((apart > 0) * product))
        for argument in arguments:
            self._expression(argument, times, kind)

    def _misaligned(self, argument: ir.Expr) -> np.ndarray:
        """How far an address is from the start of a word; 0 for other arguments."""
        if not isinstance(argument, ir.Call) or not str(argument.op.name).endswith("address_of"):
            return np.zeros(_POINTS)
        element = argument.args[0]
        found = self._evaluate(element.indices[0])
        size = 1 if _dtype(element).endswith("8") else 2 if _dtype(element).endswith("16") else 4
        return np.zeros(_POINTS) if found is None else found * size % 4

    def _share(self, condition: ir.Expr) -> float:
        found = self._evaluate(condition)
        return 0.5 if found is None else float(np.mean(found != 0))

    def _evaluate(self, expression: ir.Expr) -> np.ndarray | None:
        """Values at all points; None where they depend on data."""
        if isinstance(expression, tirx.IntImm):
            return np.full(_POINTS, int(expression.value))
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
