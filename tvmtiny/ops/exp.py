"""EXP."""

from __future__ import annotations

import numpy as np

from tvmtiny.ops.shared.expressions import Expression, call
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import register
from tvmtiny.ops.shared.unary_operator import TableUnary, in_float64


@register
class Exp(TableUnary):
    """Exponential.

    int8 and int16 are tables filled as in LiteRT, in float32. Entries could only differ if the host
    that filled LiteRT's table has an ``expf`` that rounds differently close to the middle between
    two outputs. float32 uses this package's own exponential, which is within 1 unit in the last
    place. TFLM has float32 only.
    """

    name = "EXP"
    dtypes = ("int8", "int16", "float32")
    exactness = "int8 and int16 bit-exact (tables); float32 within 1 unit in the last place"

    def value(self, node: Node, x: Expression) -> Expression:
        return call("tvmtiny_exp", x)

    def function(self, node: Node, x: np.ndarray) -> np.ndarray:
        return in_float64(np.exp, x)
