"""RANK."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tvmtiny.ops.shared.checks import check_output
from tvmtiny.ops.shared.constant_operator import ConstantOutput
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Oracle, Problem, register


@register
class Rank(ConstantOutput):
    """The number of dimensions of the input."""

    name = "RANK"
    of_shape = True
    input_count = 1

    def check_node(self, node: Node) -> Iterator[Problem]:
        if node.output.dtype != "int32":
            yield Problem(f"{node.output.dtype} output", "int32")
        yield from check_output(node.output, [])

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        return [np.array(len(node.input(0).shape), np.int32)]
