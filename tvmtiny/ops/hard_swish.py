"""HARD_SWISH."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from tvm import tirx

from tvmtiny.ops.shared.expressions import Expression
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Oracle, Problem, register
from tvmtiny.ops.shared.quantization import centred, quantize_multiplier, saturated
from tvmtiny.ops.shared.unary_operator import Unary

_INT16 = (-(2**15), 2**15 - 1)
#: LiteRT's larger left shifts of an int are undefined in C++.
_LARGEST_SHIFT = 31
#: Bits by which int8 inputs are shifted left.
_HIGH_RESOLUTION = 7


@register
class HardSwish(Unary):
    """``x * min(max(x + 3, 0), 6) / 6``.

    int8 matches ``reference_ops::HardSwish`` of LiteRT and TFLM bit for bit: 16-bit fixed-point
    arithmetic, in a table. float32 follows the same kernel.
    """

    name = "HARD_SWISH"
    exactness = "int8 bit-exact (table, both oracles); float32 exact"

    def check_more(self, node: Node) -> Iterator[Problem]:
        if node.output.dtype == "int8" and _output_multiplier(node)[1] > 0:
            yield Problem(
                f"an output scale of {node.output.scale:.3g} for an input scale of "
                f"{node.input(0).scale:.3g}",
                "an output scale above the input scale / 128",
            )
        if node.output.dtype == "int8" and _share_multiplier(node)[1] > _LARGEST_SHIFT:
            yield Problem(f"an input scale of {node.input(0).scale:.3g}", "one below 2^24")

    def value(self, node: Node, x: Expression) -> Expression:
        three, six = tirx.const(3, "float32"), tirx.const(6, "float32")
        return x * tirx.min(six, tirx.max(tirx.const(0, "float32"), x + three)) / six

    def numbers(self, node: Node, x: np.ndarray, oracle: Oracle) -> np.ndarray:
        if node.output.dtype == "float32":
            return x * np.clip(x + np.float32(3), np.float32(0), np.float32(6)) / np.float32(6)
        steps = centred(x, node.input(0)) << _HIGH_RESOLUTION
        multiplier, shift = _output_multiplier(node)
        identity = _multiply_q15(steps, multiplier)
        share = _clamped_share(node, steps)
        # Unlike the other products, this one is truncated.
        product = np.where(
            (share == _INT16[0]) & (identity == _INT16[0]),
            _INT16[1],
            np.trunc(share * identity / 2**15).astype(np.int64),
        )
        return saturated(node, _rounding_shift(product, -shift) + node.output.zero_point)


def _clamped_share(node: Node, steps: np.ndarray) -> np.ndarray:
    """Compute ``min(max(x + 3, 0), 6) / 6`` with 15 fractional bits."""
    multiplier, shift = _share_multiplier(node)
    value = steps
    if shift > 0:
        value = np.clip(value << (shift - 1), *_INT16)
    value = _multiply_q15(value, multiplier)
    if shift > 0:
        value = np.clip(value << 1, *_INT16)
    elif shift < 0:
        value = _rounding_shift(value, -shift)
    return (value + (1 << 15)) >> 1


def _share_multiplier(node: Node) -> tuple[int, int]:
    return _split(np.float32(node.input(0).scale), np.float32(3 / 32768))


def _output_multiplier(node: Node) -> tuple[int, int]:
    return _split(np.float32(node.input(0).scale), np.float32(node.output.scale))


def _split(input_scale: np.float32, scale: np.float32) -> tuple[int, int]:
    """Return a 15-bit multiplier and a shift for the ratio of scales, computed in float32."""
    resolution = np.float32(2.0**-_HIGH_RESOLUTION) * input_scale
    multiplier, shift = quantize_multiplier(float(resolution / scale))
    # A multiplier that rounds to 2^15 saturates (``DownScaleInt32ToInt16Multiplier``).
    return min((multiplier + (1 << 15)) >> 16, _INT16[1]), shift


def _rounding_shift(value: np.ndarray, shift: int) -> np.ndarray:
    """Apply gemmlowp's ``RoundingDivideByPOT`` for int16, whose mask has at most 16 bits.

    For shifts of 16 and more the mask is -1, so the result is 1 or -1 instead of 0.
    """
    mask = np.int64((1 << shift) - 1 if shift < 16 else -1)
    return (value >> shift) + ((value & mask) > (mask >> 1) + (value < 0))


def _multiply_q15(value: np.ndarray, multiplier: int) -> np.ndarray:
    """Apply gemmlowp's 16-bit ``SaturatingRoundingDoublingHighMul``."""
    product = np.asarray(value, np.int64) * multiplier
    nudge = np.where(product >= 0, 1 << 14, 1 - (1 << 14))
    return np.trunc((product + nudge) / 2**15).astype(np.int64)
