"""DENSIFY."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tvmtiny.ops.shared.checks import check_same_dtype, check_shape
from tvmtiny.ops.shared.movement import Alias
from tvmtiny.ops.shared.moving_operator import Moving
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Oracle, Problem, register


@register
class Densify(Moving):
    """A sparse constant in dense form.

    Constants are unpacked when the model is read, see `tvmtiny.frontend.sparse`.
    """

    name = "DENSIFY"
    dtypes = ("int8", "float16", "float32")
    exactness = "bit-exact (constants, unpacked at compile time)"
    input_count = 1

    def check_node(self, node: Node) -> Iterator[Problem]:
        if node.input(0).data is None:
            yield Problem("an input that is computed at run time", "a sparse constant")
        yield from check_same_dtype(node)
        yield from check_shape(node, node.input(0).shape)

    def compute(self, node: Node, oracle: Oracle) -> Alias:
        return Alias(node.input(0))

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        return [inputs[0]]
