"""PRELU."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from tvm import tirx

from tvmtiny.ops.shared.binary_operator import Binary
from tvmtiny.ops.shared.checks import check_shape
from tvmtiny.ops.shared.expressions import Expression, int32, requantize, saturate
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Problem, register
from tvmtiny.ops.shared.quantization import centred, quantize_multiplier, saturated
from tvmtiny.ops.shared.quantization import requantize as requantize_reference

#: Larger left shifts could make results exceed 32 bits.
_LARGEST_SHIFT = 15


@register
class Prelu(Binary):
    """The input if it is not negative, and its product with a slope otherwise.

    int8, and int16 with int8 slopes, match ``reference_ops::Prelu`` of LiteRT and TFLM bit for bit:
    either branch is requantized with two roundings.
    """

    name = "PRELU"
    dtypes = ("int8", "int16", "float32")
    exactness = "integers bit-exact (two roundings, both oracles); float32 exact"

    def _check_dtypes(self, node: Node) -> Iterator[Problem]:
        x, slope, out = node.input(0), node.input(1), node.output
        wanted = "int8" if x.dtype == "int16" else x.dtype
        if (slope.dtype, out.dtype) != (wanted, x.dtype):
            yield Problem(
                f"{x.dtype} input, {slope.dtype} slopes and {out.dtype} output",
                "one dtype, but int8 slopes with int16 data: LiteRT reads any slopes as int8 there",
            )

    def check_more(self, node: Node) -> Iterator[Problem]:
        yield from check_shape(node, node.input(0).shape)
        if node.output.dtype != "float32" and max(s for _, s in prelu_multipliers(node)) > (
            _LARGEST_SHIFT
        ):
            yield Problem(
                f"an output scale of {node.output.scale:.3g} for an input scale of "
                f"{node.input(0).scale:.3g}",
                f"a ratio of scales below 2^{_LARGEST_SHIFT}",
            )

    def value(self, node: Node, x: Expression, y: Expression) -> Expression:
        if node.output.dtype == "float32":
            return tirx.if_then_else(x >= tirx.const(0, "float32"), x, x * y)
        steps = int32(x) - int32(node.input(0).zero_point)
        slope = int32(y) - int32(node.input(1).zero_point)
        above, below = (
            requantize(value, int32(pair[0]), int32(pair[1]))
            for value, pair in zip((steps, steps * slope), prelu_multipliers(node), strict=True)
        )
        return saturate(node, tirx.if_then_else(steps >= int32(0), above, below))

    def numbers(self, node: Node, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        if node.output.dtype == "float32":
            return np.where(x >= 0, x, x * y)
        steps = centred(x, node.input(0))
        slope = centred(y, node.input(1))
        above, below = (
            requantize_reference(value, *pair)
            for value, pair in zip((steps, steps * slope), prelu_multipliers(node), strict=True)
        )
        return saturated(node, np.where(steps >= 0, above, below) + node.output.zero_point)


def prelu_multipliers(node: Node) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return multipliers and shifts for inputs and for products with a slope, from float32."""
    x, slope, out = (
        np.float32(tensor.scale) for tensor in (node.input(0), node.input(1), node.output)
    )
    return quantize_multiplier(float(x / out)), quantize_multiplier(float(x * slope / out))
