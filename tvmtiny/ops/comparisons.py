"""EQUAL, NOT_EQUAL, LESS, LESS_EQUAL, GREATER and GREATER_EQUAL."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
from tvm import tirx

from tvmtiny.ops.shared.binary_operator import Binary
from tvmtiny.ops.shared.checks import check_scale
from tvmtiny.ops.shared.expressions import Expression, int32, requantize
from tvmtiny.ops.shared.node import Node, Tensor
from tvmtiny.ops.shared.operator import Problem, register
from tvmtiny.ops.shared.quantization import INTEGER_RANGES, centred, quantize_multiplier
from tvmtiny.ops.shared.quantization import requantize as requantize_reference

#: Bits by which quantized operands are shifted left before they are scaled.
_LEFT_SHIFT = 8


class Comparison(Binary):
    """A relation of two tensors that broadcast.

    int8 and uint8 match ``ComparisonWithScaling`` of LiteRT and TFLM bit for bit: both operands are
    scaled to units of 1/256 with two roundings, and compared. Operands with the same scale are
    compared directly, unless scaling makes different values equal. Other integers and floats are
    compared directly as well. For scales above 1 that function shifts by a negative number, which
    leaves only the sign; a scale of 1 ends LiteRT's process.

    Attributes
    ----------
    quantized
        The dtypes that are compared as real numbers.
    """

    dtypes: ClassVar[tuple[str, ...]] = ("int8", "uint8", "int16", "int32", "int64", "float32")
    exactness = "exact (int8 and uint8 as LiteRT scales them, both oracles)"
    result = "bool"
    needs_scale = False

    quantized: ClassVar[tuple[str, ...]] = ("int8", "uint8")

    @staticmethod
    @abstractmethod
    def relation(x: Expression, y: Expression) -> Expression:
        """Return the relation of two expressions or arrays."""

    def check_more(self, node: Node) -> Iterator[Problem]:
        x, y = node.input(0), node.input(1)
        if not self._scaled(node):
            return
        problems = [*check_scale(x), *check_scale(y)]
        yield from problems
        largest = 2**15 if x.dtype != "int16" else 2**7
        if not problems and (1 in (x.scale, y.scale) or max(x.scale, y.scale) > largest):
            yield Problem(
                f"scales of {x.scale:.3g} and {y.scale:.3g}, for which LiteRT fails",
                f"scales below 1, or above 1 and up to {largest}",
            )

    def value(self, node: Node, x: Expression, y: Expression) -> Expression:
        if not self.compares_integers(node):
            x, y = (
                _scaled(
                    (int32(value) - int32(tensor.zero_point)) * int32(1 << _LEFT_SHIFT),
                    *quantize_multiplier(tensor.scale),
                )
                for value, tensor in ((x, node.input(0)), (y, node.input(1)))
            )
        return self.relation(x, y)

    def numbers(self, node: Node, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        if self._scaled(node):
            x, y = _in_256ths(node.input(0), x), _in_256ths(node.input(1), y)
        return self.relation(x, y)

    def compares_integers(self, node: Node) -> bool:
        """Return whether the integers have the same relation as the real numbers."""
        return not self._scaled(node) or _ordered(node)

    def _scaled(self, node: Node) -> bool:
        return node.input(0).dtype in self.quantized


def _scaled(steps: Expression, multiplier: int, shift: int) -> Expression:
    """Express `_in_256ths` for int32 values that are already shifted left."""
    if shift <= 0:
        return requantize(steps, int32(multiplier), int32(shift))
    high = requantize(steps, int32(multiplier), int32(0))
    return tirx.Select(high < int32(0), int32(-1), int32(1))


def _in_256ths(tensor: Tensor, values: np.ndarray) -> np.ndarray:
    """Return the integers that are compared.

    For positive shifts, ``RoundingDivideByPOT`` shifts by a negative number, which is undefined in
    C. Whether processors take it modulo 32 or shift everything out, only the sign is left; the mask
    has no bits then, which rounds 0 up.
    """
    steps = centred(values, tensor) << _LEFT_SHIFT
    multiplier, shift = quantize_multiplier(tensor.scale)
    if shift <= 0:
        return requantize_reference(steps, multiplier, shift)
    high = requantize_reference(steps, multiplier, 0)
    return np.where(high < 0, -1, 1)


def _ordered(node: Node) -> bool:
    """Return whether the operands' values have the order of the real numbers they represent."""
    x, y = node.input(0), node.input(1)
    if (x.scale, x.zero_point) != (y.scale, y.zero_point):
        return False
    low, high = INTEGER_RANGES[x.dtype]
    return bool(np.all(np.diff(_in_256ths(x, np.arange(low, high + 1))) > 0))


class Equality(Comparison):
    """A relation that booleans have as well, and for which LiteRT scales int16 with scales."""

    dtypes = ("bool", *Comparison.dtypes)

    def _scaled(self, node: Node) -> bool:
        x = node.input(0)
        return super()._scaled(node) or (x.dtype == "int16" and x.quantization is not None)


@register
class Equal(Equality):
    """Whether two numbers are equal."""

    name = "EQUAL"

    @staticmethod
    def relation(x: Expression, y: Expression) -> Expression:
        return x == y


@register
class NotEqual(Equality):
    """Whether two numbers differ."""

    name = "NOT_EQUAL"

    @staticmethod
    def relation(x: Expression, y: Expression) -> Expression:
        return x != y


@register
class Less(Comparison):
    """Whether the first number is less."""

    name = "LESS"

    @staticmethod
    def relation(x: Expression, y: Expression) -> Expression:
        return x < y


@register
class LessEqual(Comparison):
    """Whether the first number is at most the second."""

    name = "LESS_EQUAL"

    @staticmethod
    def relation(x: Expression, y: Expression) -> Expression:
        return x <= y


@register
class Greater(Comparison):
    """Whether the first number is greater."""

    name = "GREATER"

    @staticmethod
    def relation(x: Expression, y: Expression) -> Expression:
        return x > y


@register
class GreaterEqual(Comparison):
    """Whether the first number is at least the second."""

    name = "GREATER_EQUAL"

    @staticmethod
    def relation(x: Expression, y: Expression) -> Expression:
        return x >= y
