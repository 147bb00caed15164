"""BATCH_TO_SPACE_ND."""

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
from tvmtiny.ops.shared.space_to_batch import batched, check_blocks, every_block, margins


@register
class BatchToSpaceND(Moving):
    """Arranges images of a batch as the pixels of blocks of one image, and crops the image."""

    name = "BATCH_TO_SPACE_ND"
    input_count = 3

    def check_node(self, node: Node) -> Iterator[Problem]:
        problems = [*check_blocks(node, "crops")]
        if problems:
            yield from problems
            return
        blocks, sizes = numbers(node, 1), _sizes(node)
        if node.input(0).shape[0] % prod(blocks) or min(sizes) < 1:
            yield Problem(
                f"blocks of {blocks} and crops {margins(node)} of {list(node.input(0).shape)}",
                "a batch that is divisible by the blocks, and crops that leave a remainder",
            )
            return
        n, channels = node.input(0).shape[0] // prod(blocks), node.input(0).shape[-1]
        yield from check_shape(node, (n, *sizes, channels))

    def compute(self, node: Node, oracle: Oracle) -> Result:
        starts = [before for before, _ in margins(node)]
        reads = batched(node.input(0).shape, numbers(node, 1), starts, _sizes(node))
        return moved(node, [piece(reads, dense(node.output.shape))])

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        blocks, (_, *spatial, channels) = numbers(node, 1), inputs[0].shape
        whole = [size * block for size, block in zip(spatial, blocks, strict=True)]
        out = np.empty((inputs[0].shape[0] // prod(blocks), *whole, channels), inputs[0].dtype)
        for part, index in zip(np.split(inputs[0], prod(blocks)), np.ndindex(*blocks), strict=True):
            out[every_block(index, blocks)] = part
        ends = [(a, a + size) for (a, _), size in zip(margins(node), _sizes(node), strict=True)]
        box = [slice(None), *(slice(*pair) for pair in ends)]
        return [out[tuple(box)]]


def _sizes(node: Node) -> list[int]:
    """Return the size of the cropped image."""
    triples = zip(node.input(0).shape[1:-1], numbers(node, 1), margins(node), strict=True)
    return [size * block - before - after for size, block, (before, after) in triples]
