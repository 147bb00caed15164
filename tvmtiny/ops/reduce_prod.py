"""REDUCE_PROD."""

from __future__ import annotations

import numpy as np
from tvm import tirx

from tvmtiny.ops.shared.expressions import Expression, wrapped
from tvmtiny.ops.shared.operator import register
from tvmtiny.ops.shared.reduction_operator import Reduction


@register
class ReduceProd(Reduction):
    """Product over any dimensions; integers wrap around."""

    name = "REDUCE_PROD"
    dtypes = ("int32", "int64", "float32")
    exactness = "integers bit-exact; float32 within rounding of products"
    numpy_reduction = np.prod

    def combine(self, current: Expression, element: Expression) -> Expression:
        return wrapped(lambda a, b: a * b, current, element)

    def identity(self, dtype: str) -> Expression:
        return tirx.const(1, dtype)
