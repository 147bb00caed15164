"""ELU."""

from __future__ import annotations

import numpy as np
from tvm import tirx

from tvmtiny.ops.shared.expressions import Expression, call
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import register
from tvmtiny.ops.shared.unary_operator import TableUnary, in_float64


@register
class Elu(TableUnary):
    """``exp(x) - 1`` for negative x, and x for others.

    int8 is a table filled as in LiteRT, in float32. TFLM computes ``exp(x) - 1`` in place of
    ``expm1(x)``; no table is known to differ. float32 uses this package's own functions.
    """

    name = "ELU"
    exactness = "int8 bit-exact (table); float32 within 2 units in the last place"

    def value(self, node: Node, x: Expression) -> Expression:
        below = x < tirx.const(0, "float32")
        return tirx.if_then_else(below, call("tvmtiny_expm1", x), x)

    def function(self, node: Node, x: np.ndarray) -> np.ndarray:
        return np.where(x < 0, in_float64(np.expm1, x), x)
