"""MAXIMUM and MINIMUM."""

from __future__ import annotations

import numpy as np
from tvm import tirx

from tvmtiny.ops.shared.binary_operator import Binary
from tvmtiny.ops.shared.expressions import Expression
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import register

_DTYPES = ("int8", "uint8", "int16", "int32", "int64", "float32")


@register
class Maximum(Binary):
    """The larger of two numbers.

    LiteRT and TFLM compare quantized values directly, whatever their scales.
    """

    name = "MAXIMUM"
    dtypes = _DTYPES
    needs_scale = False
    exactness = "exact"

    def value(self, node: Node, x: Expression, y: Expression) -> Expression:
        return tirx.max(x, y)

    def numbers(self, node: Node, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.where(x > y, x, y)


@register
class Minimum(Binary):
    """The smaller of two numbers.

    LiteRT and TFLM compare quantized values directly, whatever their scales.
    """

    name = "MINIMUM"
    dtypes = _DTYPES
    needs_scale = False
    exactness = "exact"

    def value(self, node: Node, x: Expression, y: Expression) -> Expression:
        return tirx.min(x, y)

    def numbers(self, node: Node, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.where(x < y, x, y)
