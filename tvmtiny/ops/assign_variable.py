"""ASSIGN_VARIABLE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tvmtiny.ops.shared.movement import Movement, dense, piece
from tvmtiny.ops.shared.node import DTYPE_BYTES, Node
from tvmtiny.ops.shared.operator import Operator, Oracle, Problem, register


@register
class AssignVariable(Operator):
    """A new value for a variable.

    The input is the value, and the output the variable afterwards: `tvmtiny.frontend.variables` has
    resolved the handle. No code is needed if the value can be computed in the variable's memory.
    """

    name = "ASSIGN_VARIABLE"
    dtypes = tuple(DTYPE_BYTES)
    per_channel = True
    exactness = "bit-exact (values are copied)"

    def check_node(self, node: Node) -> Iterator[Problem]:
        if len(node.inputs) != 1 or len(node.outputs) != 1:
            yield Problem(f"{len(node.inputs)} values", "a variable and a value")

    def compute(self, node: Node, oracle: Oracle) -> Movement:
        value = node.input(0)
        whole = piece(dense(value.shape), dense(value.shape))
        return Movement((value,), node.output, () if whole is None else (whole,))

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        return [inputs[0].copy()]
