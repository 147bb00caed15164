"""Inputs that have to be known at compile time: axes, shapes, sizes, paddings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Problem

#: Dtypes of axes, shapes and sizes.
INDEX_DTYPES = ("int32", "int64")


def check_numbers(
    node: Node,
    position: int,
    what: str,
    count: int | None = None,
    dtypes: Sequence[str] = INDEX_DTYPES,
) -> Iterator[Problem]:
    """Yield problems with an input that has to be known at compile time.

    Parameters
    ----------
    node
        The node.
    position
        Position of the input.
    what
        Name of the input in messages.
    count
        Number of elements that the input must have; None for any number.
    dtypes
        Dtypes that are accepted.
    """
    tensor = node.input(position)
    if tensor.data is None:
        yield Problem(f"{what} computed at run time", f"constant {what}")
    elif tensor.dtype not in dtypes:
        yield Problem(f"{tensor.dtype} {what}", " or ".join(dtypes))
    elif count is not None and tensor.elements != count:
        yield Problem(f"{tensor.elements} numbers as {what}", f"{count}")


def numbers(node: Node, position: int) -> list[int]:
    """Return the numbers in a constant input."""
    data = node.input(position).data
    assert data is not None
    return [int(number) for number in data.reshape(-1)]
