"""NEG."""

from __future__ import annotations

import numpy as np
from tvm import tirx

from tvmtiny.ops.shared.expressions import Expression, difference, dtype_of, int32
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Oracle, register
from tvmtiny.ops.shared.unary_operator import Unary


@register
class Neg(Unary):
    """The negated number.

    Matches LiteRT's ``reference_ops::Negate``, which negates quantized values directly, whatever
    their scale and zero point; the lowest value stays unchanged. TFLM has float32 only.
    """

    name = "NEG"
    dtypes = ("int8", "int16", "int32", "int64", "float32")
    needs_scale = False
    exactness = "exact"

    def value(self, node: Node, x: Expression) -> Expression:
        if node.output.dtype == "float32":
            return tirx.const(-1, "float32") * x
        wide = x if node.output.dtype == "int64" else int32(x)
        return difference(tirx.const(0, dtype_of(wide)), wide).astype(node.output.dtype)

    def numbers(self, node: Node, x: np.ndarray, oracle: Oracle) -> np.ndarray:
        return np.negative(x)
