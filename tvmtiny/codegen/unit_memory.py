"""Analysis of the memory that a kernel's statement accesses and keeps in local buffers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from tvm import ir, tirx
from tvm.ir.expr import TensorLoad

#: Statements that do no work.
NO_WORK = (tirx.DeclBuffer, tirx.AllocBuffer, tirx.Bind)


class Roots:
    """Maps aliases of buffers to the buffers that own the bytes."""

    def __init__(self, body: tirx.Stmt) -> None:
        self._of: dict[tirx.Var, tirx.Var] = {}
        for statement in all_statements(body):
            if isinstance(statement, tirx.DeclBuffer):
                data = statement.data
                source = data.args[0] if isinstance(data, ir.Call) else data
                self._of[statement.buffer] = self.of(source)

    def of(self, buffer: tirx.Var) -> tirx.Var:
        """Return the buffer that owns the bytes of `buffer`."""
        return self._of.get(buffer, buffer)


def all_statements(statement: tirx.Stmt) -> Iterator[tirx.Stmt]:
    """Yield a statement and all statements inside it."""
    yield statement
    if isinstance(statement, tirx.SeqStmt):
        inside = list(statement.seq)
    elif isinstance(statement, tirx.IfThenElse):
        inside = [c for c in (statement.then_case, statement.else_case) if c is not None]
    else:
        inside = [statement.body] if hasattr(statement, "body") else []
    for part in inside:
        yield from all_statements(part)


def memory(statement: tirx.Stmt) -> Iterator[tirx.Var]:
    """Yield the buffers that a statement writes or reads, or whose addresses it takes."""
    for part in all_statements(statement):
        values: list[ir.Expr] = []
        if isinstance(part, tirx.BufferStore):
            yield part.buffer
            values = [part.value, *part.indices]
        elif isinstance(part, tirx.Evaluate | tirx.Bind):
            values = [part.value]
        elif isinstance(part, tirx.IfThenElse | tirx.While):
            values = [part.condition]
        for value in values:
            for found in all_expressions(value):
                if isinstance(found, TensorLoad):
                    yield found.source
                elif isinstance(found, tirx.Var):
                    yield found


def all_expressions(expression: ir.Expr) -> Iterator[ir.Expr]:
    """Yield an expression and all of its subexpressions."""
    yield expression
    if isinstance(expression, ir.Call):
        parts = list(expression.args)
    elif isinstance(expression, TensorLoad):
        parts = list(expression.indices)
    else:
        names = ("a", "b", "value", "condition", "true_value", "false_value", "body")
        parts = [getattr(expression, n) for n in names if hasattr(expression, n)]
    for part in parts:
        if isinstance(part, ir.Expr):
            yield from all_expressions(part)


def reads_memory(expression: ir.Expr) -> bool:
    """Return whether a value depends on memory."""
    return any(isinstance(e, TensorLoad) for e in all_expressions(expression))


def outlives(unit: tirx.Stmt, buffer: tirx.Buffer, roots: Roots) -> bool:
    """Return whether a unit might read data that another unit wrote to a local buffer."""
    size = int(np.prod([int(d) for d in buffer.shape]))
    return not _Reader(buffer, size, roots).visit(unit, _Written(set()))


@dataclass
class _Written:
    """Elements that are known to have been written."""

    elements: set[int]


class _Reader:
    def __init__(self, buffer: tirx.Buffer, size: int, roots: Roots) -> None:
        self._buffer, self._size, self._roots = buffer, size, roots
        self._every = set(range(size))

    def _mine(self, buffer: tirx.Var) -> bool:
        return bool(self._roots.of(buffer).same_as(self._buffer))

    def visit(self, statement: tirx.Stmt, written: _Written) -> bool:
        """Follow a statement; return False if it may read an element that it did not write."""
        if isinstance(statement, tirx.SeqStmt):
            return all(self.visit(part, written) for part in statement.seq)
        if isinstance(statement, tirx.BufferStore):
            known = self._value(statement.value, written)
            known = known and all(self._value(i, written) for i in statement.indices)
            if self._mine(statement.buffer):
                index = statement.indices[0] if len(statement.indices) == 1 else None
                if isinstance(index, tirx.IntImm):
                    written.elements.add(int(index))
            return known
        if isinstance(statement, tirx.For):
            return self._loop(statement, written)
        if isinstance(statement, tirx.IfThenElse):
            known = self._value(statement.condition, written)
            ways = []
            for case in (statement.then_case, statement.else_case):
                way = _Written(set(written.elements))
                known = known and (case is None or self.visit(case, way))
                ways.append(way.elements)
            written.elements |= ways[0] & ways[1]
            return known
        if isinstance(statement, tirx.While):
            known = self._value(statement.condition, written)
            return known and self.visit(statement.body, _Written(set(written.elements)))
        if isinstance(statement, tirx.AttrStmt):
            return self.visit(statement.body, written)
        if isinstance(statement, tirx.Evaluate | tirx.Bind):
            return self._value(statement.value, written)
        return isinstance(statement, NO_WORK)

    def _loop(self, loop: tirx.For, written: _Written) -> bool:
        known = self._value(loop.extent, written) and self._value(loop.min, written)
        inside = _Written(set(written.elements))
        known = known and self.visit(loop.body, inside)
        if isinstance(loop.extent, tirx.IntImm) and int(loop.extent) > 0:
            written.elements |= inside.elements
            body = loop.body
            if (
                isinstance(body, tirx.BufferStore)
                and self._mine(body.buffer)
                and len(body.indices) == 1
                and body.indices[0].same_as(loop.loop_var)
                and isinstance(loop.min, tirx.IntImm)
                and int(loop.min) == 0
                and int(loop.extent) >= self._size
            ):
                written.elements |= self._every
        return known

    def _value(self, expression: ir.Expr, written: _Written) -> bool:
        for found in all_expressions(expression):
            if isinstance(found, tirx.Var) and self._mine(found):
                return False
            if isinstance(found, ir.Call) and str(getattr(found.op, "name", "")).endswith(
                "address_of"
            ):
                # The callee may read the buffer before it writes it.
                if self._mine(found.args[0].source):
                    return False
            elif isinstance(found, TensorLoad) and self._mine(found.source):
                index = found.indices[0] if len(found.indices) == 1 else None
                constant = isinstance(index, tirx.IntImm) and int(index) in written.elements
                if not constant and written.elements != self._every:
                    return False
        return True
