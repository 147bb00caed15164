"""Base class of reductions that combine two elements at a time, such as REDUCE_MAX."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

import numpy as np
from tvm import te

from tvmtiny.ops.shared.expressions import Expression
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Compute, Operator, Oracle, Problem, Result
from tvmtiny.ops.shared.reduction import (
    accumulate,
    check_reduction,
    check_same_scale,
    keeps_dims,
    reduced_axes,
)


class Reduction(Operator):
    """A reduction by an operator of two elements, which keeps the dtype.

    Attributes
    ----------
    needs_scale
        False, because nothing is rescaled.
    """

    input_count = 2
    needs_scale: ClassVar[bool] = False
    #: The reduction in numpy.
    numpy_reduction: ClassVar[Callable[..., np.ndarray]]

    @abstractmethod
    def combine(self, current: Expression, element: Expression) -> Expression:
        """Combine two elements."""

    @abstractmethod
    def identity(self, dtype: str) -> Expression:
        """Return the initial value of a reduction."""

    def check_node(self, node: Node) -> Iterator[Problem]:
        problems = [*check_reduction(node)]
        yield from problems
        if not problems:
            yield from check_same_scale(node)

    def compute(self, node: Node, oracle: Oracle) -> Result:
        reducer = te.comm_reducer(
            lambda current, element: self.combine(current, element), self.identity, name="reduce"
        )

        def expression(x: te.Tensor) -> te.Tensor:
            return accumulate(node, x, reducer, node.output.dtype, "out")

        return Compute((node.input(0),), expression)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        axes = reduced_axes(node)
        reduced = type(self).numpy_reduction(inputs[0], axis=axes, keepdims=keeps_dims(node))
        return [np.asarray(reduced, node.output.dtype)]
