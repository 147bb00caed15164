"""RELU, RELU6, RELU_N1_TO_1 and RELU_0_TO_1."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
from tvm import tirx

from tvmtiny.ops.shared.expressions import Expression, clamp, float32, int32, requantize
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Oracle, Problem, register
from tvmtiny.ops.shared.quantization import (
    INTEGER_RANGES,
    between,
    bounds_fit,
    centred,
    quantize_multiplier,
    quantized_bound,
)
from tvmtiny.ops.shared.quantization import requantize as requantize_reference
from tvmtiny.ops.shared.unary_operator import Unary

#: Larger left shifts could make int16 inputs exceed 32 bits.
_LARGEST_SHIFT = 15


class Clamp(Unary):
    """The input, clamped.

    int8 and int16 match LiteRT's ``QuantizedReluX`` bit for bit: they are requantized with two
    roundings and then clamped.
    """

    dtypes: ClassVar[tuple[str, ...]] = ("int8", "float32")
    exactness = "integers bit-exact (two roundings); float32 exact"

    bounds: ClassVar[tuple[float, float | None]]

    def check_more(self, node: Node) -> Iterator[Problem]:
        if node.output.dtype != "float32" and clamp_multiplier(node)[1] > _LARGEST_SHIFT:
            yield Problem(
                f"an output scale of {node.output.scale:.3g} for an input scale of "
                f"{node.input(0).scale:.3g}",
                f"an output scale above the input scale / 2^{_LARGEST_SHIFT}",
            )
        if node.output.dtype != "float32" and not bounds_fit(self.bounds, node.output):
            # LiteRT converts a bound to int32 without a check, which is undefined in C++.
            yield Problem(
                f"an output scale of {node.output.scale:.3g}",
                "a scale with which the bounds of the activation fit 32 bits",
            )

    def value(self, node: Node, x: Expression) -> Expression:
        if node.output.dtype == "float32":
            low, high = self.bounds
            bounded = x if high is None else tirx.Select(x > float32(high), float32(high), x)
            return tirx.Select(bounded < float32(low), float32(low), bounded)
        multiplier, shift = clamp_multiplier(node)
        scaled = requantize(int32(x), int32(multiplier), int32(shift))
        return clamp(scaled, *self.limits(node), node.output.dtype)

    def numbers(self, node: Node, x: np.ndarray, oracle: Oracle) -> np.ndarray:
        if node.output.dtype == "float32":
            return between(x, *self.bounds)
        steps = centred(x, node.input(0))
        scaled = requantize_reference(steps, *clamp_multiplier(node)) + node.output.zero_point
        return np.clip(scaled, *self.limits(node))

    def limits(self, node: Node) -> tuple[int, int]:
        """Return the limits as quantized values of the output."""
        least, most = INTEGER_RANGES[node.output.dtype]
        low, high = self.bounds
        return (
            max(least, quantized_bound(low, node.output)),
            most if high is None else min(most, quantized_bound(high, node.output)),
        )


@register
class Relu(Clamp):
    """The input, clamped to at least 0.

    int8 and int16 match LiteRT and TFLM bit for bit: they are requantized with two roundings and
    then clamped.
    """

    name = "RELU"
    dtypes = ("int8", "int16", "float32")
    exactness = "integers bit-exact (two roundings, both oracles); float32 exact"
    bounds = (0.0, None)


@register
class Relu6(Clamp):
    """The input, clamped to between 0 and 6.

    int8 and int16 match LiteRT bit for bit: they are requantized with two roundings and then
    clamped. TFLM clamps int8 to limits in the input's scale, and assumes that the output has the
    same scale.
    """

    name = "RELU6"
    dtypes = ("int8", "int16", "float32")
    exactness = "integers bit-exact (two roundings; TFLM does not rescale); float32 exact"
    bounds = (0.0, 6.0)

    def numbers(self, node: Node, x: np.ndarray, oracle: Oracle) -> np.ndarray:
        if node.output.dtype != "int8" or oracle is Oracle.LITERT:
            return super().numbers(node, x, oracle)
        source = node.input(0)
        high = min(INTEGER_RANGES["int8"][1], quantized_bound(6.0, source))
        return np.clip(x, source.zero_point, high)


@register
class ReluN1To1(Clamp):
    """The input, clamped to between -1 and 1. TFLM does not have this operator."""

    name = "RELU_N1_TO_1"
    bounds = (-1.0, 1.0)


@register
class Relu0To1(Clamp):
    """The input, clamped to between 0 and 1. TFLM does not have this operator."""

    name = "RELU_0_TO_1"
    bounds = (0.0, 1.0)


def clamp_multiplier(node: Node) -> tuple[int, int]:
    """Return multiplier and shift of the ratio of the scales."""
    # LiteRT divides in float32.
    return quantize_multiplier(
        float(np.float32(node.input(0).scale) / np.float32(node.output.scale))
    )
