"""ADD and SUB."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
from tvm import te, tirx

from tvmtiny.ops.shared.affine import (
    LARGEST_SHIFT,
    Affine,
    Image,
    best_slopes,
    product_image,
    solve,
)
from tvmtiny.ops.shared.checks import check_binary
from tvmtiny.ops.shared.expressions import (
    Expression,
    affine,
    at,
    clamp,
    difference,
    elementwise,
    float_output,
    int32,
    quantized_output,
    requantize,
    rounding_shift,
    total,
)
from tvmtiny.ops.shared.fixed_point_q31 import rounding_shift as rounding_shift_reference
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Compute, Operator, Oracle, Problem, register
from tvmtiny.ops.shared.quantization import (
    activation_range,
    clamp_float,
    power_of_two,
    quantize_multiplier,
)
from tvmtiny.ops.shared.quantization import requantize as requantize_reference

#: Bits by which operands are shifted left before they are scaled.
_LEFT_SHIFTS = {"int8": 20, "int16": 15}


@register
class Add(Operator):
    """Sum of two tensors that broadcast.

    int8 matches LiteRT's and TFLM's ``reference_integer_ops::Add`` bit for bit: both operands are
    scaled to a common scale with 20 more bits, then the sum is requantized, all with two roundings.
    The code uses one multiplication per operand, an addition and a shift if these are proven to
    give the same result for all pairs of operands. int16 is the same with 15 more bits, or, if the
    options request it and all scales are powers of two, one shift with rounding and a saturating
    addition. int32 and int64 wrap around.
    """

    name = "ADD"
    dtypes = ("int8", "int16", "int32", "int64", "float32")
    exactness = "integers bit-exact (two roundings, both oracles); float32 exact"

    #: Sign of the second operand.
    sign: ClassVar[int] = 1
    input_count = 2

    def check_node(self, node: Node) -> Iterator[Problem]:
        problems = [*check_binary(node)]
        yield from problems
        if problems or node.output.dtype not in _LEFT_SHIFTS:
            return
        if _power_of_two_scales(node):
            if max(_shifts(node)) > 0 or min(_shifts(node)) < -15 or 0 not in _shifts(node):
                yield Problem(
                    "int16 operands with power-of-two scales, the larger of which is not the "
                    "output's",
                    "the output with the larger input scale",
                )
            if node.input(0).shape != node.input(1).shape:
                yield Problem("int16 operands that broadcast", "operands of one shape")
            return
        real = _real_multipliers(node)
        if any(r >= 1 or quantize_multiplier(r)[1] > 0 for r in real):
            yield Problem(
                f"an output scale of {node.output.scale:.3g} for input scales of "
                f"{node.input(0).scale:.3g} and {node.input(1).scale:.3g}",
                f"an output scale above the larger input scale / 2^{_left_shift(node) - 1}",
            )

    def compute(self, node: Node, oracle: Oracle) -> Compute:
        def plain(x: te.Tensor, y: te.Tensor) -> te.Tensor:
            def value(*i: tirx.Var) -> Expression:
                combine = total if self.sign > 0 else difference
                return float_output(combine(at(x, i), at(y, i)), node)

            return elementwise(node.output.shape, value)

        def shifted(x: te.Tensor, y: te.Tensor) -> te.Tensor:
            def value(*i: tirx.Var) -> Expression:
                a, b = (
                    rounding_shift(int32(at(operand, i)), -shift)
                    for operand, shift in zip((x, y), _shifts(node), strict=True)
                )
                return clamp(
                    a + b if self.sign > 0 else a - b, *activation_range(node), node.output.dtype
                )

            return elementwise(node.output.shape, value)

        def integer(x: te.Tensor, y: te.Tensor) -> te.Tensor:
            left, right, result = (
                _Scaling(*quantize_multiplier(r), _left_shift(node))
                for r in _real_multipliers(node)
            )
            zeros = node.input(0).zero_point, node.input(1).zero_point

            def value(*i: tirx.Var) -> Expression:
                a = left.widened(int32(at(x, i)) - int32(zeros[0]))
                b = right.widened(int32(at(y, i)) - int32(zeros[1]))
                both = a + b if self.sign > 0 else a - b
                scaled = requantize(both, int32(result.multiplier), int32(result.shift))
                return quantized_output(scaled, node)

            return elementwise(node.output.shape, value)

        operands = node.input(0), node.input(1)
        if node.output.dtype not in _LEFT_SHIFTS:
            return Compute(operands, plain)
        if _power_of_two_scales(node):
            return Compute(operands, shifted)
        plane = exact_plane(node) if node.output.dtype == "int8" else None
        return Compute(operands, integer if plane is None else _in_one_step(node, plane))

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        if node.output.dtype not in _LEFT_SHIFTS:
            with np.errstate(over="ignore", invalid="ignore"):
                both = inputs[0] + inputs[1] if self.sign > 0 else inputs[0] - inputs[1]
            return [clamp_float(np.asarray(both), node)]
        if _power_of_two_scales(node):
            left, right = (
                rounding_shift_reference(values, -shift)
                for values, shift in zip(inputs, _shifts(node), strict=True)
            )
            result = np.clip(left + self.sign * right, *activation_range(node))
        else:
            result = _sum(_Quantized.of(node), inputs[0], inputs[1])
        return [result.astype(node.output.dtype)]


@register
class Sub(Add):
    """Difference of two tensors that broadcast.

    Matches LiteRT's and TFLM's ``reference_ops::Sub``, which is ``Add`` with the other sign. If the
    output's scale is too small for ``Add``, ``Sub`` shifts by a negative number.
    """

    name = "SUB"
    sign = -1


@dataclass(frozen=True)
class SumSteps:
    """The steps by which the reference computes a quantized sum or difference.

    Attributes
    ----------
    left_shift
        Bits by which operands are shifted left after their zero points are subtracted.
    multipliers
        Multiplier and shift of both operands, and of the result.
    """

    left_shift: int
    multipliers: tuple[tuple[int, int], ...]


def sum_steps(node: Node) -> SumSteps | None:
    """Return the reference's steps; None if it only shifts, because scales are powers of two."""
    if _power_of_two_scales(node):
        return None
    multipliers = tuple(quantize_multiplier(real) for real in _real_multipliers(node))
    return SumSteps(_left_shift(node), multipliers)


def exact_plane(
    node: Node,
    gain: int = 1,
    image: Image = product_image,
    bits: int = 0,
    largest_shift: int = LARGEST_SHIFT,
) -> Affine | None:
    """Find integers whose plane over both int8 operands equals the reference for all pairs.

    Parameters
    ----------
    node
        The addition or subtraction.
    gain
        Factor that the operands are multiplied by first.
    image, bits
        The multiplication that the core provides, and the bits that it drops; see `affine.solve`.
    largest_shift
        Largest shift of the result.
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
    """The values that an int8 sum depends on."""

    multipliers: tuple[tuple[int, int], ...]
    zero_points: tuple[int, int, int]
    slopes: tuple[float, float]
    output_range: tuple[int, int]
    sign: int
    left_shift: int

    @classmethod
    def of(cls, node: Node) -> _Quantized:
        x, y, out = node.input(0), node.input(1), node.output
        sign = -1 if node.operator == Sub.name else 1
        return cls(
            tuple(quantize_multiplier(real) for real in _real_multipliers(node)),
            (x.zero_point, y.zero_point, out.zero_point),
            (x.scale / out.scale, sign * y.scale / out.scale),
            activation_range(node),
            sign,
            _left_shift(node),
        )


def _sum(layer: _Quantized, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    total = np.zeros((), np.int64)
    for position, values in enumerate((x, y)):
        wide = values.astype(np.int64) - layer.zero_points[position]
        multiplier, shift = layer.multipliers[position]
        scaled = requantize_reference(wide << layer.left_shift, multiplier, shift)
        total = total + (layer.sign * scaled if position else scaled)
    scaled = requantize_reference(total, *layer.multipliers[2]) + layer.zero_points[2]
    return np.clip(scaled, *layer.output_range)


@lru_cache(maxsize=256)
def _exact_plane(
    layer: _Quantized, gain: int, image: Image, bits: int, largest_shift: int
) -> Affine | None:
    x, y = np.ogrid[-128:128, -128:128]
    wanted, best = _best_plane(layer)
    operands, slopes = [x * gain, y * gain], [slope / gain for slope in best]
    limits = layer.output_range
    return solve(operands, wanted, slopes, limits, image, bits, largest_shift, slopes)


@lru_cache(maxsize=16)
def _best_plane(layer: _Quantized) -> tuple[np.ndarray, tuple[float, ...]]:
    """Return the results of all pairs, and the best slopes, which do not depend on the core."""
    x, y = np.ogrid[-128:128, -128:128]
    wanted = _sum(layer, x, y)
    return wanted, best_slopes([x, y], wanted, layer.slopes, layer.output_range)


@dataclass(frozen=True)
class _Scaling:
    multiplier: int
    shift: int
    left_shift: int

    def widened(self, value: Expression) -> Expression:
        """Return `value` shifted left and scaled."""
        if self.multiplier == 1 << 30 and 1 - self.left_shift <= self.shift <= 0:
            # The factor of at least one operand is a power of two, so nothing is rounded.
            return value * int32(1 << (self.left_shift - 1 + self.shift))
        shifted = value * int32(1 << self.left_shift)
        return requantize(shifted, int32(self.multiplier), int32(self.shift))


def _real_multipliers(node: Node) -> tuple[float, float, float]:
    """Return scales of both operands over twice the larger one, and of the sum over the output."""
    scales = node.input(0).scale, node.input(1).scale
    common = 2 * max(scales)
    return (
        scales[0] / common,
        scales[1] / common,
        common / ((1 << _left_shift(node)) * node.output.scale),
    )


def _left_shift(node: Node) -> int:
    return _LEFT_SHIFTS[node.output.dtype]


def _power_of_two_scales(node: Node) -> bool:
    """Return whether LiteRT's older int16 kernel for power-of-two scales is used."""
    tensors = node.input(0), node.input(1), node.output
    return (
        node.output.dtype == "int16"
        and bool(node.options.get("pot_scale_int16", False))
        and all(power_of_two(tensor.scale) is not None for tensor in tensors)
    )


def _shifts(node: Node) -> tuple[int, int]:
    """Return the exponents of the operands' power-of-two scales relative to the output's."""
    left, right, out = (
        power_of_two(tensor.scale) for tensor in (node.input(0), node.input(1), node.output)
    )
    assert left is not None and right is not None and out is not None
    return left - out, right - out
