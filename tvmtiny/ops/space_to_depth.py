"""SPACE_TO_DEPTH."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tvmtiny.ops.shared.checks import check_one_dtype, check_shape
from tvmtiny.ops.shared.movement import moved, permutation
from tvmtiny.ops.shared.moving_operator import Moving
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Oracle, Problem, Result, register

_ORDER = (0, 1, 3, 2, 4, 5)


@register
class SpaceToDepth(Moving):
    """The channels of each block of pixels, row by row, as the channels of one pixel."""

    name = "SPACE_TO_DEPTH"
    dtypes = ("int8", "uint8", "int32", "int64", "float32")
    input_count = 1

    def check_node(self, node: Node) -> Iterator[Problem]:
        yield from check_one_dtype(node.input(0), node.output)
        shape, block = node.input(0).shape, int(node.options.get("block_size", 0))
        if len(shape) != 4 or block < 1 or shape[1] % block or shape[2] % block:
            yield Problem(
                f"blocks of {block} in {list(shape)}",
                "4 dimensions, and a height and width that blocks divide",
            )
            return
        n, height, width, channels = shape
        expected = (n, height // block, width // block, channels * block * block)
        yield from check_shape(node, expected)

    def compute(self, node: Node, oracle: Oracle) -> Result:
        return moved(node, [permutation(_blocks(node), _ORDER)])

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        return [inputs[0].reshape(_blocks(node)).transpose(_ORDER).reshape(node.output.shape)]


def _blocks(node: Node) -> tuple[int, ...]:
    """The input's shape with the blocks as dimensions."""
    block = int(node.options["block_size"])
    n, height, width, channels = node.input(0).shape
    return n, height // block, block, width // block, block, channels
