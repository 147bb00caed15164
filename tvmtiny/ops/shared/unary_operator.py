"""Base classes of operators whose elements depend on one element of one input."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence

import numpy as np
from tvm import te, tirx

from tvmtiny.ops.shared.checks import check_same_dtype, check_shape
from tvmtiny.ops.shared.element_operator import ElementOperator
from tvmtiny.ops.shared.expressions import Expression, elementwise
from tvmtiny.ops.shared.lookup_tables import (
    EVERY_INT8,
    by_bits,
    int8_table,
    int16_table,
    look_up_int8,
    look_up_int16,
    looked_up_int8,
    looked_up_int16,
)
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Compute, Oracle, Problem


class Unary(ElementOperator):
    """An operator whose output elements depend on the input's element at the same place.

    For int8 any function becomes a table of 256 bytes, which is exact because it is computed for
    every input.
    """

    input_count = 1

    def check_tensors(self, node: Node) -> Iterator[Problem]:
        yield from check_same_dtype(node)
        yield from check_shape(node, node.input(0).shape)

    @abstractmethod
    def value(self, node: Node, x: Expression) -> Expression:
        """Return the tensor expression of an element of any dtype except int8."""

    @abstractmethod
    def numbers(self, node: Node, x: np.ndarray, oracle: Oracle) -> np.ndarray:
        """Compute the results for `x` with numpy, in the output's dtype or a wider one."""

    def table(self, node: Node, oracle: Oracle) -> np.ndarray:
        """Compute the output for every int8 input from -128 to 127: int8, ``(256,)``."""
        return self.numbers(node, EVERY_INT8.astype(np.int8), oracle).astype(np.int8)

    def compute(self, node: Node, oracle: Oracle) -> Compute:
        def looked_up(x: te.Tensor, table: te.Tensor) -> te.Tensor:
            return elementwise(node.output.shape, lambda *i: looked_up_int8(table, x(*_at(x, i))))

        def computed(x: te.Tensor) -> te.Tensor:
            return elementwise(node.output.shape, lambda *i: self.value(node, x(*_at(x, i))))

        if node.output.dtype == "int8":
            return Compute((node.input(0), by_bits(self.table(node, oracle))), looked_up)
        return Compute((node.input(0),), computed)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        if node.output.dtype == "int8":
            return [look_up_int8(self.table(node, oracle), inputs[0])]
        return [self.numbers(node, inputs[0], oracle).astype(node.output.dtype)]


class TableUnary(Unary):
    """A float32 function, which LiteRT tabulates for int8 and int16."""

    @abstractmethod
    def function(self, node: Node, x: np.ndarray) -> np.ndarray:
        """Compute the function of float32 values, rounded to float32."""

    def numbers(self, node: Node, x: np.ndarray, oracle: Oracle) -> np.ndarray:
        if node.output.dtype == "int16":
            return look_up_int16(self.interpolated(node), x)
        return self.function(node, x)

    def table(self, node: Node, oracle: Oracle) -> np.ndarray:
        return int8_table(node, lambda x: self.function(node, x))

    def interpolated(self, node: Node) -> np.ndarray:
        """Return the table for int16: int16, ``(513,)``."""
        return int16_table(node, lambda x: self.function(node, x))

    def compute(self, node: Node, oracle: Oracle) -> Compute:
        def looked_up(x: te.Tensor, table: te.Tensor) -> te.Tensor:
            return elementwise(node.output.shape, lambda *i: looked_up_int16(table, x(*_at(x, i))))

        if node.output.dtype == "int16":
            return Compute((node.input(0), self.interpolated(node)), looked_up)
        return super().compute(node, oracle)


def in_float64(function: np.ufunc, x: np.ndarray) -> np.ndarray:
    """Compute a float32 function as LiteRT's C library does, apart from rare roundings."""
    with np.errstate(all="ignore"):
        return function(x.astype(np.float64)).astype(np.float32)


def _at(x: te.Tensor, indices: Sequence[tirx.Var]) -> Sequence[Expression]:
    # A scalar is stored as one element.
    return indices[: len(x.shape)]
