"""BROADCAST_TO."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tvmtiny.ops.shared.constant_inputs import check_numbers, numbers
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Problem, register
from tvmtiny.ops.shared.selecting_operator import Selecting


@register
class BroadcastTo(Selecting):
    """The input repeated along its dimensions of size 1, and along new leading dimensions."""

    name = "BROADCAST_TO"
    input_count = 2

    def arguments(self, node: Node) -> Iterator[Problem]:
        problems = [*check_numbers(node, 1, "shape")]
        if problems:
            yield from problems
            return
        shape, wanted = node.input(0).shape, numbers(node, 1)
        pairs = zip(reversed(shape), reversed(wanted), strict=False)
        if len(wanted) < len(shape) or any(d not in (1, n) or n < 1 for d, n in pairs):
            yield Problem(f"{list(shape)} broadcast to {wanted}", "dimensions that are equal or 1")

    def lengths(self, node: Node) -> Sequence[int]:
        return numbers(node, 1)

    def indices(self, node: Node) -> Sequence[np.ndarray]:
        shape, wanted = node.input(0).shape, numbers(node, 1)
        aligned = (1,) * (len(wanted) - len(shape)) + tuple(shape)
        return [np.arange(n) % d for d, n in zip(aligned, wanted, strict=True)]
