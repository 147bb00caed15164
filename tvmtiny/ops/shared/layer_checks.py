"""Checks that come before an operator's own, so that those need not fear odd nodes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Problem
from tvmtiny.ops.shared.quantization import INT32_RANGE


def check_operands(node: Node, required: int, options: Sequence[str] = ()) -> Iterator[Problem]:
    """Yield what is missing in a node before its shapes can be looked at.

    Parameters
    ----------
    required
        How many leading inputs must be present. The first one and the output are activations.
    options
        Names of builtin options without which the operator is not defined.
    """
    present = [i < len(node.inputs) and node.inputs[i] is not None for i in range(required)]
    if not all(present):
        yield Problem(f"input {present.index(False)} is absent", f"{required} inputs")
        return
    if not node.outputs:
        yield Problem("there is no output", "one output")
        return
    absent = [name for name in options if name not in node.options]
    if absent:
        yield Problem(f"the options {', '.join(absent)} are absent", "the operator's options table")
    first, output = node.input(0), node.output
    if first.dtype != output.dtype:
        yield Problem(
            f"{first.dtype} input with {output.dtype} output", "input and output of one dtype"
        )
    for tensor in (first, output):
        if tensor.dtype == "int8" and tensor.quantization is None:
            yield Problem(f"int8 tensor {tensor.name} has no scale", "one scale and zero point")


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
