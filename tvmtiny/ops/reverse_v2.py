"""REVERSE_V2."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tvmtiny.ops.shared.checks import check_axis
from tvmtiny.ops.shared.constant_inputs import check_numbers, numbers
from tvmtiny.ops.shared.movement import whole
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Problem, register
from tvmtiny.ops.shared.selecting_operator import Selecting


@register
class ReverseV2(Selecting):
    """The input in reverse order along some dimensions."""

    name = "REVERSE_V2"
    input_count = 2

    def arguments(self, node: Node) -> Iterator[Problem]:
        problems = [*check_numbers(node, 1, "axes", None, ("int32",))]
        yield from problems
        for axis in [] if problems else numbers(node, 1):
            yield from check_axis(axis, node.input(0).shape)

    def indices(self, node: Node) -> Sequence[np.ndarray]:
        indices = whole(node.input(0).shape)
        for axis in {axis % len(indices) for axis in numbers(node, 1)}:
            indices[axis] = indices[axis][::-1]
        return indices
