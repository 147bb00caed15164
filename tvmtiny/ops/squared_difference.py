"""SQUARED_DIFFERENCE."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tvmtiny.ops.shared.binary_operator import Binary
from tvmtiny.ops.shared.expressions import (
    Expression,
    clamp,
    difference,
    int32,
    product,
    requantize,
)
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Problem, register
from tvmtiny.ops.shared.quantization import INTEGER_RANGES, centred, quantize_multiplier
from tvmtiny.ops.shared.quantization import requantize as requantize_reference

#: Bits by which the operands are shifted left before they are scaled.
LEFT_SHIFT = {"int8": 7, "int16": 0}


@register
class SquaredDifference(Binary):
    """The square of the difference of two tensors that broadcast.

    int8 matches ``SquaredDifference`` of LiteRT and TFLM bit for bit: both operands are scaled to a
    common scale with 7 more bits, and the square of the difference is requantized, all with two
    roundings. int16 matches TFLM, without additional bits. int32 wraps around.
    """

    name = "SQUARED_DIFFERENCE"
    dtypes = ("int8", "int16", "int32", "float32")
    only_tflm = ("int16",)
    exactness = (
        "integers bit-exact (two roundings, both oracles; int16 as TFLM, which alone has it); "
        "float32 exact"
    )

    def check_more(self, node: Node) -> Iterator[Problem]:
        if node.output.dtype in LEFT_SHIFT and difference_multipliers(node)[2][1] > 0:
            bits = 2 * LEFT_SHIFT[node.output.dtype]
            yield Problem(
                f"an output scale of {node.output.scale:.3g} for input scales of "
                f"{node.input(0).scale:.3g} and {node.input(1).scale:.3g}",
                f"an output scale above the square of twice the larger input scale / 2^{bits}",
            )

    def value(self, node: Node, x: Expression, y: Expression) -> Expression:
        if node.output.dtype not in LEFT_SHIFT:
            distance = difference(x, y)
            return product(distance, distance)
        left, right, (multiplier, shift) = difference_multipliers(node)
        dtype = node.output.dtype
        bits = LEFT_SHIFT[dtype]
        a, b = (
            requantize(
                (int32(value) - int32(tensor.zero_point)) * int32(1 << bits),
                int32(pair[0]),
                int32(pair[1]),
            )
            for value, tensor, pair in ((x, node.input(0), left), (y, node.input(1), right))
        )
        scaled = requantize((a - b) * (a - b), int32(multiplier), int32(shift))
        return clamp(scaled + int32(node.output.zero_point), *INTEGER_RANGES[dtype], dtype)

    def numbers(self, node: Node, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        if node.output.dtype not in LEFT_SHIFT:
            distance = x - y
            return np.asarray(distance * distance)
        left, right, result = difference_multipliers(node)
        a, b = (
            requantize_reference(centred(value, tensor) << LEFT_SHIFT[node.output.dtype], *pair)
            for value, tensor, pair in ((x, node.input(0), left), (y, node.input(1), right))
        )
        scaled = requantize_reference((a - b) ** 2, *result)
        return np.clip(scaled + node.output.zero_point, *INTEGER_RANGES[node.output.dtype])


def difference_multipliers(
    node: Node,
) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Return multipliers of both operands over twice the larger scale, and of the square."""
    x, y, out = node.input(0).scale, node.input(1).scale, node.output.scale
    common = 2 * max(x, y)
    return (
        quantize_multiplier(x / common),
        quantize_multiplier(y / common),
        quantize_multiplier(common * common / ((1 << 2 * LEFT_SHIFT[node.output.dtype]) * out)),
    )
