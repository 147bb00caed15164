"""Base class of operators that copy chosen indices along each dimension."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence

import numpy as np

from tvmtiny.ops.shared.checks import check_one_dtype, check_output
from tvmtiny.ops.shared.movement import moved, selection
from tvmtiny.ops.shared.moving_operator import Moving
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Oracle, Problem, Result


class Selecting(Moving):
    """An operator that copies ``x[np.ix_(*indices)]`` for constant indices."""

    @abstractmethod
    def arguments(self, node: Node) -> Iterator[Problem]:
        """Yield reasons why the indices cannot be determined."""

    @abstractmethod
    def indices(self, node: Node) -> Sequence[np.ndarray]:
        """Return the indices of each dimension that are copied, in order."""

    def lengths(self, node: Node) -> Sequence[int]:
        """Return the number of indices of each dimension.

        Operators whose arguments determine these numbers override this method, so that the indices
        are not created before the output's shape is checked: they may exceed the memory.
        """
        return [len(index) for index in self.indices(node)]

    def check_node(self, node: Node) -> Iterator[Problem]:
        problems = [*self.arguments(node)]
        if problems:
            yield from problems
            return
        yield from check_one_dtype(node.input(0), node.output)
        yield from check_output(node.output, self.lengths(node))

    def compute(self, node: Node, oracle: Oracle) -> Result:
        return moved(node, [selection(_aligned(node), self.indices(node))])

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        return [inputs[0].reshape(_aligned(node))[np.ix_(*self.indices(node))]]


def _aligned(node: Node) -> tuple[int, ...]:
    """Return the input's shape with leading dimensions of 1 up to the output's rank."""
    shape = node.input(0).shape
    return (1,) * (len(node.output.shape) - len(shape)) + tuple(shape)
