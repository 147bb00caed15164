"""SPACE_TO_BATCH_ND."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

import numpy as np

from tvmtiny.ops.shared.checks import check_shape
from tvmtiny.ops.shared.constant_inputs import numbers
from tvmtiny.ops.shared.movement import dense, moved, piece
from tvmtiny.ops.shared.moving_operator import Moving
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Oracle, Problem, Result, register
from tvmtiny.ops.shared.padding import pad_value
from tvmtiny.ops.shared.space_to_batch import batched, check_blocks, every_block, margins


@register
class SpaceToBatchND(Moving):
    """Pads an image, and arranges the pixels of its blocks as separate images.

    The border is the output's zero point, as in LiteRT. TFLM's border is undefined: its kernel
    reads a number from the arena that was never written.
    """

    name = "SPACE_TO_BATCH_ND"
    input_count = 3

    def check_node(self, node: Node) -> Iterator[Problem]:
        problems = [*check_blocks(node, "paddings")]
        if problems:
            yield from problems
            return
        n, *sizes, channels = _padded(node)
        blocks = numbers(node, 1)
        if any(size % block for size, block in zip(sizes, blocks, strict=True)):
            yield Problem(f"blocks of {blocks} in {sizes}", "blocks that divide the padded image")
            return
        spatial = [size // block for size, block in zip(sizes, blocks, strict=True)]
        yield from check_shape(node, (n * prod(blocks), *spatial, channels))

    def compute(self, node: Node, oracle: Oracle) -> Result:
        shape, starts = node.input(0).shape, [before for before, _ in margins(node)]
        writes = batched(node.output.shape, numbers(node, 1), starts, shape[1:-1])
        return moved(node, [piece(dense(shape), writes)], fill=pad_value(node))

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        widths = [(0, 0), *margins(node), (0, 0)]
        x = np.pad(inputs[0], widths, constant_values=pad_value(node))
        blocks = numbers(node, 1)
        parts = [x[every_block(index, blocks)] for index in np.ndindex(*blocks)]
        return [np.concatenate(parts)]


def _padded(node: Node) -> list[int]:
    shape = node.input(0).shape
    sizes = [a + d + b for d, (a, b) in zip(shape[1:-1], margins(node), strict=True)]
    return [shape[0], *sizes, shape[-1]]
