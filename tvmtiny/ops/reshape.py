"""RESHAPE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Problem, register
from tvmtiny.ops.shared.reshaping_operator import Reshaping


@register
class Reshape(Reshaping):
    """The same bytes in another shape.

    The new shape is the output tensor's. The optional second input, or else the options, give the
    same shape less directly: a dimension of -1 is inferred.
    """

    name = "RESHAPE"

    def check_node(self, node: Node) -> Iterator[Problem]:
        problems = [*super().check_node(node)]
        yield from problems
        stated = None if problems else _stated(node)
        if stated is None:
            return
        shape = node.output.shape
        if len(stated) != len(shape) or any(
            size not in (-1, extent) for size, extent in zip(stated, shape, strict=True)
        ):
            yield Problem(
                f"the output is {list(shape)}, but the new shape {list(stated)}",
                "an output of the new shape",
            )


def _stated(node: Node) -> Sequence[int] | None:
    """Return the new shape as LiteRT determines it; None if it is not known."""
    given = node.optional_input(1)
    if given is not None and len(given.shape) == 1 and given.dtype == "int32":
        return None if given.data is None else given.data.tolist()
    stated = node.options.get("new_shape")
    if stated is None:
        return None
    # Old files write [0] for a scalar.
    return [] if list(stated) == [0] else [int(size) for size in stated]
