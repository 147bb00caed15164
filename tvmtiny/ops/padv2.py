"""PADV2."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tvmtiny.ops.shared.checks import check_one_dtype
from tvmtiny.ops.shared.constant_inputs import check_numbers
from tvmtiny.ops.shared.moving_operator import Moving
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Oracle, Problem, Result, register
from tvmtiny.ops.shared.padding import check_paddings, pad_widths, padded


@register
class PadV2(Moving):
    """A border of a given value."""

    name = "PADV2"
    dtypes = ("int8", "uint8", "int16", "int32", "int64", "float32", "bool")
    input_count = 3

    def check_node(self, node: Node) -> Iterator[Problem]:
        x, value = node.input(0), node.input(2)
        yield from check_one_dtype(x, value, node.output)
        yield from check_numbers(node, 2, "value", 1, (x.dtype,))
        yield from check_paddings(node)

    def compute(self, node: Node, oracle: Oracle) -> Result:
        return padded(node, _value(node))

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        return [np.pad(inputs[0], pad_widths(node), constant_values=inputs[2].item())]


def _value(node: Node) -> float | int:
    data = node.input(2).data
    assert data is not None
    return data.item()
