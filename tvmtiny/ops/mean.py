"""MEAN."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

import numpy as np
from tvm import te, tirx

from tvmtiny.ops.elementwise import check_count, check_scale, check_shape, float32
from tvmtiny.ops.expressions import (
    Expression,
    elementwise,
    int32,
    quantized_output,
    requantize,
)
from tvmtiny.ops.node import Node
from tvmtiny.ops.operator import Compute, Operator, Oracle, Problem, register
from tvmtiny.ops.quantization import activation_range, quantize_multiplier
from tvmtiny.ops.quantization import requantize as requantize_reference


@register
class Mean(Operator):
    """Mean over any dimensions.

    int8 matches ``reference_ops::QuantizedMeanOrSum`` of LiteRT and TFLM bit by bit: the sum is
    requantized, twice rounded, by a multiplier into which the count has been divided. float32
    sums in the order of ``reference_ops::Mean``.
    """

    name = "MEAN"
    exactness = "int8 bit-exact (two roundings, both oracles); float32 within rounding of sums"

    def check(self, node: Node) -> Iterator[Problem]:
        problems = [*check_count(node, 2)]
        if problems:
            yield from problems
            return
        x, axes = node.input(0), node.input(1)
        if x.dtype != node.output.dtype:
            yield Problem(f"{x.dtype} input and {node.output.dtype} output", "one dtype")
        if node.output.dtype == "int8":
            yield from check_scale(x)
            yield from check_scale(node.output)
        if axes.data is None:
            yield Problem("axes are computed at run time", "constant axes")
        elif axes.dtype != "int32":
            yield Problem(f"{axes.dtype} axes", "int32 axes")
        elif any(not -len(x.shape) <= axis < len(x.shape) for axis in axes.data.reshape(-1)):
            yield Problem(
                f"axes {axes.data.reshape(-1).tolist()} of {len(x.shape)} dimensions",
                f"axes from {-len(x.shape)} to {len(x.shape) - 1}",
            )
        else:
            kept = [1 if i in _axes(node) else d for i, d in enumerate(x.shape)]
            if not node.options.get("keep_dims", False):
                kept = [d for i, d in enumerate(x.shape) if i not in _axes(node)]
            yield from check_shape(node, kept)

    def compute(self, node: Node, oracle: Oracle) -> Compute:
        quantized = node.output.dtype == "int8"
        axes, shape = _axes(node), node.input(0).shape
        kept = [i for i in range(len(shape)) if i not in axes]
        keep_dims = bool(node.options.get("keep_dims", False))
        wide = "int32" if quantized else "float32"

        def accumulate(x: te.Tensor) -> te.Tensor:
            reduced = {i: te.reduce_axis((0, shape[i]), f"k{i}") for i in axes}

            def value(*indices: tirx.Var) -> Expression:
                position = range(len(shape)) if keep_dims else kept
                spatial = dict(zip(position, indices, strict=False))
                source = [reduced[i] if i in reduced else spatial[i] for i in range(len(shape))]
                element = x(*(source or [0])).astype(wide)
                return te.sum(element, axis=list(reduced.values())) if reduced else element

            return elementwise(node.output.shape, value, "acc")

        def integer(x: te.Tensor) -> te.Tensor:
            acc = accumulate(x)
            multiplier, shift = mean_multiplier(node)
            zeros = node.input(0).zero_point * _count(node)

            def value(*i: tirx.Var) -> Expression:
                scaled = requantize(acc(*i) - int32(zeros), int32(multiplier), int32(shift))
                return quantized_output(scaled, node)

            return elementwise(node.output.shape, value)

        def floating(x: te.Tensor) -> te.Tensor:
            acc = accumulate(x)
            return elementwise(node.output.shape, lambda *i: acc(*i) / float32(_count(node)))

        return Compute((node.input(0),), integer if quantized else floating)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        keep, count = bool(node.options.get("keep_dims", False)), _count(node)
        if node.output.dtype != "int8":
            total = inputs[0].sum(axis=_axes(node), dtype=np.float32, keepdims=keep)
            return [np.asarray(total / np.float32(count), np.float32)]
        total = inputs[0].sum(axis=_axes(node), dtype=np.int64, keepdims=keep)
        scaled = requantize_reference(
            total - node.input(0).zero_point * count, *mean_multiplier(node)
        )
        clipped = np.clip(scaled + node.output.zero_point, *activation_range(node))
        return [np.asarray(clipped, np.int8)]


def reduced_block(node: Node) -> tuple[int, int, int] | None:
    """The input's shape where the dimensions before, in and after the reduced ones are one each.

    Returns
    -------
    tuple of int or None
        None where the reduced dimensions are not neighbours.
    """
    axes, shape = _axes(node), node.input(0).shape
    if not axes or axes[-1] - axes[0] + 1 != len(axes):
        return None
    return prod(shape[: axes[0]]), _count(node), prod(shape[axes[-1] + 1 :])


def mean_multiplier(node: Node) -> tuple[int, int]:
    """Multiplier and shift of the scales' ratio divided by the count, truncated."""
    multiplier, shift = quantize_multiplier(node.input(0).scale / node.output.scale)
    count = _count(node)
    spare = min(count.bit_length() - 1, 32, 31 + shift)
    return (multiplier << spare) // count, shift - spare


def _axes(node: Node) -> tuple[int, ...]:
    """The axes that are averaged, each once, in ascending order."""
    data, rank = node.input(1).data, len(node.input(0).shape)
    assert data is not None
    return tuple(sorted({int(axis) % rank for axis in data.reshape(-1)}))


def _count(node: Node) -> int:
    return prod(node.input(0).shape[i] for i in _axes(node))
