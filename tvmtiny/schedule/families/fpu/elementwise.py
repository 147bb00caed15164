"""float32 ADD, SUB and MUL with the kernels of ``tvmtiny_fpu_elementwise.h``."""

from __future__ import annotations

from math import prod

from tvm import tirx

from tvmtiny.ops import Node
from tvmtiny.schedule import nest
from tvmtiny.schedule.broadcast import calls_of_rows, plan_rows
from tvmtiny.schedule.families.fpu.finish import finish_of
from tvmtiny.schedule.families.fpu.matrix import HEADERS
from tvmtiny.schedule.implementation import Decisions, Implementation, Sketch
from tvmtiny.schedule.overlap import Overlap

BINARY = ("ADD", "MUL", "SUB")

#: The decisions: nothing is left open.
_DECIDED: Decisions = {"sketch": "fpu_binary"}

#: Elements per iteration.
_TOGETHER = 8


def implement_elementwise(node: Node) -> Implementation | None:
    """Implement a layer; return None if both operands broadcast, or rows are short.

    Activations with an upper bound are not supported either.
    """
    shapes = [node.input(i).shape for i in range(2)]
    count, finish = node.output.elements, finish_of(node)
    large = next((i for i in range(2) if prod(shapes[i]) == count), None)
    if large is None or finish.high is not None:
        return None
    first, second = node.input(large), node.input(1 - large)
    rows = plan_rows(node.output.shape, second.shape)
    if rows.count < _TOGETHER:
        return None
    form, bound = "VALUES" if rows.values else "ROWS", "RELU" if finish.low == 0 else "NONE"
    name = f"fpu_{node.operator}_{large}_{bound}_{form}".lower()
    arguments = (name, node.operator, str(large), bound, *finish.arguments()[1:], form)
    x = nest.buffer("x", count, "float32")
    y = nest.buffer("y", second.elements, "float32")
    out = nest.buffer("out", count, "float32")

    def call(at: nest.Argument, other: nest.Argument) -> tirx.Stmt:
        places = (nest.address(x, at), nest.address(y, other), nest.address(out, at))
        return nest.call(name, *places, rows.rows, rows.count)

    function = nest.function(
        [x, y, out],
        [],
        [calls_of_rows(rows, call)],
        operator=node.operator,
        schedule=f"fpu, eights, {'an element a row' if rows.values else 'rows'}",
        headers=(*HEADERS, "tvmtiny_fpu_elementwise.h"),
        preamble=[f"TVMTINY_FPU_BINARY({', '.join(arguments)})"],
        # Elements are read before they are overwritten, but a small operand is read repeatedly.
        overlaps=[
            Overlap("out", position, 0)
            for position, tensor in enumerate((first, second))
            if tensor.elements == count
        ],
    )
    return Implementation(function, (first, second), _DECIDED, count * 3)


def elementwise_sketches(node: Node) -> tuple[Sketch, ...]:
    """Return the sketch of an operator of two operands, which leaves nothing open."""
    return () if implement_elementwise(node) is None else (Sketch("fpu_binary"),)
