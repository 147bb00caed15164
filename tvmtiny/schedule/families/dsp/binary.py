"""Operators with two int8 operands around the micro-kernels of ``tvmtiny_dsp_binary.h``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import gcd, prod

import numpy as np
from tvm import tirx

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.add import exact_plane
from tvmtiny.ops.shared.affine import wide_image
from tvmtiny.ops.shared.quantization import activation_range
from tvmtiny.ops.shared.scalar_operand import scalar_operand
from tvmtiny.schedule import nest
from tvmtiny.schedule.broadcast import calls_of_rows, plan_rows
from tvmtiny.schedule.families.dsp.add import GAIN, HEADERS, SHIFT
from tvmtiny.schedule.implementation import Decisions, Goal, Implementation, Sketch
from tvmtiny.schedule.overlap import Overlap
from tvmtiny.schedule.product_scaling import product_scaling

_HEADERS = (*HEADERS, "tvmtiny_dsp_binary.h")

#: The only possible decisions.
_DECIDED: Decisions = {"sketch": "binary"}


@dataclass(frozen=True)
class _Word:
    """A kernel that combines words: its name and instantiation, without its form."""

    name: str
    macro: str
    arguments: tuple[object, ...]
    constants: tuple[int, ...]


def implement_binary(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """ADD, SUB, MUL, MAXIMUM or MINIMUM in int8.

    None if both operands broadcast, no exact integers are found, or a table of all results is
    faster.
    """
    if scalar_operand(node) is not None and _WORDS[node.operator] is not _choice:
        return None
    shapes = [node.input(i).shape for i in range(2)]
    count = node.output.elements
    large = next((i for i in range(2) if prod(shapes[i]) == count), None)
    if count == 0 or large is None or node.input(1).dtype != "int8":
        return None
    found = _WORDS[node.operator](node, oracle, large)
    if found is None:
        return None
    first, second = node.input(large), node.input(1 - large)
    rows, values = plan_rows(node.output.shape, second.shape), second.data
    repeats = 4 // gcd(rows.count, 4)
    if values is not None and not rows.values and not rows.rows % repeats:
        # The operands are rows of whole words.
        rows = replace(rows, rows=rows.rows // repeats, count=rows.count * repeats)
        values = np.tile(values.reshape(-1, rows.count // repeats), repeats).reshape(-1)
        rows = replace(rows, outer=tuple((n, step * repeats) for n, step in rows.outer))
    elif rows.count < 4 and rows.rows > 1:
        return None
    form = "VALUES" if rows.values else "ROWS"
    name = f"{found.name}_{form.lower()}".replace("-", "m")
    listed = ", ".join(map(str, (name, *found.arguments, form)))
    x = nest.buffer("x", first.elements, "int8")
    y = nest.buffer("y", second.elements if values is None else values.size, "int8")
    constants = nest.buffer("constants", len(found.constants), "int32")
    out = nest.buffer("out", count, "int8")

    def call(at: nest.Argument, other: nest.Argument) -> tirx.Stmt:
        arguments = (nest.address(x, at), nest.address(y, other), nest.address(constants))
        return nest.call(name, *arguments, nest.address(out, at), rows.rows, rows.count)

    function = nest.function(
        [x, y, constants, out],
        [],
        [calls_of_rows(rows, call)],
        operator=node.operator,
        schedule=f"dsp, words, {'an element a row' if rows.values else 'rows'}",
        headers=_HEADERS,
        preamble=[f"TVMTINY_BINARY_{found.macro}({listed})"],
        # Word by word: what is written has been read; a small operand is read again.
        overlaps=[
            Overlap("out", position, 0)
            for position, tensor in enumerate((first, second))
            if tensor.elements == count
        ],
    )
    operands = first, second if values is None else values
    arguments = (*operands, np.array(found.constants, np.int32))
    return Implementation(function, arguments, _DECIDED, count * 7)


def binary_sketches(node: Node, oracle: Oracle) -> tuple[Sketch, ...]:
    """The only sketch of two operands, without decisions."""
    return (Sketch("binary"),)


def _choice(node: Node, oracle: Oracle, large: int) -> _Word:
    name = "max4" if node.operator == "MAXIMUM" else "min4"
    return _Word(f"binary_{name}", "CHOICE", (f"tvmtiny_{name}",), (0,))


def _sum(node: Node, oracle: Oracle, large: int) -> _Word | None:
    plane = exact_plane(node, GAIN, wide_image, 16, SHIFT)
    if plane is None:
        return None
    low, high = activation_range(node)
    factors = plane.factors[large], plane.factors[1 - large]
    name = f"binary_sum_{plane.shift}_{low}_{high}"
    return _Word(name, "SUM", (plane.shift, low, high), (*factors, plane.offset))


def _product(node: Node, oracle: Oracle, large: int) -> _Word | None:
    scaling = product_scaling(node, oracle)
    if scaling is None:
        return None
    low, high = activation_range(node)
    x_zero, y_zero = node.input(large).zero_point, node.input(1 - large).zero_point
    offset, step = (0 if v is None else int(v[0]) for v in (scaling.offset, scaling.step))
    initial, multiplier = int(scaling.initial[0]), int(scaling.multiplier[0])
    zeros = _lanes(256 * x_zero), _lanes(-y_zero)
    constants = (*zeros, initial, multiplier, offset, step)
    signed = int(scaling.signed)
    name = f"binary_product_{scaling.shift}_{signed}_{low}_{high}"
    return _Word(name, "PRODUCT", (scaling.shift, signed, low, high), constants)


def _lanes(value: int) -> int:
    """Return an int32 that holds a number in both halves."""
    half = value & 0xFFFF
    return int(np.array(half << 16 | half, np.uint32).astype(np.int32))


_WORDS: dict[str, Callable[[Node, Oracle, int], _Word | None]] = {
    "ADD": _sum,
    "SUB": _sum,
    "MAXIMUM": _choice,
    "MINIMUM": _choice,
    "MUL": _product,
}
