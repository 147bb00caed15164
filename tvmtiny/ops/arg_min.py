"""ARG_MIN."""

from __future__ import annotations

import numpy as np

from tvmtiny.ops.shared.expressions import Expression, highest
from tvmtiny.ops.shared.extremum_index_operator import ExtremumIndex
from tvmtiny.ops.shared.operator import register


@register
class ArgMin(ExtremumIndex):
    """The index of the smallest element along one dimension; the first one among equals."""

    name = "ARG_MIN"
    numpy_index = np.argmin

    def worst(self, dtype: str) -> Expression:
        return highest(dtype)

    def better(self, element: Expression, current: Expression) -> Expression:
        return element < current
