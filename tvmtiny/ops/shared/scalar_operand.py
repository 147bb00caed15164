"""Operators of two int8 operands, one of which is a constant number, as tables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from tvm import te

from tvmtiny.ops.shared.expressions import elementwise
from tvmtiny.ops.shared.lookup_tables import EVERY_INT8, by_bits, looked_up_int8
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Compute, Oracle, find_operator

#: Operators whose output elements depend on one element of each operand.
_OPERATORS = ("ADD", "MAXIMUM", "MINIMUM", "MUL", "PRELU", "SQUARED_DIFFERENCE", "SUB")


def scalar_operand(node: Node) -> int | None:
    """Return the position of an operand that is a single constant number.

    Returns
    -------
    int or None
        The position; None for other operators, dtypes and shapes.
    """
    if node.operator not in _OPERATORS or node.output.dtype != "int8":
        return None
    for position in range(2):
        number, other = node.input(position), node.input(1 - position)
        constant = number.data is not None and number.elements == 1
        if constant and number.dtype == other.dtype == "int8" and other.shape == node.output.shape:
            return position
    return None


def tabulated(node: Node, oracle: Oracle) -> Compute | None:
    """Express a node with a `scalar_operand` as a table of 256 bytes.

    The entries come from the operator's reference.

    Returns
    -------
    Compute or None
        None for other nodes.
    """
    position = scalar_operand(node)
    operator = find_operator(node.operator)
    if position is None or operator is None:
        return None
    number, x = node.input(position), node.input(1 - position)
    assert number.data is not None
    single = number.data.reshape(1)
    operands = replace(number, shape=(1,), data=single), replace(x, shape=EVERY_INT8.shape)
    values = single, EVERY_INT8.astype(np.int8)
    order = (0, 1) if position == 0 else (1, 0)
    line = replace(
        node,
        inputs=tuple(operands[i] for i in order),
        outputs=(replace(node.output, shape=EVERY_INT8.shape),),
    )
    (table,) = operator.reference(line, [values[i] for i in order], oracle)

    def looked_up(x: te.Tensor, table: te.Tensor) -> te.Tensor:
        return elementwise(node.output.shape, lambda *i: looked_up_int8(table, x(*i)))

    return Compute((x, by_bits(table)), looked_up)
