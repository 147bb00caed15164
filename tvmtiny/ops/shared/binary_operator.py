"""Base class of operators whose elements depend on one element of each of two operands."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence

import numpy as np
from tvm import te, tirx

from tvmtiny.ops.shared.checks import (
    check_broadcast,
    check_same_dtype,
)
from tvmtiny.ops.shared.element_operator import ElementOperator
from tvmtiny.ops.shared.expressions import Expression, at, elementwise
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Compute, Oracle, Problem


class Binary(ElementOperator):
    """An operator whose output elements depend on one element of each operand."""

    input_count = 2

    def check_tensors(self, node: Node) -> Iterator[Problem]:
        yield from self._check_dtypes(node)
        yield from check_broadcast(node)

    @abstractmethod
    def value(self, node: Node, x: Expression, y: Expression) -> Expression:
        """Return the tensor expression of an element."""

    @abstractmethod
    def numbers(self, node: Node, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Compute the results with numpy, in the output's dtype or a wider one."""

    def compute(self, node: Node, oracle: Oracle) -> Compute:
        def expression(x: te.Tensor, y: te.Tensor) -> te.Tensor:
            def value(*i: tirx.Var) -> Expression:
                return self.value(node, at(x, i), at(y, i))

            return elementwise(node.output.shape, value)

        return Compute((node.input(0), node.input(1)), expression)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        return [np.asarray(self.numbers(node, *inputs)).astype(node.output.dtype)]

    def _check_dtypes(self, node: Node) -> Iterator[Problem]:
        if self.result is None:
            yield from check_same_dtype(node)
            return
        left, right, out = node.input(0).dtype, node.input(1).dtype, node.output.dtype
        if left != right:
            yield Problem(f"operands of {left} and {right}", "operands of one dtype")
        if out != self.result:
            yield Problem(f"{out} output", f"{self.result} output")
