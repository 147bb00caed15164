"""Weights and biases of convolutions and dense layers: checks, folding, ranges of sums."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np

from tvmtiny.ops.shared.checks import check_activation
from tvmtiny.ops.shared.int16_sums import (
    check_sums,
    check_zero_points,
    has_wide_sums,
    largest_sum,
    shortened,
)
from tvmtiny.ops.shared.legacy import is_from_uint8
from tvmtiny.ops.shared.node import Node, Tensor
from tvmtiny.ops.shared.operator import Problem
from tvmtiny.ops.shared.quantization import INT32_RANGE, convolution_multipliers
from tvmtiny.ops.shared.sliding_window import check_window

_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")

#: Dtypes of biases, by the dtype of activations.
_BIAS_DTYPES = {"int8": ("int32",), "int16": ("int64", "int32"), "float32": ("float32",)}

#: Largest product of two int8 numbers without their zero points.
_LARGEST_PRODUCT = 255 * 255

#: Operators with weights and an optional bias after the first input.
WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


def check_layer(node: Node, axis: int, zero_point: int = 0) -> Iterator[Problem]:
    """Yield problems with a layer's activation, weights and bias, and with the resulting sums.

    Parameters
    ----------
    node
        The layer; its first three inputs are activations, weights and an optional bias.
    axis
        The dimension of the weights that is the output channels.
    zero_point
        The value that the layer subtracts from int8 weights.
    """
    yield from check_activation(node)
    problems = [*_check_tensors(node, axis), *_check_scales(node)]
    x = node.input(0)
    if not problems and not has_constants(node):
        problems = [*_check_computed(node, axis)]
    elif not problems and x.dtype == "int16":
        problems = [*check_zero_points(node)] or [*check_sums(node, taps(node, axis))]
    elif not problems and x.dtype == "int8":
        weights = taps(node, axis) - zero_point
        problems = [*check_accumulator(weights, bias_values(node, len(weights)), x.zero_point)]
    if not problems and x.dtype != "float32":
        problems = [*_check_shifts(node, node.input(1).shape[axis])]
    yield from problems


def weight_zero_point(node: Node) -> int:
    """Return the value that a layer subtracts from its weights.

    This is the zero point for layers of uint8 models; other convolutions ignore it.
    """
    quantization = node.input(1).quantization
    if not is_from_uint8(node) or quantization is None:
        return 0
    return quantization.zero_points[0]


def has_shifted_weights(node: Node) -> bool:
    """Return whether a node is a convolution whose weights have an effective zero point."""
    return node.operator in _CONVOLUTIONS and weight_zero_point(node) != 0


def check_convolution(node: Node, axis: int) -> Iterator[Problem]:
    """Yield problems with the window, the layer and the batch size of a convolution.

    Parameters
    ----------
    node
        The convolution.
    axis
        See `check_layer`; the two middle dimensions of the weights are height and width.
    """
    _, height, width, _ = node.input(1).shape
    yield from check_window(node, (height, width))
    yield from check_layer(node, axis, weight_zero_point(node))
    x, y = node.input(0).shape, node.output.shape
    if len(x) == 4 == len(y) and x[0] != y[0]:
        yield Problem("input and output differ in batch size", "equal batch sizes")


def has_constants(node: Node) -> bool:
    """Return whether weights and bias are known at compile time."""
    bias = node.optional_input(2)
    return node.input(1).data is not None and (bias is None or bias.data is not None)


def taps(node: Node, axis: int) -> np.ndarray:
    """Return the constant weights of a quantized layer: int64, shape ``(channels, taps)``.

    Parameters
    ----------
    node
        The layer.
    axis
        The dimension of the weights that is the output channels.
    """
    weights = node.input(1)
    assert weights.data is not None
    moved = np.moveaxis(weights.data, axis, 0)
    return moved.reshape(len(moved), prod(moved.shape[1:])).astype(np.int64)


def sum_dtype(node: Node, axis: int) -> str:
    """Return the dtype of a layer's sums of products without the bias; see `taps` for `axis`."""
    dtype = node.input(0).dtype
    if dtype == "int16" and largest_sum(taps(node, axis)) > INT32_RANGE[1]:
        return "int64"
    return "float32" if dtype == "float32" else "int32"


def bias_values(node: Node, channels: int) -> np.ndarray:
    """Return the bias of a layer, shape ``(channels,)``.

    An absent bias is zeros: float32 for float32 activations, int32 for others.
    """
    bias = node.optional_input(2)
    if bias is None or bias.data is None:
        return np.zeros(channels, np.float32 if node.input(0).dtype == "float32" else np.int32)
    return bias.data.reshape(-1)


def input_offset(node: Node) -> int:
    """Return the value that a layer subtracts from its activations; 0 if it is in the bias."""
    quantized = node.input(0).dtype == "int8"
    return node.input(0).zero_point if quantized and not has_constants(node) else 0


def folded_bias(node: Node, axis: int, zero_point: int = 0) -> np.ndarray | Tensor:
    """Return the addends of the sums of raw products, for padding that holds the zero point.

    For int8 and constant weights they include the input's zero point:
    ``bias - zero_point * sum(weights)``.

    Parameters
    ----------
    node
        The layer.
    axis
        See `taps`.
    zero_point
        Zero point of the weights.

    Returns
    -------
    np.ndarray or Tensor
        Array of shape ``(channels,)``: int32, the bias's own dtype for int16 activations, or
        float32. A bias that is computed at run time is returned as its tensor.
    """
    x, computed = node.input(0), node.optional_input(2)
    if computed is not None and computed.data is None:
        return computed
    bias = bias_values(node, node.input(1).shape[axis])
    if x.dtype != "int8" or not has_constants(node):
        return bias
    sums = (taps(node, axis) - zero_point).sum(axis=1)
    folded = bias.astype(np.int64) - x.zero_point * sums
    assert INT32_RANGE[0] <= folded.min() and folded.max() <= INT32_RANGE[1]
    return folded.astype(np.int32)


def accumulator_range(
    weights: np.ndarray, bias: np.ndarray, zero_point: int
) -> tuple[np.ndarray, np.ndarray]:
    """Bound the accumulator of each output channel over all int8 inputs.

    Parameters
    ----------
    weights
        Array of shape ``(channels, taps)``, with the zero point already subtracted.
    bias
        Array of shape ``(channels,)``.
    zero_point
        Zero point of the input.

    Returns
    -------
    low, high
        int64, each of shape ``(channels,)``. Padded taps contribute 0, which lies in between.
    """
    wide = weights.astype(np.int64)
    positive = np.maximum(wide, 0).sum(axis=1)
    negative = wide.sum(axis=1) - positive
    least, most, offset = -128 - zero_point, 127 - zero_point, bias.astype(np.int64)
    low = positive * least + negative * most + offset
    high = positive * most + negative * least + offset
    return low, high


def check_accumulator(weights: np.ndarray, bias: np.ndarray, zero_point: int) -> Iterator[Problem]:
    """Yield a problem if a 32-bit accumulator could overflow; see `accumulator_range`."""
    low, high = accumulator_range(weights, bias, zero_point)
    raw_low, raw_high = accumulator_range(weights, np.zeros_like(bias), 0)
    folded = bias.astype(np.int64) - zero_point * weights.astype(np.int64).sum(axis=1)
    bounds = np.concatenate([low, high, raw_low, raw_high, folded])
    if bounds.size and (bounds.min() < INT32_RANGE[0] or bounds.max() > INT32_RANGE[1]):
        yield Problem(
            "the accumulator can overflow 32 bits",
            "weights and bias whose sums stay within 32 bits",
        )


def _check_shifts(node: Node, channels: int) -> Iterator[Problem]:
    """Yield a problem if LiteRT would shift a sum by more bits than C defines."""
    multipliers, shifts = convolution_multipliers(node, channels)
    wide = has_wide_sums(node)
    least = shortened(multipliers, shifts)[1].min(initial=1) if wide else 31 - shifts.max(initial=0)
    if least < 1:
        yield Problem(
            f"an output scale of {node.output.scale:.3g}, which makes sums overflow",
            f"an output scale above the product of the other scales / 2^{14 if wide else 30}",
        )


def _check_computed(node: Node, axis: int) -> Iterator[Problem]:
    """Yield problems with weights or a bias that are computed at run time."""
    x, weights = node.input(0), node.input(1)
    if x.dtype == "int16":
        yield Problem(
            "weights or bias are computed at run time",
            "constant weights and bias with int16 activations",
        )
    count = weights.elements // weights.shape[axis]
    if x.dtype == "int8" and count * _LARGEST_PRODUCT > INT32_RANGE[1]:
        yield Problem(
            f"sums of {count} products of run-time weights can overflow 32 bits",
            f"at most {INT32_RANGE[1] // _LARGEST_PRODUCT} products",
        )


def _check_tensors(node: Node, axis: int) -> Iterator[Problem]:
    """Yield problems with the tensors of weights and bias."""
    weights, bias = node.input(1), node.optional_input(2)
    activations, channels = node.input(0).dtype, weights.shape[axis]
    if activations not in _BIAS_DTYPES:
        # The dtype of activations is checked elsewhere.
        return
    wanted = "float32" if activations == "float32" else "int8"
    if weights.dtype != wanted:
        yield Problem(
            f"{weights.dtype} weights with {activations} activations", f"{wanted} weights"
        )
    if bias is not None and bias.dtype not in _BIAS_DTYPES[activations]:
        yield Problem(
            f"{bias.dtype} bias with {activations} activations",
            f"{' or '.join(_BIAS_DTYPES[activations])} bias",
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


def _check_scales(node: Node) -> Iterator[Problem]:
    """Yield a problem unless all scales of the weights are finite and not negative."""
    quantization = node.input(1).quantization
    if quantization is None:
        return
    scales = np.array(quantization.scales)
    if not np.all(np.isfinite(scales) & (scales >= 0)):
        yield Problem("a weight scale is negative or not finite", "finite weight scales")
