"""PAD."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tvmtiny.ops.shared.checks import check_one_dtype
from tvmtiny.ops.shared.movement import Alias, Movement
from tvmtiny.ops.shared.moving_operator import Moving
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Oracle, Problem, register
from tvmtiny.ops.shared.padding import check_paddings, pad_value, pad_widths, padded


@register
class Pad(Moving):
    """A border of zeros; in an int8 tensor, of the output's zero point.

    Matches LiteRT's and TFLM's ``reference_ops::Pad``, which copy bytes.
    """

    name = "PAD"
    input_count = 2

    def check_node(self, node: Node) -> Iterator[Problem]:
        yield from check_one_dtype(node.input(0), node.output)
        zero = pad_value(node)
        if node.output.dtype == "int8" and not -128 <= zero <= 127:
            yield Problem(f"zero point {zero}", "a zero point from -128 to 127")
        yield from check_paddings(node)

    def compute(self, node: Node, oracle: Oracle) -> Movement | Alias:
        return padded(node, pad_value(node))

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        return [np.pad(inputs[0], pad_widths(node), constant_values=pad_value(node))]
