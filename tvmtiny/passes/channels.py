"""Dependence of an operator's output channels on the channels of its operands.

A channel is a position along a tensor's last dimension; a scalar has one channel. There are three
cases: an operator reduces over channels (`Dense`), each output channel comes from certain channels
of the operands (`Link`), or nothing is known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tvmtiny.ops import Node, Tensor
from tvmtiny.ops.shared.quantization import INT32_RANGE
from tvmtiny.ops.shared.sliding_window import window
from tvmtiny.ops.shared.weights import WEIGHTED, has_constants, weight_zero_point


def channel_count(tensor: Tensor) -> int:
    """Return the length of the last dimension; 1 for a scalar."""
    return tensor.shape[-1] if tensor.shape else 1


@dataclass(frozen=True, eq=False)
class Link:
    """The channels of one operand that the output channels read.

    An output channel always needs the channels that it reads.

    Attributes
    ----------
    position
        Position of the operand among the node's inputs.
    source, target
        Pairs of an operand channel and an output channel.
    weighed
        Output channels that depend on the values that they read; None if all do.
    tied
        Whether a channel that stays in the operand has to stay in the output as well.
    """

    position: int
    source: np.ndarray
    target: np.ndarray
    weighed: np.ndarray | None = None
    tied: bool = True


@dataclass(frozen=True, eq=False)
class Dense:
    """A sum over the input's channels with constant int8 weights: CONV_2D or FULLY_CONNECTED.

    Attributes
    ----------
    terms
        Weights minus their zero point: int64 of shape ``(output channels, input channels, taps)``.
    bias
        Biases: int64, one per output channel.
    zero_point
        Zero point of the input.
    padded
        Whether some taps may lie outside the input, where its zero point is read.
    least
        The fewest output channels with which the arithmetic stays the same.
    """

    terms: np.ndarray
    bias: np.ndarray
    zero_point: int
    padded: bool
    least: int

    @cached_property
    def reads(self) -> np.ndarray:
        """Whether an output channel reads an input channel: bool, ``(output, input)``."""
        return np.asarray(self.terms.any(axis=2))

    @cached_property
    def sums(self) -> np.ndarray:
        """Sums over the taps: int64, ``(output, input)``."""
        return self.terms.sum(axis=2)

    def foldable(self, uniform: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return the input channels whose contribution can be folded into the bias.

        Parameters
        ----------
        uniform, values
            Input channels with the same known value at all positions, and these values.
        """
        neutral = uniform & (values == self.zero_point)
        if self.padded:
            return neutral
        size = np.abs(self.terms).sum(axis=2)
        largest = size @ (np.abs(values - self.zero_point) + abs(self.zero_point))
        if np.max(largest + np.abs(self.bias), initial=0) > INT32_RANGE[1]:
            return neutral
        return uniform


#: How output channels depend on operands; None if nothing is known.
Relation = Dense | tuple[Link, ...] | None


def relation(node: Node) -> Relation:
    """Return how the output's channels depend on the operands; at most one link for each."""
    if not _all_int8(node) or (node.operator in WEIGHTED and not has_constants(node)):
        return None
    if node.operator in ("CONV_2D", "FULLY_CONNECTED"):
        return _dense(node)
    rule = _RULES.get(node.operator)
    return None if rule is None else rule(node)


def _dense(node: Node) -> Dense | None:
    x, weights, bias = node.input(0), node.input(1), node.optional_input(2)
    if x.data is not None:
        return None
    assert weights.data is not None and weights.quantization is not None
    scales = weights.quantization
    outputs, inputs = weights.shape[0], channel_count(x)
    wide = weights.data.astype(np.int64)
    padded, least = False, 1
    if node.operator == "CONV_2D":
        wide = wide - weight_zero_point(node)
    if node.operator == "CONV_2D":
        if weights.shape[3] != inputs:
            return None
        terms = wide.transpose(0, 3, 1, 2).reshape(outputs, inputs, -1)
        padded = window(node, (weights.shape[1], weights.shape[2])).padded
    else:
        if weights.shape[1] % inputs:
            return None
        if scales.per_channel:
            # A single scale would count as one per tensor, for which TFLM rounds the product of
            # the scales earlier, and with which weights may have a zero point.
            least = min(2, outputs)
        else:
            wide = wide - scales.zero_points[0]
        terms = wide.reshape(outputs, -1, inputs).transpose(0, 2, 1)
    values = np.zeros(outputs, np.int64)
    if bias is not None and bias.data is not None:
        values = bias.data.reshape(-1).astype(np.int64)
    return Dense(terms, values, x.zero_point, padded, least)


def _all_int8(node: Node) -> bool:
    """Return whether there is one output, which like the computed operands is int8 with one scale.

    Nothing is proven for floats: their sums depend on the order, and infinity times zero is NaN.
    """
    operands = [t for t in node.inputs if t is not None and t.data is None]
    return len(node.outputs) == 1 and all(
        t.dtype == "int8" and t.quantization is not None and not t.quantization.per_channel
        for t in (*operands, node.output)
    )


def _first(node: Node) -> tuple[Link, ...]:
    """Link channel `c` of the output to channel `c` of the first operand."""
    each = np.arange(channel_count(node.output))
    return (Link(0, each, each),)


def _binary(node: Node) -> tuple[Link, ...]:
    each = np.arange(channel_count(node.output))
    wide = [channel_count(node.input(i)) == len(each) for i in range(2)]
    return tuple(
        Link(i, each if wide[i] else np.zeros_like(each), each, tied=wide[i]) for i in range(2)
    )


def _depthwise(node: Node) -> tuple[Link, ...]:
    each, inputs = np.arange(channel_count(node.output)), channel_count(node.input(0))
    weights = node.input(1).data
    assert weights is not None
    source = each // (len(each) // inputs)
    # All remaining input channels need the same number of filters.
    weighed = np.asarray((weights != weight_zero_point(node)).any(axis=(0, 1, 2)))
    return (Link(0, source, each, weighed, tied=inputs > 1),)


def _reshape(node: Node) -> tuple[Link, ...] | None:
    inputs, outputs = channel_count(node.input(0)), channel_count(node.output)
    if outputs % inputs and inputs % outputs:
        return None
    each = np.arange(max(inputs, outputs))
    return (Link(0, each % inputs, each % outputs),)


def _concatenation(node: Node) -> tuple[Link, ...]:
    rank = len(node.output.shape)
    along = node.options.get("axis", 0) % rank == rank - 1
    result, start = [], 0
    for position in range(len(node.inputs)):
        each = np.arange(channel_count(node.input(position)))
        result.append(Link(position, each, start + each))
        start += len(each) if along else 0
    return tuple(result)


def _pad(node: Node) -> tuple[Link, ...]:
    paddings = node.input(1).data
    assert paddings is not None
    each = np.arange(channel_count(node.input(0)))
    return (Link(0, each, int(paddings[-1, 0]) + each),)


def _mean(node: Node) -> tuple[Link, ...] | None:
    axes, rank = node.input(1).data, len(node.input(0).shape)
    assert axes is not None
    if rank - 1 in {int(axis) % rank for axis in axes.reshape(-1)}:
        return None
    return _first(node)


_RULES: dict[str, Callable[[Node], tuple[Link, ...] | None]] = {
    "ADD": _binary,
    "AVERAGE_POOL_2D": _first,
    "CONCATENATION": _concatenation,
    "DEPTHWISE_CONV_2D": _depthwise,
    "LOGISTIC": _first,
    "MAX_POOL_2D": _first,
    "MEAN": _mean,
    "MUL": _binary,
    "PAD": _pad,
    "QUANTIZE": _first,
    "RESHAPE": _reshape,
}
