"""TILE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tvmtiny.ops.shared.constant_inputs import check_numbers, numbers
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Problem, register
from tvmtiny.ops.shared.selecting_operator import Selecting


@register
class Tile(Selecting):
    """The input repeated along each dimension."""

    name = "TILE"
    input_count = 2

    def arguments(self, node: Node) -> Iterator[Problem]:
        problems = [*check_numbers(node, 1, "multiples", len(node.input(0).shape))]
        yield from problems
        if not problems and min(numbers(node, 1), default=1) < 1:
            yield Problem(f"multiples {numbers(node, 1)}", "multiples of 1 or more")

    def lengths(self, node: Node) -> Sequence[int]:
        return [d * n for d, n in zip(node.input(0).shape, numbers(node, 1), strict=True)]

    def indices(self, node: Node) -> Sequence[np.ndarray]:
        shape = node.input(0).shape
        return [np.tile(np.arange(d), n) for d, n in zip(shape, numbers(node, 1), strict=True)]
