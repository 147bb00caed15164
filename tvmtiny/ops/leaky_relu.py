"""LEAKY_RELU."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from tvm import tirx

from tvmtiny.ops.shared.expressions import Expression, float32, int32, requantize, saturate
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Oracle, Problem, register
from tvmtiny.ops.shared.quantization import centred, quantize_multiplier, saturated
from tvmtiny.ops.shared.quantization import requantize as requantize_reference
from tvmtiny.ops.shared.unary_operator import Unary

#: Larger left shifts could make int16 inputs exceed 32 bits.
_LARGEST_SHIFT = 15


@register
class LeakyRelu(Unary):
    """The input if it is positive, and a multiple of it otherwise.

    int8 and int16 match ``QuantizeLeakyRelu`` of LiteRT and TFLM bit for bit: either branch is
    requantized with two roundings.
    """

    name = "LEAKY_RELU"
    dtypes = ("int8", "int16", "float32")
    exactness = "integers bit-exact (two roundings, both oracles); float32 exact"

    def check_more(self, node: Node) -> Iterator[Problem]:
        if not np.isfinite(_alpha(node)):
            yield Problem("a slope that is not finite", "a finite slope")
        elif node.output.dtype != "float32" and max(s for _, s in leaky_multipliers(node)) > (
            _LARGEST_SHIFT
        ):
            yield Problem(
                f"an output scale of {node.output.scale:.3g} for an input scale of "
                f"{node.input(0).scale:.3g} and a slope of {_alpha(node):.3g}",
                f"a ratio of scales below 2^{_LARGEST_SHIFT}",
            )

    def value(self, node: Node, x: Expression) -> Expression:
        if node.output.dtype == "float32":
            positive = x > tirx.const(0, "float32")
            return tirx.if_then_else(positive, x, x * float32(_alpha(node)))
        above, below = (
            requantize(int32(x), int32(abs(multiplier)), int32(shift))
            for multiplier, shift in leaky_multipliers(node)
        )
        if leaky_multipliers(node)[1][0] < 0:
            below = int32(0) - below
        return saturate(node, tirx.if_then_else(int32(x) >= int32(0), above, below))

    def numbers(self, node: Node, x: np.ndarray, oracle: Oracle) -> np.ndarray:
        if node.output.dtype == "float32":
            return np.where(x > 0, x, x * np.float32(_alpha(node)))
        steps = centred(x, node.input(0))
        (identity, identity_shift), (alpha, alpha_shift) = leaky_multipliers(node)
        below = requantize_reference(steps, abs(alpha), alpha_shift)
        above = requantize_reference(steps, identity, identity_shift)
        scaled = np.where(steps >= 0, above, -below if alpha < 0 else below)
        return saturated(node, scaled + node.output.zero_point)


def _alpha(node: Node) -> float:
    return float(node.options.get("alpha", 0.0))


def leaky_multipliers(node: Node) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return multipliers and shifts for positive and for other inputs; LiteRT uses float32."""
    scale, out = np.float32(node.input(0).scale), np.float32(node.output.scale)
    alpha = quantize_multiplier(float(scale * np.float32(_alpha(node)) / out))
    return quantize_multiplier(float(scale / out)), alpha
