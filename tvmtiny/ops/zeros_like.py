"""ZEROS_LIKE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tvmtiny.ops.shared.checks import check_one_dtype, check_output
from tvmtiny.ops.shared.movement import Movement
from tvmtiny.ops.shared.moving_operator import Moving
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Oracle, Problem, Result, register


@register
class ZerosLike(Moving):
    """Zeros in the shape of the input."""

    name = "ZEROS_LIKE"
    dtypes = ("int8", "int32", "int64", "float32")
    only_tflm = ("int8",)
    exactness = "exact (int8 as TFLM, which alone has it)"
    of_shape = True
    input_count = 1

    def check_node(self, node: Node) -> Iterator[Problem]:
        yield from check_one_dtype(node.input(0), node.output)
        yield from check_output(node.output, node.input(0).shape)

    def compute(self, node: Node, oracle: Oracle) -> Result:
        return Movement((), node.output, (), 0)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        return [np.zeros(node.output.shape, node.output.dtype)]
