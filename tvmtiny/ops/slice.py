"""SLICE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tvmtiny.ops.shared.checks import check_one_dtype, check_output
from tvmtiny.ops.shared.constant_inputs import check_numbers, numbers
from tvmtiny.ops.shared.movement import moved, selection
from tvmtiny.ops.shared.moving_operator import Moving
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Oracle, Problem, Result, register


@register
class Slice(Moving):
    """A box of the input; a size of -1 extends to the end."""

    name = "SLICE"
    input_count = 3

    def check_node(self, node: Node) -> Iterator[Problem]:
        rank = len(node.input(0).shape)
        problems = [
            *check_numbers(node, 1, "begin", rank),
            *check_numbers(node, 2, "size", rank),
            *check_one_dtype(node.input(0), node.output),
        ]
        if problems:
            yield from problems
            return
        box = _box(node)
        if any(a < 0 or b < a or b > d for (a, b), d in zip(box, node.input(0).shape, strict=True)):
            yield Problem(
                f"a box of {box} in {list(node.input(0).shape)}", "a box inside the input"
            )
        else:
            yield from check_output(node.output, [b - a for a, b in box])

    def compute(self, node: Node, oracle: Oracle) -> Result:
        return moved(node, [selection(node.input(0).shape, [np.arange(*b) for b in _box(node)])])

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        return [inputs[0][tuple(slice(*ends) for ends in _box(node))]]


def _box(node: Node) -> list[tuple[int, int]]:
    """Return the start and the end of the box in each dimension."""
    begin, size = numbers(node, 1), numbers(node, 2)
    ends = [
        a + n if n >= 0 else d for a, n, d in zip(begin, size, node.input(0).shape, strict=True)
    ]
    return list(zip(begin, ends, strict=True))
