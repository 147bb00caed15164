"""SPLIT."""

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
class Split(Moving):
    """Equal parts of a tensor along one dimension."""

    name = "SPLIT"
    input_count = 2
    output_count = None

    def check_node(self, node: Node) -> Iterator[Problem]:
        problems = [*check_numbers(node, 0, "axis", 1, ("int32",))]
        if not problems:
            problems = [*check_axis(numbers(node, 0)[0], node.input(1).shape)]
        if problems:
            yield from problems
        else:
            yield from check_parts(node, node.input(1), numbers(node, 0)[0], _sizes(node))

    def compute(self, node: Node, oracle: Oracle) -> tuple[Result, ...]:
        return parts(node, node.input(1), numbers(node, 0)[0], _sizes(node))

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        return parts_reference(inputs[1], numbers(node, 0)[0], _sizes(node))


def _sizes(node: Node) -> list[int]:
    count = len(node.outputs)
    return [node.input(1).shape[numbers(node, 0)[0]] // count] * count
