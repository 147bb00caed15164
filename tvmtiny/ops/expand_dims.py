"""EXPAND_DIMS."""

from __future__ import annotations

from collections.abc import Iterator

from tvmtiny.ops.shared.checks import check_axis, check_output
from tvmtiny.ops.shared.constant_inputs import check_numbers, numbers
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Problem, register
from tvmtiny.ops.shared.reshaping_operator import Reshaping


@register
class ExpandDims(Reshaping):
    """The same bytes with one more dimension of size 1."""

    name = "EXPAND_DIMS"
    input_count = 2

    def check_node(self, node: Node) -> Iterator[Problem]:
        shape = node.input(0).shape
        problems = [*super().check_node(node), *check_numbers(node, 1, "axis", 1)]
        if not problems:
            problems = [*check_axis(numbers(node, 1)[0], (*shape, 1))]
        if problems:
            yield from problems
            return
        axis = numbers(node, 1)[0] % (len(shape) + 1)
        yield from check_output(node.output, (*shape[:axis], 1, *shape[axis:]))
