"""Checks and options of RESIZE_NEAREST_NEIGHBOR and RESIZE_BILINEAR."""

from __future__ import annotations

from collections.abc import Iterator

from tvmtiny.ops.shared.checks import check_one_dtype, check_shape
from tvmtiny.ops.shared.constant_inputs import check_numbers, numbers
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Problem


def check_resize(node: Node) -> Iterator[Problem]:
    """Yield problems with a node that resizes images to a constant size."""
    problems = [*check_numbers(node, 1, "size", 2, ("int32",))]
    if problems:
        yield from problems
        return
    yield from check_one_dtype(node.input(0), node.output)
    shape = node.input(0).shape
    if len(shape) != 4 or min(numbers(node, 1)) < 1:
        yield Problem(
            f"{list(shape)} resized to {numbers(node, 1)}", "4 dimensions and a positive size"
        )
        return
    if corners(node) and centers(node):
        yield Problem("align_corners with half_pixel_centers", "one of these options")
    yield from check_shape(node, (shape[0], *numbers(node, 1), shape[3]))


def corners(node: Node) -> bool:
    """Return whether the centers of the corner pixels of input and output coincide."""
    return bool(node.options.get("align_corners", False))


def centers(node: Node) -> bool:
    """Return whether the position of a pixel is its center."""
    return bool(node.options.get("half_pixel_centers", False))
