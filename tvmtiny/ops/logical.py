"""LOGICAL_AND, LOGICAL_OR and LOGICAL_NOT."""

from __future__ import annotations

import numpy as np
from tvm import tirx

from tvmtiny.ops.shared.binary_operator import Binary
from tvmtiny.ops.shared.expressions import Expression
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Oracle, register
from tvmtiny.ops.shared.unary_operator import Unary


@register
class LogicalAnd(Binary):
    """Whether both booleans are true."""

    name = "LOGICAL_AND"
    dtypes = ("bool",)
    exactness = "exact"

    def value(self, node: Node, x: Expression, y: Expression) -> Expression:
        return tirx.all(x, y)

    def numbers(self, node: Node, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.logical_and(x, y)


@register
class LogicalOr(Binary):
    """Whether at least one of two booleans is true."""

    name = "LOGICAL_OR"
    dtypes = ("bool",)
    exactness = "exact"

    def value(self, node: Node, x: Expression, y: Expression) -> Expression:
        return tirx.any(x, y)

    def numbers(self, node: Node, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.logical_or(x, y)


@register
class LogicalNot(Unary):
    """Whether a boolean is false."""

    name = "LOGICAL_NOT"
    dtypes = ("bool",)
    exactness = "exact"

    def value(self, node: Node, x: Expression) -> Expression:
        return tirx.Not(x)

    def numbers(self, node: Node, x: np.ndarray, oracle: Oracle) -> np.ndarray:
        return np.logical_not(x)
