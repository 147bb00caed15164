"""What REDUCE_MAX and REDUCE_MIN share, and other reductions that only compare or multiply."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

import numpy as np
from tvm import te, tirx

from tvmtiny.ops.shared.expressions import Expression
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Compute, Operator, Oracle, Problem
from tvmtiny.ops.shared.reduction import (
    accumulate,
    check_reduction,
    check_same_scale,
    keeps_dims,
    reduced_axes,
)


class Folding(Operator):
    """A reduction by an operator of two elements, which keeps the dtype.

    Attributes
    ----------
    needs_scale
        Nothing is rescaled.
    """

    needs_scale: ClassVar[bool] = False
    #: numpy's reduction.
    numpy_reduction: ClassVar[Callable[..., np.ndarray]]

    @abstractmethod
    def combine(self, current: Expression, element: Expression) -> Expression:
        """Two elements as one."""

    @abstractmethod
    def identity(self, dtype: str) -> Expression:
        """Where a reduction begins."""

    def check(self, node: Node) -> Iterator[Problem]:
        problems = [*check_reduction(node)]
        yield from problems
        if not problems:
            yield from check_same_scale(node)

    def compute(self, node: Node, oracle: Oracle) -> Compute:
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


def lowest(dtype: str) -> Expression:
    """The smallest finite value of a dtype."""
    # The most negative integers have no literal.
    if dtype in ("int32", "int64"):
        return tirx.call_pure_extern(dtype, f"tvmtiny_lowest_{dtype}")
    return tirx.const(_ends(dtype)[0], dtype)


def highest(dtype: str) -> Expression:
    """The largest finite value of a dtype."""
    return tirx.const(_ends(dtype)[1], dtype)


def wrapped(
    operator: Callable[[Expression, Expression], Expression], a: Expression, b: Expression
) -> Expression:
    """An operator of two elements; integers wrap around, which signed ones need not do in C."""
    dtype = str(tirx.convert(a).ty.dtype)
    if dtype == "float32":
        return operator(a, b)
    return operator(a.astype(f"u{dtype}"), b.astype(f"u{dtype}")).astype(dtype)


def _ends(dtype: str) -> tuple[float, float]:
    if dtype == "bool":
        return False, True
    if dtype == "float32":
        return float(np.finfo(dtype).min), float(np.finfo(dtype).max)
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
