"""Views of TIR expressions as compilers see them: linear sums, ranges, kinds of operations."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cache

from tvm import ir, tirx
from tvm.ir.expr import StringImm, TensorLoad

__all__ = [
    "Term",
    "add_terms",
    "class_of",
    "contains_loop",
    "dtype_of",
    "id_of",
    "is_int",
    "operation_of",
    "parts_of",
    "shifted_sums",
    "size_of",
    "value_range",
]


@dataclass(frozen=True)
class Term:
    """An integer expression as a sum of multiples of atoms and a constant.

    Attributes
    ----------
    parts
        Key, factor and level of each atom.
    offset
        The constant.
    level
        The innermost loop that the value depends on, counted from 1; 0 if there is none.
    """

    parts: tuple[tuple[Hashable, int, int], ...]
    offset: int
    level: int

    @property
    def key(self) -> Hashable:
        return (self.parts, self.offset)


def add_terms(a: Term, b: Term, sign: int) -> Term:
    """Return ``a + sign * b``."""
    parts: dict[Hashable, tuple[int, int]] = {k: (c, lv) for k, c, lv in a.parts}
    for key, factor, level in b.parts:
        parts[key] = (parts.get(key, (0, level))[0] + sign * factor, level)
    kept = tuple(sorted(((k, c, lv) for k, (c, lv) in parts.items() if c), key=repr))
    return Term(kept, a.offset + sign * b.offset, max((lv for *_, lv in kept), default=0))


def value_range(expression: ir.Expr) -> tuple[int, int] | None:
    """Return the bounds of an expression of bytes and constants; None if they are not known."""
    if isinstance(expression, tirx.IntImm):
        return int(expression.value), int(expression.value)
    if isinstance(expression, tirx.Cast):
        return value_range(expression.value)
    if isinstance(expression, TensorLoad):
        return (-128, 127) if dtype_of(expression) == "int8" else None
    if isinstance(expression, tirx.Add | tirx.Sub | tirx.Mul):
        parts = [value_range(expression.a), value_range(expression.b)]
        return _combined(type(expression), [part for part in parts if part is not None])
    if isinstance(expression, ir.Call):
        arguments = list(expression.args)
        name = arguments.pop(0).value if isinstance(arguments[0], StringImm) else None
        found = [value_range(argument) for argument in arguments]
        known = [part for part in found if part is not None]
        if len(known) < len(found):
            return None
        if name == "tvmtiny_multiply_add":
            product = _combined(tirx.Mul, known[:2])
            return None if product is None else _combined(tirx.Add, [product, known[2]])
        if name == "tvmtiny_requantize":
            (low, high), (multiplier, _), (shift, _) = known
            scale = multiplier * 2.0 ** (shift - 31)
            return round(low * scale), round(high * scale)
    return None


def _combined(operation: type[ir.Expr], operands: list[tuple[int, int]]) -> tuple[int, int] | None:
    if len(operands) < 2:
        return None
    (low, high), (least, most) = operands
    if operation is tirx.Add:
        return low + least, high + most
    if operation is tirx.Sub:
        return low - most, high - least
    products = [x * y for x in (low, high) for y in (least, most)]
    return min(products), max(products)


@cache
def shifted_sums(factor: int, most: int) -> int:
    """Count the sums of shifted values that form a product; more than `most` if there are more.

    The search is that of GCC's ``synth_mult``.
    """
    while factor and factor % 2 == 0:
        factor //= 2
    if factor <= 1:
        return 0
    if most == 0:
        return 1
    best = min(shifted_sums(factor - 1, most - 1), shifted_sums(factor + 1, most - 1)) + 1
    # GCC tries only the largest divisor of this form.
    powers = (1 << shift for shift in range(factor.bit_length(), 1, -1))
    divisors = (divisor for power in powers for divisor in (power + 1, power - 1))
    divisor = next((d for d in divisors if d < factor and factor % d == 0), None)
    if divisor is not None:
        best = min(best, shifted_sums(factor // divisor, most - 1) + 1)
    return best


def id_of(expression: object) -> Hashable:
    """Return a key for an object that equals only itself."""
    return hash(expression)


def parts_of(statement: tirx.Stmt) -> list[tirx.Stmt]:
    """Return the statements directly within another one."""
    if isinstance(statement, tirx.SeqStmt):
        return list(statement.seq)
    if isinstance(statement, tirx.IfThenElse):
        both = (statement.then_case, statement.else_case)
        return [part for part in both if part is not None]
    if isinstance(statement, tirx.For | tirx.While | tirx.AttrStmt):
        return [statement.body]
    return []


def contains_loop(statement: tirx.Stmt) -> bool:
    """Return whether a statement contains a loop."""
    return isinstance(statement, tirx.For) or any(map(contains_loop, parts_of(statement)))


def is_int(expression: ir.Expr) -> bool:
    """Return whether an expression is a signed integer."""
    return dtype_of(expression).startswith("int")


def size_of(dtype: str) -> int:
    """Return the bytes of an element of at most 32 bits."""
    return 1 if dtype.endswith("8") else 2 if dtype.endswith("16") else 4


def dtype_of(expression: ir.Expr) -> str:
    """Return the dtype of an expression; ``handle`` if it has none."""
    return str(getattr(expression.ty, "dtype", "handle"))


def class_of(expression: ir.Expr) -> str:
    """Return the class of instructions for an expression: ``int``, ``int64`` or a float's dtype."""
    text = dtype_of(expression)
    if text.startswith("float"):
        return text
    return "int64" if text.endswith("64") else "int"


def operation_of(name: str) -> str:
    """Return the operation of TIR nodes with this name, as far as compilers distinguish them."""
    if name in ("Add", "Sub"):
        return "add"
    if name in ("FloorDiv", "FloorMod", "Div", "Mod"):
        return "divide"
    if name in ("EQ", "NE", "LT", "LE", "GT", "GE"):
        return "compare"
    return {"Min": "minmax", "Max": "minmax", "Mul": "multiply"}.get(name, "logic")
