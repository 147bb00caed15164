"""ARG_MAX."""

from __future__ import annotations

import numpy as np

from tvmtiny.ops.shared.expressions import Expression, lowest
from tvmtiny.ops.shared.extremum_index_operator import ExtremumIndex
from tvmtiny.ops.shared.operator import register


@register
class ArgMax(ExtremumIndex):
    """The index of the largest element along one dimension; the first one among equals."""

    name = "ARG_MAX"
    numpy_index = np.argmax

    def worst(self, dtype: str) -> Expression:
        return lowest(dtype)

    def better(self, element: Expression, current: Expression) -> Expression:
        return element > current
