"""SELECT and SELECT_V2."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from tvm import te, tirx

from tvmtiny.ops.shared.checks import check_broadcast, check_shape
from tvmtiny.ops.shared.expressions import Expression, at, elementwise
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Compute, Operator, Oracle, Problem, register


@register
class SelectV2(Operator):
    """Elements of one tensor where a condition holds, and of another elsewhere; all broadcast.

    LiteRT and TFLM copy quantized values directly, whatever their scales.
    """

    name = "SELECT_V2"
    dtypes = ("bool", "int8", "uint8", "int16", "int32", "int64", "float32")
    needs_scale = False
    exactness = "exact (values are copied)"
    input_count = 3

    def check_node(self, node: Node) -> Iterator[Problem]:
        condition, x, y, out = node.input(0), node.input(1), node.input(2), node.output
        if condition.dtype != "bool":
            yield Problem(f"a condition of {condition.dtype}", "a condition of bool")
        if not x.dtype == y.dtype == out.dtype:
            yield Problem(
                f"operands of {x.dtype} and {y.dtype} and an output of {out.dtype}", "one dtype"
            )
        yield from self.check_shapes(node)

    def check_shapes(self, node: Node) -> Iterator[Problem]:
        """Yield a problem unless the shapes of the operands are compatible."""
        yield from check_broadcast(node, 3)

    def compute(self, node: Node, oracle: Oracle) -> Compute:
        def expression(condition: te.Tensor, x: te.Tensor, y: te.Tensor) -> te.Tensor:
            def value(*i: tirx.Var) -> Expression:
                chosen = condition(*self.condition_index(node, i))
                return tirx.if_then_else(chosen, at(x, i), at(y, i))

            return elementwise(node.output.shape, value)

        return Compute((node.input(0), node.input(1), node.input(2)), expression)

    def condition_index(self, node: Node, indices: Sequence[Expression]) -> Sequence[Expression]:
        """Return the index of the condition for an element of the output."""
        shape = node.input(0).shape
        aligned = indices[len(indices) - len(shape) :]
        return [0 if d == 1 else i for d, i in zip(shape, aligned, strict=True)] or [0]

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        condition, x, y = inputs
        return [np.where(condition, x, y).reshape(node.output.shape).astype(node.output.dtype)]


@register
class Select(SelectV2):
    """Elements of one tensor where a condition holds, and of another elsewhere.

    The condition has the shape of both tensors, or one element for each of their rows.
    """

    name = "SELECT"

    def check_shapes(self, node: Node) -> Iterator[Problem]:
        condition, x, y = (node.input(position).shape for position in range(3))
        yield from check_shape(node, x)
        if x != y or condition not in (x, x[:1], (), (1,)):
            yield Problem(
                f"a condition of {list(condition)} for operands of {list(x)} and {list(y)}",
                "operands of one shape, and a condition of that shape or one per row",
            )

    def condition_index(self, node: Node, indices: Sequence[Expression]) -> Sequence[Expression]:
        shape = node.input(0).shape
        if shape in ((), (1,)):
            return [0]
        return indices[: len(shape)]

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        condition, x, y = inputs
        if condition.ndim == 1 and x.ndim > 1:
            condition = condition.reshape(-1, *(1,) * (x.ndim - 1))
        return super().reference(node, [condition, x, y], oracle)
