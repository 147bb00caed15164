"""REDUCE_MAX."""

from __future__ import annotations

import numpy as np
from tvm import tirx

from tvmtiny.ops.shared.expressions import Expression, lowest
from tvmtiny.ops.shared.operator import register
from tvmtiny.ops.shared.reduction_operator import Reduction


@register
class ReduceMax(Reduction):
    """The largest element along some dimensions.

    The order of quantized values does not depend on their scale.
    """

    name = "REDUCE_MAX"
    dtypes = ("int8", "uint8", "int16", "int32", "int64", "float32")
    exactness = "bit-exact (float32 on finite values)"
    numpy_reduction = np.max

    def combine(self, current: Expression, element: Expression) -> Expression:
        return tirx.Select(current > element, current, element)

    def identity(self, dtype: str) -> Expression:
        return lowest(dtype)
