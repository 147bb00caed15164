"""FLOOR_DIV and FLOOR_MOD."""

from __future__ import annotations

import numpy as np

from tvmtiny.ops.shared.binary_operator import Binary
from tvmtiny.ops.shared.division import floored_remainder, truncated_quotient
from tvmtiny.ops.shared.expressions import Expression, call, int32
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import register


@register
class FloorDiv(Binary):
    """Quotient of two tensors that broadcast, rounded down.

    float32 is divided and rounded in double precision, as in LiteRT. int8 and int16 are divided as
    plain integers, whatever their scales. For a divisor of zero, for which LiteRT fails, an integer
    quotient is 0, and a float quotient infinite or NaN.
    """

    name = "FLOOR_DIV"
    dtypes = ("int8", "int16", "int32", "float32")
    needs_scale = False
    exactness = "exact; integers divided by zero give 0"

    def value(self, node: Node, x: Expression, y: Expression) -> Expression:
        return _called("tvmtiny_floor_div", node, x, y)

    def numbers(self, node: Node, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        if node.output.dtype == "float32":
            with np.errstate(all="ignore"):
                return np.asarray(np.floor(x.astype(np.float64) / y.astype(np.float64)))
        quotient = truncated_quotient(x, y).astype(np.int64)
        below = (floored_remainder(x, y) != 0) & ((x < 0) != (y < 0))
        return np.asarray(quotient - below)


@register
class FloorMod(Binary):
    """Remainder of a quotient that is rounded down; it has the sign of the divisor.

    float32 is exact, including LiteRT's correction of the C library's ``fmod``. The remainder of an
    integer divided by zero, for which LiteRT fails, is 0.
    """

    name = "FLOOR_MOD"
    dtypes = ("int8", "int16", "int32", "int64", "float32")
    needs_scale = False
    exactness = "exact; integers divided by zero give 0"

    def value(self, node: Node, x: Expression, y: Expression) -> Expression:
        return _called("tvmtiny_floor_mod", node, x, y)

    def numbers(self, node: Node, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        if node.output.dtype != "float32":
            return floored_remainder(x, y)
        with np.errstate(all="ignore"):
            rest = np.fmod(x, y)
            return np.asarray(np.where((rest != 0) & ((y < 0) != (rest < 0)), rest + y, rest))


def _called(function: str, node: Node, x: Expression, y: Expression) -> Expression:
    """Call a function of the runtime; narrow integers use the one for int32."""
    dtype = node.output.dtype
    if dtype not in ("int8", "int16"):
        return call(f"{function}_{dtype}", x, y, dtype=dtype)
    return call(f"{function}_int32", int32(x), int32(y), dtype="int32").astype(dtype)
