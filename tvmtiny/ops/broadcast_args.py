"""BROADCAST_ARGS."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tvmtiny.ops.shared.checks import check_one_dtype, check_shape
from tvmtiny.ops.shared.constant_inputs import check_numbers, numbers
from tvmtiny.ops.shared.constant_operator import ConstantOutput
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Oracle, Problem, register


@register
class BroadcastArgs(ConstantOutput):
    """The shape that two constant shapes broadcast to.

    LiteRT also accepts shapes that are computed at run time, but can crash if they do not
    broadcast.
    """

    name = "BROADCAST_ARGS"
    dtypes = ("int32", "int64")
    input_count = 2

    def check_node(self, node: Node) -> Iterator[Problem]:
        x, y = node.input(0), node.input(1)
        problems = [p for position in range(2) for p in check_numbers(node, position, "shapes")]
        yield from problems or check_one_dtype(x, y, node.output)
        if problems:
            return
        if len(x.shape) != 1 or len(y.shape) != 1:
            yield Problem(
                f"shapes that are {list(x.shape)} and {list(y.shape)}", "two lists of numbers"
            )
            return
        yield from check_shape(node, (max(x.elements, y.elements),))
        try:
            np.broadcast_shapes(numbers(node, 0), numbers(node, 1))
        except ValueError:
            yield Problem(
                f"shapes {numbers(node, 0)} and {numbers(node, 1)} do not broadcast",
                "dimensions that are equal or 1",
            )

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        shape = np.broadcast_shapes(*(tuple(int(d) for d in values) for values in inputs))
        return [np.array(shape, node.output.dtype)]
