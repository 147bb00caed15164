"""Base class of DEPTH_TO_SPACE and SPACE_TO_DEPTH."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np

from tvmtiny.ops.shared.checks import check_one_dtype, check_shape
from tvmtiny.ops.shared.movement import moved, permutation
from tvmtiny.ops.shared.moving_operator import Moving
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Oracle, Problem, Result

_ORDER = (0, 1, 3, 2, 4, 5)

#: A shape of six dimensions.
Blocks = tuple[int, int, int, int, int, int]


class BlockOperator(Moving):
    """Exchanges channels with the rows of square blocks of pixels.

    Attributes
    ----------
    divides
        The condition for the size of blocks, as messages state it.
    """

    dtypes: ClassVar[tuple[str, ...]] = ("int8", "uint8", "int32", "int64", "float32")
    input_count = 1
    divides: ClassVar[str]

    @abstractmethod
    def fits(self, shape: Sequence[int], block: int) -> bool:
        """Return whether an NHWC input can be divided into blocks."""

    @abstractmethod
    def expected(self, shape: Sequence[int], block: int) -> tuple[int, ...]:
        """Return the shape of the output."""

    @abstractmethod
    def blocks(self, shape: Sequence[int], block: int) -> Blocks:
        """Return the input's shape in blocks; the third and fourth dimension are swapped."""

    def check_node(self, node: Node) -> Iterator[Problem]:
        yield from check_one_dtype(node.input(0), node.output)
        shape, block = node.input(0).shape, int(node.options.get("block_size", 0))
        if len(shape) != 4 or block < 1 or not self.fits(shape, block):
            allowed = f"4 dimensions, and {self.divides}"
            yield Problem(f"blocks of {block} in {list(shape)}", allowed)
            return
        yield from check_shape(node, self.expected(shape, block))

    def compute(self, node: Node, oracle: Oracle) -> Result:
        return moved(node, [permutation(self._blocks(node), _ORDER)])

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        return [inputs[0].reshape(self._blocks(node)).transpose(_ORDER).reshape(node.output.shape)]

    def _blocks(self, node: Node) -> Blocks:
        return self.blocks(node.input(0).shape, int(node.options["block_size"]))
