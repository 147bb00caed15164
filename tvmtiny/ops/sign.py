"""SIGN."""

from __future__ import annotations

import numpy as np
from tvm import tirx

from tvmtiny.ops.shared.expressions import Expression, constant
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Oracle, register
from tvmtiny.ops.shared.unary_operator import Unary


@register
class Sign(Unary):
    """1 for positive numbers, -1 for negative ones, and 0 for all others, including NaN."""

    name = "SIGN"
    dtypes = ("float32", "int32")
    exactness = "exact"

    def value(self, node: Node, x: Expression) -> Expression:
        zero, one, minus = (constant(number, node.output.dtype) for number in (0, 1, -1))
        return tirx.Select(x > zero, one, tirx.Select(x < zero, minus, zero))

    def numbers(self, node: Node, x: np.ndarray, oracle: Oracle) -> np.ndarray:
        return np.asarray((x > 0).astype(np.int8) - (x < 0).astype(np.int8))
