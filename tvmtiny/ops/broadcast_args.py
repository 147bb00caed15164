"""BROADCAST_ARGS."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from tvm import te, tirx

from tvmtiny.ops.shared.checks import check_one_dtype, check_shape
from tvmtiny.ops.shared.expressions import Expression, elementwise
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Compute, Operator, Oracle, Problem, Result, register


@register
class BroadcastArgs(Operator):
    """The shape that two shapes broadcast to.

    Where they do not, for which LiteRT fails, a dimension is that of the second shape.
    """

    name = "BROADCAST_ARGS"
    dtypes = ("int32", "int64")
    exactness = "exact"
    input_count = 2

    def check_node(self, node: Node) -> Iterator[Problem]:
        x, y = node.input(0), node.input(1)
        yield from check_one_dtype(x, y, node.output)
        if len(x.shape) != 1 or len(y.shape) != 1:
            yield Problem(
                f"shapes that are {list(x.shape)} and {list(y.shape)}", "two lists of numbers"
            )
            return
        yield from check_shape(node, (max(x.elements, y.elements),))

    def compute(self, node: Node, oracle: Oracle) -> Result:
        count, one = node.output.elements, tirx.const(1, node.output.dtype)

        def expression(x: te.Tensor, y: te.Tensor) -> te.Tensor:
            def size(shape: te.Tensor, i: tirx.Var) -> Expression:
                missing = count - int(shape.shape[0])
                if missing == 0:
                    return shape(i)
                return tirx.if_then_else(i >= missing, shape(i - missing), one)

            def value(i: tirx.Var) -> Expression:
                left, right = size(x, i), size(y, i)
                return tirx.Select(right == one, left, right)

            return elementwise(node.output.shape, value)

        return Compute((node.input(0), node.input(1)), expression)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        count = node.output.elements
        x, y = (np.pad(v, (count - len(v), 0), constant_values=1) for v in inputs)
        return [np.where(y == 1, x, y)]
