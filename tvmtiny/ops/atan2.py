"""ATAN2."""

from __future__ import annotations

import numpy as np

from tvmtiny.ops.shared.binary_operator import Binary
from tvmtiny.ops.shared.expressions import Expression, call
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import register


@register
class Atan2(Binary):
    """Angle of the point ``(second operand, first operand)``; within 2 ulp."""

    name = "ATAN2"
    dtypes = ("float32",)
    exactness = "within 2 units in the last place"

    def value(self, node: Node, x: Expression, y: Expression) -> Expression:
        return call("tvmtiny_atan2", x, y)

    def numbers(self, node: Node, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.arctan2(x.astype(np.float64), y.astype(np.float64))
