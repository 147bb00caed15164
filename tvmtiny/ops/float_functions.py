"""CEIL, COS, FLOOR, ROUND, SIN and SQUARE: functions that LiteRT only has for float32."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from tvmtiny.ops.shared.expressions import Expression, call
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Oracle, register
from tvmtiny.ops.shared.unary_operator import Unary, in_float64


class FloatFunction(Unary):
    """A function of the runtime, and its counterpart in numpy."""

    dtypes = ("float32",)
    exactness = "exact"

    runtime: ClassVar[str]
    ufunc: ClassVar[np.ufunc]

    def value(self, node: Node, x: Expression) -> Expression:
        return call(self.runtime, x)

    def numbers(self, node: Node, x: np.ndarray, oracle: Oracle) -> np.ndarray:
        return in_float64(self.ufunc, x)


@register
class Ceil(FloatFunction):
    """The smallest integer that is not less."""

    name = "CEIL"
    runtime = "tvmtiny_ceil"
    ufunc = np.ceil


@register
class Floor(FloatFunction):
    """The largest integer that is not greater."""

    name = "FLOOR"
    runtime = "tvmtiny_floor"
    ufunc = np.floor


@register
class Round(FloatFunction):
    """The nearest integer; halves round to even."""

    name = "ROUND"
    runtime = "tvmtiny_round"
    ufunc = np.rint


@register
class Cos(FloatFunction):
    """Cosine, by a polynomial after exact reduction of the angle; within 2.5 ulp."""

    name = "COS"
    exactness = "within 2.5 units in the last place"
    runtime = "tvmtiny_cos"
    ufunc = np.cos


@register
class Sin(FloatFunction):
    """Sine, by a polynomial after exact reduction of the angle; within 2.5 ulp."""

    name = "SIN"
    exactness = "within 2.5 units in the last place"
    runtime = "tvmtiny_sin"
    ufunc = np.sin


@register
class Square(Unary):
    """The product of a number with itself."""

    name = "SQUARE"
    dtypes = ("float32",)
    exactness = "exact"

    def value(self, node: Node, x: Expression) -> Expression:
        return x * x

    def numbers(self, node: Node, x: np.ndarray, oracle: Oracle) -> np.ndarray:
        return np.asarray(x * x)
