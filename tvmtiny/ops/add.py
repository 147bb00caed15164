"""ADD."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from tvm import te, tirx

from tvmtiny.ops.affine import LARGEST_SHIFT, Affine, Image, product_image, solve
from tvmtiny.ops.elementwise import at, check_binary
from tvmtiny.ops.expressions import (
    Expression,
    affine,
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
    roundings. Code uses one multiplication per operand, an addition and a shift where these are
    proven to give the same for all pairs of operands.
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

        operands = node.input(0), node.input(1)
        if node.output.dtype != "int8":
            return Compute(operands, floating)
        plane = exact_plane(node)
        return Compute(operands, integer if plane is None else _in_one_step(node, plane))

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        if node.output.dtype != "int8":
            return [clamp_float(inputs[0] + inputs[1], node)]
        return [_sum(_Quantized.of(node), inputs[0], inputs[1]).astype(np.int8)]


def exact_plane(
    node: Node,
    gain: int = 1,
    image: Image = product_image,
    bits: int = 0,
    largest_shift: int = LARGEST_SHIFT,
) -> Affine | None:
    """Integers whose plane over both int8 operands equals the reference for all 65,536 pairs.

    Parameters
    ----------
    gain
        What operands are multiplied by before anything else.
    image, bits
        How the core multiplies, and how many bits that drops: see `affine.solve`.
    largest_shift
        Of the result.
    """
    return _exact_plane(_Quantized.of(node), gain, image, bits, largest_shift)


def _in_one_step(node: Node, plane: Affine) -> Callable[..., te.Tensor]:
    def expression(x: te.Tensor, y: te.Tensor) -> te.Tensor:
        def value(*i: tirx.Var) -> Expression:
            return affine([int32(at(x, i)), int32(at(y, i))], plane, *activation_range(node))

        return elementwise(node.output.shape, value)

    return expression


@dataclass(frozen=True)
class _Quantized:
    """Everything that an int8 sum depends on."""

    multipliers: tuple[tuple[int, int], ...]
    zero_points: tuple[int, int, int]
    slopes: tuple[float, float]
    output_range: tuple[int, int]

    @classmethod
    def of(cls, node: Node) -> _Quantized:
        x, y, out = node.input(0), node.input(1), node.output
        return cls(
            tuple(quantize_multiplier(real) for real in _real_multipliers(node)),
            (x.zero_point, y.zero_point, out.zero_point),
            (x.scale / out.scale, y.scale / out.scale),
            activation_range(node),
        )


def _sum(layer: _Quantized, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    total = np.zeros((), np.int64)
    for position, values in enumerate((x, y)):
        wide = values.astype(np.int64) - layer.zero_points[position]
        multiplier, shift = layer.multipliers[position]
        total = total + requantize_reference(wide << _LEFT_SHIFT, multiplier, shift)
    scaled = requantize_reference(total, *layer.multipliers[2]) + layer.zero_points[2]
    return np.clip(scaled, *layer.output_range)


@lru_cache(maxsize=256)
def _exact_plane(
    layer: _Quantized, gain: int, image: Image, bits: int, largest_shift: int
) -> Affine | None:
    x, y = np.ogrid[-128:128, -128:128]
    slopes = [slope / gain for slope in layer.slopes]
    operands = [x * gain, y * gain]
    wanted, limits = _sum(layer, x, y), layer.output_range
    return solve(operands, wanted, slopes, limits, image, bits, largest_shift)


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
