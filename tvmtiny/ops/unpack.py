"""UNPACK."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tvmtiny.ops.shared.checks import check_axis, check_one_dtype, check_output
from tvmtiny.ops.shared.movement import moved, selection, whole
from tvmtiny.ops.shared.moving_operator import Moving
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Oracle, Problem, Result, register


@register
class Unpack(Moving):
    """The slices of a tensor along one dimension; along the outermost one they are views."""

    name = "UNPACK"
    input_count = 1
    output_count = None

    def check_node(self, node: Node) -> Iterator[Problem]:
        x, axis = node.input(0), _axis(node)
        problems = [*check_one_dtype(x, *node.outputs), *check_axis(axis, x.shape)]
        if problems:
            yield from problems
            return
        if x.shape[axis] != len(node.outputs):
            yield Problem(
                f"{len(node.outputs)} outputs for a dimension of {x.shape[axis]}",
                "one output per index",
            )
        axis %= len(x.shape)
        for output in node.outputs:
            yield from check_output(output, (*x.shape[:axis], *x.shape[axis + 1 :]))

    def compute(self, node: Node, oracle: Oracle) -> tuple[Result, ...]:
        shape = node.input(0).shape
        results = []
        for position in range(len(node.outputs)):
            indices = whole(shape)
            indices[_axis(node)] = np.array([position])
            results.append(moved(node, [selection(shape, indices)], output=position))
        return tuple(results)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        return list(np.moveaxis(inputs[0], _axis(node), 0))


def _axis(node: Node) -> int:
    return int(node.options.get("axis", 0))
