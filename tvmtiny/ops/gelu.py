"""GELU."""

from __future__ import annotations

import math

import numpy as np

from tvmtiny.ops.shared.expressions import Expression, call
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import register
from tvmtiny.ops.shared.unary_operator import TableUnary, in_float64

_SQRT_HALF = np.float32(0.5**0.5)
_SQRT_2_PI = np.float32(math.sqrt(2 / math.pi))
_erfc = np.frompyfunc(math.erfc, 1, 1)


@register
class Gelu(TableUnary):
    """``x * (1 + erf(x / sqrt(2))) / 2``, or an approximation by tanh if the options request it.

    int8 and int16 are tables filled as in LiteRT, in float32. float32 uses this package's own
    functions: an error function within 5e-7, and a tanh within 2 units in the last place. TFLM does
    not have this operator.
    """

    name = "GELU"
    dtypes = ("int8", "int16", "float32")
    exactness = "int8 and int16 bit-exact (tables); float32 within 1e-6 of the input"

    def value(self, node: Node, x: Expression) -> Expression:
        return call("tvmtiny_gelu_tanh" if _approximate(node) else "tvmtiny_gelu", x)

    def function(self, node: Node, x: np.ndarray) -> np.ndarray:
        half = np.float32(0.5) * x
        if not _approximate(node):
            scaled = (x * -_SQRT_HALF).astype(np.float64)
            return half * np.asarray(_erfc(scaled), np.float64).astype(np.float32)
        inner = x + np.float32(0.044715) * x * x * x
        return half * (np.float32(1) + in_float64(np.tanh, _SQRT_2_PI * inner))


def _approximate(node: Node) -> bool:
    return bool(node.options.get("approximate", False))
