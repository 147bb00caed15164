"""REDUCE_ALL."""

from __future__ import annotations

import numpy as np
from tvm import tirx

from tvmtiny.ops.shared.expressions import Expression
from tvmtiny.ops.shared.operator import register
from tvmtiny.ops.shared.reduction_operator import Reduction


@register
class ReduceAll(Reduction):
    """Whether all elements along some dimensions are true."""

    name = "REDUCE_ALL"
    dtypes = ("bool",)
    exactness = "bit-exact"
    numpy_reduction = np.all

    def combine(self, current: Expression, element: Expression) -> Expression:
        return tirx.all(current, element)

    def identity(self, dtype: str) -> Expression:
        return tirx.const(True, dtype)
