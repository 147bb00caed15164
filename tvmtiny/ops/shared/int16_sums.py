"""int16 activations with int8 weights: 64-bit sums, scaled by 16-bit multipliers.

The convolutions of LiteRT and TFLM sum in the dtype of the bias. With an int64 bias they scale by
``MultiplyByQuantizedMultiplier(int64_t, ...)``, which shortens the multiplier to 15 bits and rounds
once, halves upward. With an int32 bias they scale as for int8. Zero points are 0.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Problem
from tvmtiny.ops.shared.quantization import INT32_RANGE

#: Largest sum that LiteRT's scaling supports.
LARGEST_WIDE_SUM = 2**47
_SHORTENED = 0x7FFF0000


def has_wide_sums(node: Node) -> bool:
    """Return whether the kernels sum in 64 bits."""
    if node.input(0).dtype != "int16":
        return False
    bias = node.optional_input(2)
    return node.operator == "DEPTHWISE_CONV_2D" or bias is None or bias.dtype == "int64"


def check_zero_points(node: Node) -> Iterator[Problem]:
    """Yield a problem for int16 tensors or weights with a zero point, or without a scale."""
    for tensor in (node.input(0), node.input(1), node.output):
        quantization = tensor.quantization
        if quantization is None or not all(s > 0 for s in quantization.scales):
            yield Problem(f"tensor {tensor.name} without a usable scale", "quantized tensors")
        elif any(quantization.zero_points):
            yield Problem(
                f"tensor {tensor.name} has a zero point", "zero points of 0 with int16 activations"
            )


def check_sums(node: Node, taps: np.ndarray) -> Iterator[Problem]:
    """Yield a problem if sums can exceed the limit of LiteRT's kernels.

    Parameters
    ----------
    node
        The layer.
    taps
        Weights, shape ``(channels, taps)``.
    """
    largest = max(largest_sums(node, taps), default=0)
    if largest > (LARGEST_WIDE_SUM if has_wide_sums(node) else INT32_RANGE[1]):
        yield Problem(
            "the accumulator can overflow",
            "an int64 bias, or weights and bias whose sums stay within 32 bits",
        )


def largest_sum(taps: np.ndarray) -> int:
    """Return the largest magnitude of a sum of products without the bias; see `check_sums`."""
    return int(_products(taps).max(initial=0))


def _products(taps: np.ndarray) -> np.ndarray:
    return np.abs(taps.astype(np.int64)).sum(axis=1) * 2**15


def largest_sums(node: Node, taps: np.ndarray) -> list[int]:
    """Return the largest magnitude of each channel's sums with the bias; see `check_sums`."""
    bias, products = node.optional_input(2), _products(taps).tolist()
    if bias is None or bias.data is None:
        return products
    # Python's integers are needed: the absolute value of the smallest int64 does not fit int64.
    sums = zip(products, bias.data.reshape(-1).tolist(), strict=True)
    return [product + abs(offset) for product, offset in sums]


def shortened(multiplier: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return 15-bit multipliers, and the right shifts of their products.

    Returns
    -------
    multiplier, shift
        int16 and int8, of the shape of the parameters.
    """
    wide = multiplier.astype(np.int64)
    short = np.where(wide < _SHORTENED, (wide + (1 << 15)) >> 16, 0x7FFF)
    return short.astype(np.int16), (15 - shift.astype(np.int64)).astype(np.int8)


def requantize_wide(acc: np.ndarray, multiplier: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Compute ``acc * multiplier / 2**shift``, halves upward, wrapped to 32 bits; int64."""
    shift = shift.astype(np.int64)
    product = acc.astype(np.int64) * multiplier.astype(np.int64)
    return ((product + (np.int64(1) << (shift - 1))) >> shift).astype(np.int32).astype(np.int64)
