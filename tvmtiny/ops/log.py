"""LOG."""

from __future__ import annotations

import numpy as np

from tvmtiny.ops.shared.expressions import Expression, call
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import register
from tvmtiny.ops.shared.quantization import INTEGER_RANGES
from tvmtiny.ops.shared.unary_operator import TableUnary, in_float64


@register
class Log(TableUnary):
    """Natural logarithm.

    int8 and int16 are tables filled as in LiteRT, in float32, with the lowest output for inputs
    that are not positive. float32 uses this package's own logarithm, which is within 1 unit in the
    last place. TFLM has float32 only.
    """

    name = "LOG"
    dtypes = ("int8", "int16", "float32")
    exactness = "int8 and int16 bit-exact (tables); float32 within 1 unit in the last place"

    def value(self, node: Node, x: Expression) -> Expression:
        return call("tvmtiny_log", x)

    def function(self, node: Node, x: np.ndarray) -> np.ndarray:
        logarithm = in_float64(np.log, x)
        out = node.output
        if out.dtype not in INTEGER_RANGES:
            return logarithm
        least = np.float32(INTEGER_RANGES[out.dtype][0] - out.zero_point) * np.float32(out.scale)
        return np.where(x <= 0, least, logarithm)
