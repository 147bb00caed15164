"""TFLite's fixed-point arithmetic on the host: multipliers, requantization, activation ranges.

The formulas are those of LiteRT's ``kernels/internal/quantization_util.cc`` and ``common.cc``; each
function states the one that it matches.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tvmtiny.ops.shared.legacy import is_from_uint8
from tvmtiny.ops.shared.node import Node, Tensor

INT8_RANGE = (-128, 127)
INT32_RANGE = (-(2**31), 2**31 - 1)

#: The range of each dtype that a tensor can be quantized to.
INTEGER_RANGES = {"int8": INT8_RANGE, "uint8": (0, 255), "int16": (-(2**15), 2**15 - 1)}

#: Distance from the nearest multiplier within which `exact_multiplier` searches.
_MULTIPLIER_SEARCH = 64


def round_half_away(value: np.ndarray | float) -> np.ndarray:
    """Round to the nearest integer, halves away from zero, as C's ``round``.

    Parameters
    ----------
    value
        float64 or float32; the computation stays in that dtype.
    """
    value = np.asarray(value)
    whole = np.trunc(value)
    with np.errstate(invalid="ignore"):
        return np.where(np.isinf(value), value, whole + np.trunc((value - whole) * 2))


def power_of_two(scale: float) -> int | None:
    """Return the exponent of a scale that counts as a power of two (LiteRT ``CheckedLog2``).

    Returns
    -------
    int or None
        None if the logarithm to base 2, in float32, is more than 0.001 away from an integer.
    """
    exponent = np.log(np.float32(scale)) * np.float32(1 / np.log(np.float32(2)))
    nearest = round_half_away(exponent)
    return int(nearest) if abs(exponent - nearest) < np.float32(1e-3) else None


@lru_cache(maxsize=8192)
def quantize_multiplier(real: float) -> tuple[int, int]:
    """Split `real` into a 31-bit multiplier and a power of two (LiteRT ``QuantizeMultiplier``).

    Returns
    -------
    multiplier, shift
        ``real ~ multiplier * 2**(shift - 31)``; a positive shift is to the left.
    """
    if real == 0.0:
        return 0, 0
    fraction, shift = math.frexp(real)
    scaled = fraction * 2**31
    # `round_half_away` of a single number, without numpy, which takes ten times as long.
    whole = math.trunc(scaled)
    multiplier = whole + math.trunc((scaled - whole) * 2)
    if multiplier == 2**31:
        multiplier //= 2
        shift += 1
    return (0, 0) if shift < -31 else (multiplier, shift)


def requantize(
    acc: np.ndarray, multiplier: np.ndarray | int, shift: np.ndarray | int
) -> np.ndarray:
    """Scale accumulators by ``multiplier * 2**(shift - 31)``, rounding twice.

    This is LiteRT's ``MultiplyByQuantizedMultiplier`` as it is built by default: gemmlowp's
    saturating rounding doubling high multiply, then a rounding right shift with halves away from
    zero.

    Parameters
    ----------
    acc
        Integers in the int32 range.
    multiplier, shift
        Scalars, or arrays that broadcast against `acc`.

    Returns
    -------
    np.ndarray
        Scaled values as int64.
    """
    acc, shift = np.asarray(acc, np.int64), np.asarray(shift, np.int64)
    if (shift > 0).any():
        acc = (acc << np.maximum(shift, 0)).astype(np.int32).astype(np.int64)
    # Adding half and flooring equals gemmlowp's sign-dependent nudge and truncating division.
    high = acc * np.asarray(multiplier, np.int64)
    high += 1 << 30
    high >>= 31
    right = np.maximum(-shift, 0)
    # Without the smallest step, halves of negative numbers are rounded away from zero as well.
    nudged = high - ((high < 0) & (right > 0))
    return (nudged + ((np.int64(1) << right) >> 1)) >> right


def requantize_once(
    acc: np.ndarray, multiplier: np.ndarray | int, shift: np.ndarray | int
) -> np.ndarray:
    """Scale accumulators by ``multiplier * 2**(shift - 31)``, rounding once, halves upward.

    Returns
    -------
    np.ndarray
        Scaled values as int64.
    """
    total = 31 - np.asarray(shift, np.int64)
    product = np.asarray(acc, np.int64) * np.asarray(multiplier, np.int64)
    return (product + (np.int64(1) << (total - 1))) >> total


def exact_multiplier(
    scale: float, acc_range: tuple[int, int], zero_point: int, output_range: tuple[int, int]
) -> tuple[int, int] | None:
    """Find a multiplier whose integer rounding equals rounding ``acc * scale`` in float64.

    Both functions of the accumulator are monotone and clamped to `output_range`. They are equal on
    the whole of `acc_range` if they agree at both ends and on both sides of every step of the
    float64 function. This is checked for the nearest multiplier and its neighbours.

    Parameters
    ----------
    scale
        The factor of the accumulator.
    acc_range
        Smallest and largest accumulator that the layer can reach.
    zero_point, output_range
        Zero point of the output, and the range of its fused activation.

    Returns
    -------
    (multiplier, shift) or None
        Factors for `requantize_once`; None if no neighbour is exact.
    """
    low, high = acc_range
    steps = np.arange(output_range[0] + 1, output_range[1] + 1) - zero_point
    around = np.ceil((steps - 0.5) / scale)[:, None] + np.arange(-3, 4)
    points = np.clip(around, low, high).astype(np.int64).ravel()
    points = np.unique(np.concatenate([points, [low, high]]))
    wanted = np.clip(round_half_away(points * scale) + zero_point, *output_range)
    multiplier, shift = quantize_multiplier(scale)
    if multiplier == 0 or not -31 < shift < 31:
        return None
    for distance in range(_MULTIPLIER_SEARCH):
        for candidate in {multiplier + distance, multiplier - distance}:
            got = requantize_once(points, candidate, shift)
            if candidate < 2**31 and np.array_equal(
                np.clip(got + zero_point, *output_range), wanted
            ):
                return candidate, shift
    return None


def convolution_multipliers(node: Node, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Compute the multipliers and shifts of a convolution, one per output channel.

    The formula is that of LiteRT's ``PopulateConvolutionQuantizationParams``.

    Parameters
    ----------
    node
        The convolution; its first two inputs are activations and weights.
    channels
        Number of output channels; a per-tensor scale of the weights is repeated for each.

    Returns
    -------
    multiplier, shift
        int32 and int8, each of shape ``(channels,)``.
    """
    scale_of = single_product if is_from_uint8(node) else float.__mul__
    pairs = [
        quantize_multiplier(scale_of(node.input(0).scale, scale) / node.output.scale)
        for scale in channel_scales(node.input(1), channels)
    ]
    multipliers, shifts = zip(*pairs, strict=True)
    # Larger shifts are refused anyway.
    return np.array(multipliers, np.int32), np.minimum(shifts, 127).astype(np.int8)


def single_product(a: float, b: float) -> float:
    """Return the product of two scales in single precision."""
    return float(np.float32(a) * np.float32(b))


def channel_scales(weights: Tensor, channels: int) -> Sequence[float]:
    """Return the scale of each output channel of `weights`."""
    assert weights.quantization is not None
    scales = weights.quantization.scales
    return scales if len(scales) > 1 else scales * channels


def activation_range(node: Node) -> tuple[int, int]:
    """Return the range of a quantized output under its fused activation.

    The formula is that of LiteRT's ``CalculateActivationRangeQuantized``.
    """
    output = node.output
    low, high = INTEGER_RANGES[output.dtype]
    bounds = _ACTIVATIONS[node.activation]
    if bounds.low is not None:
        low = max(low, quantized_bound(bounds.low, output))
    if bounds.high is not None:
        high = min(high, quantized_bound(bounds.high, output))
    return low, high


def quantized_bound(real: float, tensor: Tensor) -> int:
    """Return the quantized value that stands for `real`, even if it is out of range."""
    return _steps(real, tensor.scale) + tensor.zero_point


@lru_cache(maxsize=1024)
def _steps(real: float, scale: float) -> int:
    """Return the nearest number of steps of `scale`, with LiteRT's division in float32."""
    return int(round_half_away(np.float32(real) / np.float32(scale)))


def has_activation_range(node: Node) -> bool:
    """Return whether the quantized bounds of the output's fused activation fit 32 bits.

    LiteRT refuses larger bounds for most operators. A bound that rounds to 2^31 passes its check,
    and what it converts the bound to is undefined in C++.
    """
    bounds, output = _ACTIVATIONS.get(node.activation), node.output
    quantized = output.quantization is not None and output.dtype in INTEGER_RANGES
    if bounds is None or not quantized or not output.scale > 0:
        return True
    return bounds_fit((bounds.low, bounds.high), output)


def bounds_fit(bounds: tuple[float | None, float | None], tensor: Tensor) -> bool:
    """Return whether the quantized values that stand for `bounds` fit 32 bits."""
    most = max((abs(real) for real in bounds if real is not None), default=0.0)
    return most == 0 or most < 2.0**31 * float(np.float32(tensor.scale))


def float_activation_range(node: Node) -> tuple[float | None, float | None]:
    """Return the bounds of a float output under its fused activation; None for no bound."""
    bounds = _ACTIVATIONS[node.activation]
    return bounds.low, bounds.high


@dataclass(frozen=True)
class _Bounds:
    low: float | None
    high: float | None


_ACTIVATIONS = {
    "NONE": _Bounds(None, None),
    "RELU": _Bounds(0.0, None),
    "RELU_N1_TO_1": _Bounds(-1.0, 1.0),
    "RELU6": _Bounds(0.0, 6.0),
}

#: The fused activations that TFLite's arithmetic kernels support.
FUSED_ACTIVATIONS = tuple(_ACTIVATIONS)


def broadcast_quantization(tensor: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return scales (float32) and zero points (int32), shaped to broadcast to the tensor's."""
    quantization = tensor.quantization
    assert quantization is not None
    shape = [1] * len(tensor.shape)
    if quantization.per_channel:
        shape[quantization.axis] = -1
    scales = np.array(quantization.scales, np.float32).reshape(shape)
    return scales, np.array(quantization.zero_points, np.int32).reshape(shape)


def centred(values: np.ndarray, tensor: Tensor) -> np.ndarray:
    """Subtract the zero point of a tensor and return int64; return float32 values unchanged."""
    return values if values.dtype == np.float32 else values.astype(np.int64) - tensor.zero_point


def clamp_float(values: np.ndarray, node: Node) -> np.ndarray:
    """Clamp an unquantized array to the bounds of the fused activation.

    Infinite floats become finite; NaN stays NaN.
    """
    low, high = float_activation_range(node)
    if values.dtype == np.float32:
        ends = np.finfo(np.float32)
        low, high = (
            float(ends.min) if low is None else low,
            float(ends.max) if high is None else high,
        )
    return values if low is high is None else between(values, low, high)


def between(values: np.ndarray, low: float | None, high: float | None) -> np.ndarray:
    """Clamp an array as C does with two comparisons: zeros of either sign and NaN are kept."""
    if low is not None:
        values = np.where(values < low, values.dtype.type(low), values)
    if high is not None:
        values = np.where(values > high, values.dtype.type(high), values)
    return values


def saturated(node: Node, values: np.ndarray) -> np.ndarray:
    """Clamp integers, which include the output's zero point, to the range of its dtype."""
    return np.clip(values, *INTEGER_RANGES[node.output.dtype])
