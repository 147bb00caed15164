"""ADD_N."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce

import numpy as np
from tvm import te, tirx

from tvmtiny.ops.shared.checks import check_same_dtype, check_scale, check_shape
from tvmtiny.ops.shared.expressions import Expression, elementwise, int32, total
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Compute, Operator, Oracle, Problem, register
from tvmtiny.ops.shared.running_sums import check_running, running_numbers, running_output


@register
class AddN(Operator):
    """Sum of any number of tensors of one shape, from first to last; int32 wraps around.

    int8 matches TFLM's ``reference_ops::AddN``, which starts with the negated zero point.
    """

    name = "ADD_N"
    dtypes = ("int8", "int32", "float32")
    only_tflm = ("int8",)
    exactness = "exact, and int8 bit-exact as TFLM, which alone has it"

    def check_node(self, node: Node) -> Iterator[Problem]:
        if not node.inputs or None in node.inputs or len(node.outputs) != 1:
            yield Problem("inputs or outputs are missing", "at least one input and one output")
            return
        yield from check_same_dtype(node)
        for tensor in node.inputs:
            if tensor is not None:
                yield from check_shape(node, tensor.shape)
        if node.output.dtype == "int8":
            yield from self._check_int8(node)

    def _check_int8(self, node: Node) -> Iterator[Problem]:
        tensors = [t for t in (*node.inputs, node.output) if t is not None]
        problems = [p for tensor in tensors for p in check_scale(tensor)]
        yield from problems
        first = node.input(0)
        if not problems and any(
            (t.scale, t.zero_point) != (first.scale, first.zero_point) for t in tensors[:-1]
        ):
            yield Problem("inputs of several scales", "one scale and zero point for all inputs")
        yield from check_running(node, len(node.inputs))

    def compute(self, node: Node, oracle: Oracle) -> Compute:
        def expression(*tensors: te.Tensor) -> te.Tensor:
            def value(*i: tirx.Var) -> Expression:
                elements = [x(*i[: len(x.shape)]) for x in tensors]
                if node.output.dtype == "int8":
                    zeros = (len(elements) + 1) * node.input(0).zero_point
                    return running_output(reduce(total, map(int32, elements)) - int32(zeros), node)
                return reduce(total, elements)

            return elementwise(node.output.shape, value)

        return Compute(tuple(t for t in node.inputs if t is not None), expression)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        if node.output.dtype == "int8":
            zeros = (len(inputs) + 1) * node.input(0).zero_point
            sums = reduce(np.add, [x.astype(np.int64) for x in inputs])
            return [running_numbers(sums - zeros, node)]
        return [np.asarray(reduce(np.add, inputs))]
