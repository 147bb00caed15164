"""REDUCE_ANY."""

from __future__ import annotations

import numpy as np
from tvm import tirx

from tvmtiny.ops.shared.expressions import Expression
from tvmtiny.ops.shared.operator import register
from tvmtiny.ops.shared.reduction_operator import Reduction


@register
class ReduceAny(Reduction):
    """Whether any element along some dimensions is true."""

    name = "REDUCE_ANY"
    dtypes = ("bool",)
    exactness = "bit-exact"
    numpy_reduction = np.any

    def combine(self, current: Expression, element: Expression) -> Expression:
        return tirx.any(current, element)

    def identity(self, dtype: str) -> Expression:
        return tirx.const(False, dtype)
