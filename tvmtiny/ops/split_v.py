"""SPLIT_V."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tvmtiny.ops.shared.checks import check_axis
from tvmtiny.ops.shared.constant_inputs import check_numbers, numbers
from tvmtiny.ops.shared.moving_operator import Moving
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Oracle, Problem, Result, register
from tvmtiny.ops.shared.splitting import check_parts, parts, parts_reference


@register
class SplitV(Moving):
    """Parts of a tensor along one dimension; a size of -1 stands for the remainder."""

    name = "SPLIT_V"
    input_count = 3
    output_count = None

    def check_node(self, node: Node) -> Iterator[Problem]:
        problems = [
            *check_numbers(node, 1, "sizes", len(node.outputs)),
            *check_numbers(node, 2, "axis", 1, ("int32",)),
        ]
        if not problems:
            problems = [*check_axis(_axis(node), node.input(0).shape)]
        if problems:
            yield from problems
        else:
            yield from check_parts(node, node.input(0), _axis(node), _sizes(node))

    def compute(self, node: Node, oracle: Oracle) -> tuple[Result, ...]:
        return parts(node, node.input(0), _axis(node), _sizes(node))

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        return parts_reference(inputs[0], _axis(node), _sizes(node))


def _axis(node: Node) -> int:
    return numbers(node, 2)[0]


def _sizes(node: Node) -> list[int]:
    sizes = numbers(node, 1)
    if sizes.count(-1) == 1:
        left = node.input(0).shape[_axis(node)] - sum(sizes) - 1
        sizes[sizes.index(-1)] = left
    return sizes
