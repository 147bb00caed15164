"""READ_VARIABLE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tvmtiny.ops.shared.movement import Alias
from tvmtiny.ops.shared.node import DTYPE_BYTES, Node
from tvmtiny.ops.shared.operator import Operator, Oracle, Problem, register


@register
class ReadVariable(Operator):
    """The value of a variable.

    The input is the value itself: `tvmtiny.frontend.variables` has resolved the handle.
    """

    name = "READ_VARIABLE"
    dtypes = tuple(DTYPE_BYTES)
    per_channel = True
    exactness = "bit-exact (no code)"

    def check_node(self, node: Node) -> Iterator[Problem]:
        if len(node.inputs) != 1 or len(node.outputs) != 1:
            yield Problem(f"{len(node.inputs)} inputs, {len(node.outputs)} outputs", "one each")

    def compute(self, node: Node, oracle: Oracle) -> Alias:
        return Alias(node.input(0))

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        return [inputs[0]]
