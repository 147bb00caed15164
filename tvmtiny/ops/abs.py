"""ABS."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from tvm import tirx

from tvmtiny.ops.shared.checks import check_symmetric
from tvmtiny.ops.shared.expressions import Expression, call, difference, int32, requantize, saturate
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Oracle, Problem, register
from tvmtiny.ops.shared.quantization import centred, quantize_multiplier, saturated
from tvmtiny.ops.shared.quantization import requantize as requantize_reference
from tvmtiny.ops.shared.unary_operator import Unary


@register
class Abs(Unary):
    """Absolute value.

    int8 and int16 match ``AbsEvalQuantized`` of LiteRT and TFLM bit for bit: the distance to the
    zero point is requantized with two roundings if the scales differ. int16 without a scale and
    int32 are plain integers; their lowest value stays unchanged.
    """

    name = "ABS"
    dtypes = ("int8", "int16", "int32", "float32")
    needs_scale = False
    exactness = "integers bit-exact (two roundings, both oracles); float32 exact"

    def check_more(self, node: Node) -> Iterator[Problem]:
        if not is_quantized(node):
            return
        problems = [*check_symmetric(node)]
        yield from problems
        if not problems and size_multiplier(node)[1] > 15:
            yield Problem(
                f"an output scale of {node.output.scale:.3g} for an input scale of "
                f"{node.input(0).scale:.3g}",
                "an output scale above the input scale / 2^15",
            )

    def value(self, node: Node, x: Expression) -> Expression:
        if node.output.dtype == "float32":
            return call("tvmtiny_abs", x)
        if not is_quantized(node):
            negated = difference(int32(0), int32(x))
            size = tirx.if_then_else(int32(x) < int32(0), negated, int32(x))
            return size.astype(node.output.dtype)
        size = tirx.Select(int32(x) < int32(0), int32(0) - int32(x), int32(x))
        if node.input(0).scale != node.output.scale:
            multiplier, shift = size_multiplier(node)
            size = requantize(size, int32(multiplier), int32(shift))
        return saturate(node, size)

    def numbers(self, node: Node, x: np.ndarray, oracle: Oracle) -> np.ndarray:
        if not is_quantized(node):
            return np.abs(x)
        size = np.abs(centred(x, node.input(0)))
        if node.input(0).scale != node.output.scale:
            size = requantize_reference(size, *size_multiplier(node))
        return saturated(node, size + node.output.zero_point)


def is_quantized(node: Node) -> bool:
    """Return whether integers represent real numbers."""
    return node.output.dtype == "int8" or node.input(0).quantized


def size_multiplier(node: Node) -> tuple[int, int]:
    """Return multiplier and shift of the ratio of the scales."""
    # LiteRT divides in float32.
    return quantize_multiplier(
        float(np.float32(node.input(0).scale) / np.float32(node.output.scale))
    )
