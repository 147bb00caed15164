"""ADD."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from tvm import te, tirx

from tvmtiny.ops.elementwise import at, check_binary
from tvmtiny.ops.expressions import (
    Expression,
    elementwise,
    float_output,
    int32,
    quantized_output,
    requantize,
)
from tvmtiny.ops.node import Node
from tvmtiny.ops.operator import Compute, Operator, Oracle, Problem, register
from tvmtiny.ops.quantization import activation_range, clamp_float, quantize_multiplier
from tvmtiny.ops.quantization import requantize as requantize_reference

#: Fractional bits that the operands are given before they are scaled.
_LEFT_SHIFT = 20


@register
class Add(Operator):
    """Sum of two tensors that broadcast.

    int8 matches LiteRT's and TFLM's ``reference_integer_ops::Add`` bit by bit: both operands are
    brought to a common scale with 20 more bits, then the sum is requantized, all with two
    roundings.
    """

    name = "ADD"
    exactness = "int8 bit-exact (two roundings, both oracles); float32 exact"

    def check(self, node: Node) -> Iterator[Problem]:
        problems = [*check_binary(node)]
        yield from problems
        if problems or node.output.dtype != "int8":
            return
        real = _real_multipliers(node)
        if real[2] >= 1 or any(quantize_multiplier(r)[1] > 0 for r in real):
            yield Problem(
                f"an output scale of {node.output.scale:.3g} for input scales of "
                f"{node.input(0).scale:.3g} and {node.input(1).scale:.3g}",
                f"an output scale above the larger input scale / 2^{_LEFT_SHIFT - 1}",
            )

    def compute(self, node: Node, oracle: Oracle) -> Compute:
        def floating(x: te.Tensor, y: te.Tensor) -> te.Tensor:
            return elementwise(
                node.output.shape, lambda *i: float_output(at(x, i) + at(y, i), node)
            )

        def integer(x: te.Tensor, y: te.Tensor) -> te.Tensor:
            left, right, result = (
                _Scaling(*quantize_multiplier(r)) for r in _real_multipliers(node)
            )
            zeros = node.input(0).zero_point, node.input(1).zero_point

            def value(*i: tirx.Var) -> Expression:
                total = left.widened(int32(at(x, i)) - int32(zeros[0])) + right.widened(
                    int32(at(y, i)) - int32(zeros[1])
                )
                scaled = requantize(total, int32(result.multiplier), int32(result.shift))
                return quantized_output(scaled, node)

            return elementwise(node.output.shape, value)

        quantized = node.output.dtype == "int8"
        return Compute((node.input(0), node.input(1)), integer if quantized else floating)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        if node.output.dtype != "int8":
            return [clamp_float(inputs[0] + inputs[1], node)]
        *scalings, result = (quantize_multiplier(r) for r in _real_multipliers(node))
        total = np.zeros((), np.int64)
        for position, (multiplier, shift) in enumerate(scalings):
            wide = inputs[position].astype(np.int64) - node.input(position).zero_point
            total = total + requantize_reference(wide << _LEFT_SHIFT, multiplier, shift)
        scaled = requantize_reference(total, *result) + node.output.zero_point
        return [np.clip(scaled, *activation_range(node)).astype(np.int8)]


@dataclass(frozen=True)
class _Scaling:
    multiplier: int
    shift: int

    def widened(self, value: Expression) -> Expression:
        """`value` shifted left by `_LEFT_SHIFT` and scaled."""
        if self.multiplier == 1 << 30 and 1 - _LEFT_SHIFT <= self.shift <= 0:
            # A power of two, which at least one operand has: exact, so nothing is rounded.
            return value * int32(1 << (_LEFT_SHIFT - 1 + self.shift))
        shifted = value * int32(1 << _LEFT_SHIFT)
        return requantize(shifted, int32(self.multiplier), int32(self.shift))


def _real_multipliers(node: Node) -> tuple[float, float, float]:
    """Scale of either operand relative to twice the larger one, and of the sum to the output."""
    scales = node.input(0).scale, node.input(1).scale
    common = 2 * max(scales)
    return (
        scales[0] / common,
        scales[1] / common,
        common / ((1 << _LEFT_SHIFT) * node.output.scale),
    )
