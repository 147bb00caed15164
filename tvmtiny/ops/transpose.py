"""TRANSPOSE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tvmtiny.ops.shared.checks import check_one_dtype, check_output
from tvmtiny.ops.shared.constant_inputs import check_numbers, numbers
from tvmtiny.ops.shared.movement import moved, permutation
from tvmtiny.ops.shared.moving_operator import Moving
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Oracle, Problem, Result, register


@register
class Transpose(Moving):
    """Dimensions in another order; a view if only dimensions of size 1 move."""

    name = "TRANSPOSE"
    input_count = 2

    def check_node(self, node: Node) -> Iterator[Problem]:
        rank = len(node.input(0).shape)
        problems = [*check_numbers(node, 1, "order", rank)]
        if problems:
            yield from problems
            return
        yield from check_one_dtype(node.input(0), node.output)
        order = numbers(node, 1)
        if any(not -rank <= i < rank for i in order) or len(set(_order(node))) != rank:
            yield Problem(f"order {order}", f"each of {rank} dimensions once")
        else:
            yield from check_output(node.output, [node.input(0).shape[i] for i in order])

    def compute(self, node: Node, oracle: Oracle) -> Result:
        return moved(node, [permutation(node.input(0).shape, _order(node))])

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        return [np.ascontiguousarray(inputs[0].transpose(_order(node)))]


def _order(node: Node) -> list[int]:
    return [i % len(node.input(0).shape) for i in numbers(node, 1)]
