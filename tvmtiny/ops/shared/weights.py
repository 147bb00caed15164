"""Constant weights and biases of convolutions and dense layers: checks, folding, ranges of sums."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Problem
from tvmtiny.ops.shared.quantization import INT32_RANGE


def check_weight_scales(node: Node) -> Iterator[Problem]:
    """Yield a problem for weight scales that are no finite, non-negative numbers."""
    quantization = node.input(1).quantization
    if quantization is None:
        return
    scales = np.array(quantization.scales)
    if not np.all(np.isfinite(scales) & (scales >= 0)):
        yield Problem("a weight scale is negative or not finite", "finite weight scales")


def bias_values(node: Node, channels: int) -> np.ndarray:
    """Return the bias of a node, shape ``(channels,)``; int32 zeros where it is absent."""
    bias = node.optional_input(2)
    if bias is None or bias.data is None:
        return np.zeros(channels, np.int32)
    return bias.data.reshape(-1)


def accumulator_range(
    weights: np.ndarray, bias: np.ndarray, zero_point: int
) -> tuple[np.ndarray, np.ndarray]:
    """Bound the accumulator of each output channel over all int8 inputs.

    Parameters
    ----------
    weights
        Shape ``(channels, taps)``, with their own zero point already subtracted.
    bias
        Shape ``(channels,)``.
    zero_point
        Of the input.

    Returns
    -------
    low, high
        int64, each of shape ``(channels,)``. Padded taps contribute 0, which lies in between.
    """
    wide = weights.astype(np.int64)
    least, most = wide * (-128 - zero_point), wide * (127 - zero_point)
    offset = bias.astype(np.int64)
    low = np.minimum(least, most).sum(axis=1) + offset
    high = np.maximum(least, most).sum(axis=1) + offset
    return low, high


def check_accumulator(weights: np.ndarray, bias: np.ndarray, zero_point: int) -> Iterator[Problem]:
    """Yield a problem where a 32-bit accumulator could overflow; parameters as above."""
    low, high = accumulator_range(weights, bias, zero_point)
    raw_low, raw_high = accumulator_range(weights, np.zeros_like(bias), 0)
    folded = bias.astype(np.int64) - zero_point * weights.astype(np.int64).sum(axis=1)
    bounds = np.concatenate([low, high, raw_low, raw_high, folded])
    if bounds.size and (bounds.min() < INT32_RANGE[0] or bounds.max() > INT32_RANGE[1]):
        yield Problem(
            "the accumulator can overflow 32 bits",
            "weights and bias whose sums stay within 32 bits",
        )


#: What biases can be, by the dtype of activations.
BIAS_DTYPES = {"int8": ("int32",), "int16": ("int64", "int32"), "float32": ("float32",)}


def check_weights(node: Node, channels: int, axis: int) -> Iterator[Problem]:
    """Yield what is wrong with weights and bias of a convolution or fully connected node.

    Parameters
    ----------
    channels
        Output channels.
    axis
        The dimension of the weights that holds them.
    """
    weights, bias = node.input(1), node.optional_input(2)
    activations = node.input(0).dtype
    if weights.data is None or (bias is not None and bias.data is None):
        yield Problem("weights or bias are computed at run time", "constant weights and bias")
        return
    wanted = "float32" if activations == "float32" else "int8"
    if weights.dtype != wanted:
        yield Problem(
            f"{weights.dtype} weights with {activations} activations", f"{wanted} weights"
        )
    if bias is not None and bias.dtype not in BIAS_DTYPES[activations]:
        yield Problem(
            f"{bias.dtype} bias with {activations} activations",
            f"{' or '.join(BIAS_DTYPES[activations])} bias",
        )
    if bias is not None and bias.elements != channels:
        yield Problem(f"{bias.elements} bias values for {channels} channels", "one per channel")
    if activations == "float32":
        return
    scales = weights.quantization
    if scales is None:
        yield Problem("int8 weights without a scale", "quantized weights")
    elif scales.per_channel and (len(scales.scales) != channels or scales.axis != axis):
        yield Problem(
            f"{len(scales.scales)} weight scales along dimension {scales.axis}",
            f"one scale, or {channels} along dimension {axis}",
        )


def folded_bias(node: Node, weight_sums: np.ndarray) -> np.ndarray:
    """Bias with the input's zero point folded in: ``bias - zero_point * sum(weights)``.

    With this, and padding that holds the zero point, the raw input can be multiplied.

    Parameters
    ----------
    weight_sums
        Sum of each output channel's weights, int64, shape ``(channels,)``.

    Returns
    -------
    np.ndarray
        int32, shape ``(channels,)``.
    """
    bias = _bias(node, weight_sums.size).astype(np.int64)
    folded = bias - node.input(0).zero_point * weight_sums
    assert INT32_RANGE[0] <= folded.min() and folded.max() <= INT32_RANGE[1]
    return folded.astype(np.int32)


def float_bias(node: Node, channels: int) -> np.ndarray:
    """The float32 bias, zeros where it is absent."""
    return _bias(node, channels).astype(np.float32)


def _bias(node: Node, channels: int) -> np.ndarray:
    bias = node.optional_input(2)
    if bias is None or bias.data is None:
        return np.zeros(channels, np.int32)
    return bias.data.reshape(-1)
