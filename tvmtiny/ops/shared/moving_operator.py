"""What the operators that only move elements share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np

from tvmtiny.ops.shared.node import Node, Tensor
from tvmtiny.ops.shared.operator import Operator, Problem

#: Dtypes of axes, shapes and sizes.
INDEX_DTYPES = ("int32", "int64")


class Moving(Operator):
    """An operator that copies elements, whatever they mean: scales need not be known."""

    dtypes: ClassVar[tuple[str, ...]] = (
        "int8",
        "uint8",
        "int16",
        "int32",
        "int64",
        "float32",
        "bool",
    )
    needs_scale: ClassVar[bool] = False
    exactness: ClassVar[str] = "bit-exact (values are copied)"


def check_same(*tensors: Tensor) -> Iterator[Problem]:
    """Yield a problem unless all tensors have one dtype."""
    found = list(dict.fromkeys(tensor.dtype for tensor in tensors))
    if len(found) > 1:
        yield Problem(f"tensors of {' and '.join(found)}", "one dtype")


def check_numbers(
    node: Node,
    position: int,
    what: str,
    count: int | None = None,
    dtypes: Sequence[str] = INDEX_DTYPES,
) -> Iterator[Problem]:
    """Yield what keeps an input from being read at compile time.

    Parameters
    ----------
    what
        How messages call it.
    count
        How many numbers it holds; None where any number will do.
    """
    tensor = node.input(position)
    if tensor.data is None:
        yield Problem(f"{what} computed at run time", f"constant {what}")
    elif tensor.dtype not in dtypes:
        yield Problem(f"{tensor.dtype} {what}", " or ".join(dtypes))
    elif count is not None and tensor.elements != count:
        yield Problem(f"{tensor.elements} numbers as {what}", f"{count}")


def numbers(node: Node, position: int) -> list[int]:
    """The numbers in a constant input."""
    data = node.input(position).data
    assert data is not None
    return [int(number) for number in data.reshape(-1)]


def check_axis(axis: int, shape: Sequence[int]) -> Iterator[Problem]:
    """Yield a problem unless `axis` is one of the dimensions of `shape`, counted from any end."""
    rank = len(shape)
    if not -rank <= axis < rank:
        yield Problem(f"axis {axis} of {rank} dimensions", f"axes from {-rank} to {rank - 1}")


def check_output(tensor: Tensor, expected: Sequence[int]) -> Iterator[Problem]:
    """Yield a problem unless an output has the shape `expected`."""
    if tuple(tensor.shape) != tuple(expected):
        yield Problem(
            f"output {tensor.name} is {list(tensor.shape)}, but the inputs and options give "
            f"{list(expected)}",
            "outputs of the shapes that inputs and options imply",
        )


def whole(shape: Sequence[int]) -> list[np.ndarray]:
    """All indices of each dimension, for `movement.selection`."""
    return [np.arange(d) for d in shape]


def replaced(shape: Sequence[int], axis: int, size: int) -> tuple[int, ...]:
    """`shape` with another size along one dimension."""
    axis %= len(shape)
    return (*shape[:axis], size, *shape[axis + 1 :])
