"""Base class of ARG_MAX and ARG_MIN."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

import numpy as np
from tvm import te, tirx

from tvmtiny.ops.shared.checks import check_axis, check_shape
from tvmtiny.ops.shared.constant_inputs import check_numbers, numbers
from tvmtiny.ops.shared.expressions import Expression, elementwise
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Compute, Operator, Oracle, Problem

_INPUTS = ("int8", "uint8", "int32", "float32", "bool")


class ExtremumIndex(Operator):
    """The index of an extreme element along one dimension; the first one among equals."""

    dtypes: ClassVar[tuple[str, ...]] = (*_INPUTS, "int64")
    needs_scale: ClassVar[bool] = False
    exactness: ClassVar[str] = "bit-exact (float32 on finite values)"
    #: The function in numpy.
    numpy_index: ClassVar[Callable[..., np.ndarray]]

    @abstractmethod
    def worst(self, dtype: str) -> Expression:
        """Return a value that no element is worse than."""

    @abstractmethod
    def better(self, element: Expression, current: Expression) -> Expression:
        """Return whether a later element replaces the current one."""

    input_count = 2

    def check_node(self, node: Node) -> Iterator[Problem]:
        problems = [*check_numbers(node, 1, "axis", 1)]
        if not problems:
            shape = node.input(0).shape
            problems = [*check_axis(numbers(node, 1)[0], shape)]
        if problems:
            yield from problems
            return
        if node.input(0).dtype not in _INPUTS:
            yield Problem(f"{node.input(0).dtype} input", " or ".join(_INPUTS))
        if node.output.dtype not in ("int32", "int64"):
            yield Problem(f"{node.output.dtype} output", "int32 or int64")
        axis = _axis(node)
        yield from check_shape(node, (*shape[:axis], *shape[axis + 1 :]))

    def compute(self, node: Node, oracle: Oracle) -> Compute:
        axis, shape = _axis(node), node.input(0).shape

        dtype = node.input(0).dtype

        def combine(
            current: Sequence[Expression], element: Sequence[Expression]
        ) -> tuple[Expression, Expression]:
            later = self.better(element[1], current[1])
            return (
                tirx.Select(later, element[0], current[0]),
                tirx.Select(later, element[1], current[1]),
            )

        reducer = te.comm_reducer(
            combine, lambda *_: (tirx.const(0, "int32"), self.worst(dtype)), name="best"
        )

        def expression(x: te.Tensor) -> te.Tensor:
            k = te.reduce_axis((0, shape[axis]), "k")

            def value(*i: tirx.Var) -> Expression:
                position = (*i[:axis], k, *i[axis:])[: len(shape)]
                return reducer((k.var, x(*position)), axis=k)

            index, _ = te.compute(node.output.shape or (1,), value, name="acc")
            return elementwise(node.output.shape, lambda *i: index(*i).astype(node.output.dtype))

        return Compute((node.input(0),), expression)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        found = type(self).numpy_index(inputs[0], axis=_axis(node))
        return [np.asarray(found, node.output.dtype)]


def _axis(node: Node) -> int:
    return numbers(node, 1)[0] % len(node.input(0).shape)
