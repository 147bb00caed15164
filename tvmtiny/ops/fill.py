"""FILL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from tvm import te

from tvmtiny.ops.shared.checks import check_one_dtype, check_output
from tvmtiny.ops.shared.constant_inputs import check_numbers, numbers
from tvmtiny.ops.shared.expressions import elementwise
from tvmtiny.ops.shared.movement import Movement
from tvmtiny.ops.shared.moving_operator import Moving
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Compute, Oracle, Problem, Result, register


@register
class Fill(Moving):
    """A tensor of equal elements."""

    name = "FILL"
    input_count = 2

    def check_node(self, node: Node) -> Iterator[Problem]:
        problems = [*check_numbers(node, 0, "dimensions")]
        if problems:
            yield from problems
            return
        value = node.input(1)
        yield from check_one_dtype(value, node.output)
        if value.elements != 1:
            yield Problem(f"{value.elements} values", "one value")
        yield from check_output(node.output, numbers(node, 0))

    def compute(self, node: Node, oracle: Oracle) -> Result:
        value = node.input(1)
        if value.data is not None:
            return Movement((), node.output, (), value.data.item())

        def expression(x: te.Tensor) -> te.Tensor:
            return elementwise(node.output.shape, lambda *_: x(*[0] * max(len(value.shape), 1)))

        return Compute((value,), expression)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        return [np.full(node.output.shape, inputs[1].reshape(-1)[0])]
