"""MUL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from tvm import te, tirx

from tvmtiny.ops.shared.checks import check_binary
from tvmtiny.ops.shared.expressions import (
    Expression,
    at,
    elementwise,
    float_output,
    int32,
    product,
    quantized_output,
    requantize,
)
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Compute, Operator, Oracle, Problem, register
from tvmtiny.ops.shared.quantization import (
    activation_range,
    centred,
    clamp_float,
    quantize_multiplier,
)
from tvmtiny.ops.shared.quantization import requantize as requantize_reference

_QUANTIZED = ("int8", "int16")


@register
class Mul(Operator):
    """Product of two tensors that broadcast.

    int8 and int16 match LiteRT's and TFLM's ``reference_integer_ops::Mul`` bit for bit. Both round
    twice; their multipliers differ, because LiteRT multiplies the scales in float32 and TFLM in
    float64. int32 and int64 wrap around.
    """

    name = "MUL"
    dtypes = ("int8", "int16", "int32", "int64", "float32")
    exactness = "integers bit-exact (two roundings, both oracles); float32 exact"
    input_count = 2

    def check_node(self, node: Node) -> Iterator[Problem]:
        problems = [*check_binary(node)]
        yield from problems
        if problems or node.output.dtype not in _QUANTIZED:
            return
        # Products of 8-bit numbers have 16 bits, and those of 16-bit numbers 31.
        largest = 15 if node.output.dtype == "int8" else 0
        if any(product_multiplier(node, oracle)[1] > largest for oracle in Oracle):
            yield Problem(
                f"an output scale of {node.output.scale:.3g} for input scales of "
                f"{node.input(0).scale:.3g} and {node.input(1).scale:.3g}",
                f"an output scale above the product of the input scales / 2^{largest}",
            )

    def compute(self, node: Node, oracle: Oracle) -> Compute:
        def plain(x: te.Tensor, y: te.Tensor) -> te.Tensor:
            return elementwise(
                node.output.shape, lambda *i: float_output(product(at(x, i), at(y, i)), node)
            )

        def integer(x: te.Tensor, y: te.Tensor) -> te.Tensor:
            multiplier, shift = product_multiplier(node, oracle)
            zeros = node.input(0).zero_point, node.input(1).zero_point

            def value(*i: tirx.Var) -> Expression:
                both = (int32(at(x, i)) - int32(zeros[0])) * (int32(at(y, i)) - int32(zeros[1]))
                return quantized_output(requantize(both, int32(multiplier), int32(shift)), node)

            return elementwise(node.output.shape, value)

        quantized = node.output.dtype in _QUANTIZED
        return Compute((node.input(0), node.input(1)), integer if quantized else plain)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        if node.output.dtype not in _QUANTIZED:
            with np.errstate(over="ignore", invalid="ignore"):
                return [clamp_float(np.asarray(inputs[0] * inputs[1]), node)]
        left, right = (
            centred(values, node.input(position)) for position, values in enumerate(inputs)
        )
        scaled = requantize_reference(left * right, *product_multiplier(node, oracle))
        total = scaled + node.output.zero_point
        return [np.clip(total, *activation_range(node)).astype(node.output.dtype)]


def product_multiplier(node: Node, oracle: Oracle) -> tuple[int, int]:
    """Return multiplier and shift for products of operands without their zero points."""
    wide = np.float32 if oracle is Oracle.LITERT else np.float64
    left, right, out = (
        wide(tensor.scale) for tensor in (node.input(0), node.input(1), node.output)
    )
    return quantize_multiplier(float(left * right / out))
