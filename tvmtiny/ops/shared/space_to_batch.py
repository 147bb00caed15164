"""The pixels of a block as images of a batch, for SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

import numpy as np

from tvmtiny.ops.shared.checks import check_one_dtype
from tvmtiny.ops.shared.constant_inputs import check_numbers, numbers
from tvmtiny.ops.shared.movement import strides
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Problem


def check_blocks(node: Node, margins: str) -> Iterator[Problem]:
    """Yield problems that precede a comparison of shapes; `margins` names the third input."""
    spatial = len(node.input(0).shape) - 2
    problems = [
        *check_numbers(node, 1, "block shape", spatial),
        *check_numbers(node, 2, margins, 2 * spatial),
        *check_one_dtype(node.input(0), node.output),
    ]
    if spatial not in (1, 2):
        problems.append(Problem(f"{spatial + 2} dimensions", "3 or 4 dimensions"))
    if not problems and (min(numbers(node, 1)) < 1 or min(numbers(node, 2)) < 0):
        problems.append(
            Problem(
                f"blocks of {numbers(node, 1)} with {margins} {numbers(node, 2)}",
                f"positive blocks and {margins} of 0 or more",
            )
        )
    yield from problems


def margins(node: Node) -> list[tuple[int, int]]:
    """Return the sizes of the margins before and after each spatial dimension."""
    data = numbers(node, 2)
    return list(zip(data[::2], data[1::2], strict=True))


def batched(
    shape: Sequence[int], blocks: Sequence[int], starts: Sequence[int], sizes: Sequence[int]
) -> list[np.ndarray]:
    """Return offsets in a batch for a box of the image that the batch represents.

    Parameters
    ----------
    shape
        Shape of the batch, including its images.
    blocks
        Size of a block in each spatial dimension.
    starts, sizes
        The box in each spatial dimension.

    Returns
    -------
    list of np.ndarray
        Offsets along batch, spatial dimensions and channels of the box.
    """
    steps = strides(shape)
    images = shape[0] // prod(blocks)
    offsets = [np.arange(images) * steps[0]]
    for i, (block, start, size) in enumerate(zip(blocks, starts, sizes, strict=True)):
        position = start + np.arange(size)
        image = position % block * prod(blocks[i + 1 :]) * images
        offsets.append(position // block * steps[i + 1] + image * steps[0])
    return [*offsets, np.arange(shape[-1])]


def every_block(index: Sequence[int], blocks: Sequence[int]) -> tuple[slice, ...]:
    """Return the numpy index of the pixels at `index` in all blocks of an image."""
    steps = [slice(i, None, block) for i, block in zip(index, blocks, strict=True)]
    return (slice(None), *steps)
