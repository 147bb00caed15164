"""ADD_N."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce

import numpy as np
from tvm import te, tirx

from tvmtiny.ops.shared.checks import check_same_dtype, check_shape
from tvmtiny.ops.shared.expressions import Expression, elementwise, total
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Compute, Operator, Oracle, Problem, register


@register
class AddN(Operator):
    """Sum of any number of tensors of one shape, from the first to the last; int32 wraps around."""

    name = "ADD_N"
    dtypes = ("int32", "float32")
    exactness = "exact"

    def check_node(self, node: Node) -> Iterator[Problem]:
        if not node.inputs or None in node.inputs or len(node.outputs) != 1:
            yield Problem("inputs or outputs are missing", "at least one input and one output")
            return
        yield from check_same_dtype(node)
        for tensor in node.inputs:
            if tensor is not None:
                yield from check_shape(node, tensor.shape)

    def compute(self, node: Node, oracle: Oracle) -> Compute:
        def expression(*tensors: te.Tensor) -> te.Tensor:
            def value(*i: tirx.Var) -> Expression:
                return reduce(total, (x(*i[: len(x.shape)]) for x in tensors))

            return elementwise(node.output.shape, value)

        return Compute(tuple(t for t in node.inputs if t is not None), expression)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        return [np.asarray(reduce(np.add, inputs))]
