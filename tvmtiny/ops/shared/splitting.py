"""Consecutive parts along one dimension, for SPLIT and SPLIT_V."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tvmtiny.ops.shared.checks import check_axis, check_one_dtype, check_output
from tvmtiny.ops.shared.movement import moved, replaced, selection, whole
from tvmtiny.ops.shared.node import Node, Tensor
from tvmtiny.ops.shared.operator import Problem, Result


def check_parts(node: Node, x: Tensor, axis: int, sizes: Sequence[int]) -> Iterator[Problem]:
    """Yield problems with splitting `x` into parts of `sizes`."""
    problems = [*check_one_dtype(x, *node.outputs), *check_axis(axis, x.shape)]
    if problems:
        yield from problems
        return
    if len(sizes) != len(node.outputs) or sum(sizes) != x.shape[axis] or min(sizes) < 1:
        yield Problem(
            f"parts of {list(sizes)} for {len(node.outputs)} outputs of a dimension of "
            f"{x.shape[axis]}",
            "one part per output, none empty, that add up to the dimension",
        )
        return
    for output, size in zip(node.outputs, sizes, strict=True):
        yield from check_output(output, replaced(x.shape, axis, size))


def parts(node: Node, x: Tensor, axis: int, sizes: Sequence[int]) -> tuple[Result, ...]:
    """Return the outputs; along the outermost dimension they are views."""
    results: list[Result] = []
    for position, size in enumerate(sizes):
        indices, start = whole(x.shape), sum(sizes[:position])
        indices[axis % len(indices)] = np.arange(start, start + size)
        results.append(moved(node, [selection(x.shape, indices)], [x], output=position))
    return tuple(results)


def parts_reference(x: np.ndarray, axis: int, sizes: Sequence[int]) -> list[np.ndarray]:
    """Compute the outputs with numpy."""
    return np.split(x, np.cumsum(sizes)[:-1].tolist(), axis)
