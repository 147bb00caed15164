"""DIV."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tvmtiny.ops.shared.binary_operator import Binary
from tvmtiny.ops.shared.division import truncated_quotient
from tvmtiny.ops.shared.expressions import (
    Expression,
    call,
    float_output,
    int32,
    quantized_output,
)
from tvmtiny.ops.shared.fixed_point_q31 import multiply_q31, reciprocal_q31, rounding_shift
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Problem, register
from tvmtiny.ops.shared.quantization import (
    FUSED_ACTIVATIONS,
    activation_range,
    centred,
    clamp_float,
    quantize_multiplier,
)

#: Quantized quotient for a divisor of zero; it exceeds every output.
_ENDLESS = 1 << 30
#: Largest left shift of dividends with which no product has to be shifted to the left.
_LARGEST_SHIFT = {"int8": 22, "int16": 14}


@register
class Div(Binary):
    """Quotient of two tensors that broadcast.

    int8 and int16 match LiteRT's ``reference_ops::Div`` bit for bit: a product with a 31-bit
    reciprocal, requantized with two roundings. Quotients below 2^-31 of an output step, which
    LiteRT shifts by more bits than C defines, are zero. int32 rounds towards zero.

    LiteRT fails for an integer divisor of zero, which generated code cannot do. Quantized quotients
    then take the end of their range that has the dividend's sign; other quotients are zero.
    """

    name = "DIV"
    dtypes = ("int8", "int16", "int32", "float32")
    exactness = (
        "bit-exact (int8 and int16: reciprocal of 31 bits, two roundings); divisors of zero give "
        "the end of the range, or 0 for int32"
    )

    def check_more(self, node: Node) -> Iterator[Problem]:
        if node.activation not in FUSED_ACTIVATIONS:
            yield Problem(f"fused activation {node.activation}", ", ".join(FUSED_ACTIVATIONS))
        elif node.output.quantized and _multiplier(node)[1] > _LARGEST_SHIFT[node.output.dtype]:
            most = _LARGEST_SHIFT[node.output.dtype]
            yield Problem(
                f"an output scale of {node.output.scale:.3g} for input scales of "
                f"{node.input(0).scale:.3g} and {node.input(1).scale:.3g}",
                f"an output scale above the quotient of the input scales / 2^{most}",
            )

    def value(self, node: Node, x: Expression, y: Expression) -> Expression:
        if node.output.dtype == "float32":
            return float_output(x / y, node)
        if node.output.dtype == "int32":
            return float_output(call("tvmtiny_divide_int32", x, y, dtype="int32"), node)
        dividend, divisor = (
            int32(value) - int32(node.input(position).zero_point)
            for position, value in enumerate((x, y))
        )
        numbers = (int32(number) for number in _multiplier(node))
        quotient = call("tvmtiny_divide_quantized", dividend, divisor, *numbers, dtype="int32")
        return quantized_output(quotient, node)

    def numbers(self, node: Node, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        if node.output.dtype == "float32":
            with np.errstate(all="ignore"):
                return clamp_float(np.asarray(x / y), node)
        if node.output.dtype == "int32":
            return clamp_float(truncated_quotient(x, y), node)
        dividend, divisor = np.broadcast_arrays(
            centred(x, node.input(0)), centred(y, node.input(1))
        )
        quotient = _quotient(dividend, divisor, *_multiplier(node))
        return np.clip(quotient + node.output.zero_point, *activation_range(node))


def _multiplier(node: Node) -> tuple[int, int]:
    # LiteRT computes the multiplier in float32.
    left, right, out = (
        np.float32(tensor.scale) for tensor in (node.input(0), node.input(1), node.output)
    )
    return quantize_multiplier(float(left / (right * out)))


def _quotient(dividend: np.ndarray, divisor: np.ndarray, multiplier: int, shift: int) -> np.ndarray:
    """Compute ``dividend / divisor * multiplier * 2^(shift - 31)`` as the runtime does."""
    x = np.where(divisor < 0, -dividend, dividend).astype(np.int64)
    y = np.maximum(np.abs(divisor), 1).astype(np.int64)
    zeros = 32 - _bits(y)
    free = 31 - _bits(np.where(x < 0, ~x, x))
    product = multiply_q31(
        multiply_q31(x << free, reciprocal_q31((y << zeros) - (1 << 31))), multiplier
    )
    right = 31 - zeros + free - shift
    scaled = np.where(right > 31, 0, rounding_shift(product, np.clip(right, 0, 31)))
    return np.where(divisor == 0, np.sign(dividend) * _ENDLESS, scaled)


def _bits(values: np.ndarray) -> np.ndarray:
    """Return the bit lengths of numbers from 0 to 2^32."""
    return np.frexp(values.astype(np.float64))[1].astype(np.int64)
