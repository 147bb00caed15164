"""MEAN."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

import numpy as np
from tvm import te, tirx

from tvmtiny.ops.shared.checks import check_symmetric
from tvmtiny.ops.shared.expressions import (
    Expression,
    elementwise,
    float32,
    int32,
    quantized_output,
    requantize,
)
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Compute, Operator, Oracle, Problem, register
from tvmtiny.ops.shared.quantization import (
    INTEGER_RANGES,
    activation_range,
    quantize_multiplier,
)
from tvmtiny.ops.shared.quantization import requantize as requantize_reference
from tvmtiny.ops.shared.reduction import (
    accumulate,
    check_reduction,
    check_scales,
    keeps_dims,
    reduced_axes,
    reduced_count,
)


@register
class Mean(Operator):
    """Mean over any dimensions.

    int8 and int16 match ``reference_ops::QuantizedMeanOrSum`` of LiteRT and TFLM bit for bit: the
    sum is requantized with two roundings, by a multiplier that is divided by the count. float32
    sums in the order of ``reference_ops::Mean``.
    """

    name = "MEAN"
    dtypes = ("int8", "int16", "float32")
    exactness = (
        "int8 and int16 bit-exact (two roundings, both oracles); float32 within rounding of sums"
    )
    input_count = 2

    def check_node(self, node: Node) -> Iterator[Problem]:
        problems = [*check_reduction(node)] or [*check_scales(node)] or [*check_symmetric(node)]
        yield from problems
        if problems or node.output.dtype == "float32":
            return
        low, high = INTEGER_RANGES[node.output.dtype]
        room = 31 - ((high - low) * reduced_count(node)).bit_length()
        if mean_multiplier(node)[1] > room:
            yield Problem(
                f"an output scale of {node.output.scale:.3g} for an input scale of "
                f"{node.input(0).scale:.3g}",
                "an output scale for which the sum stays within 32 bits",
            )

    def compute(self, node: Node, oracle: Oracle) -> Compute:
        quantized = node.output.dtype != "float32"
        wide = "int32" if quantized else "float32"

        def integer(x: te.Tensor) -> te.Tensor:
            acc = accumulate(node, x, te.sum, wide)
            multiplier, shift = mean_multiplier(node)
            zeros = node.input(0).zero_point * reduced_count(node)

            def value(*i: tirx.Var) -> Expression:
                scaled = requantize(acc(*i) - int32(zeros), int32(multiplier), int32(shift))
                return quantized_output(scaled, node)

            return elementwise(node.output.shape, value)

        def floating(x: te.Tensor) -> te.Tensor:
            acc = accumulate(node, x, te.sum, wide)
            return elementwise(node.output.shape, lambda *i: acc(*i) / float32(reduced_count(node)))

        return Compute((node.input(0),), integer if quantized else floating)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        keep, count = keeps_dims(node), reduced_count(node)
        if node.output.dtype == "float32":
            total = inputs[0].sum(axis=reduced_axes(node), dtype=np.float32, keepdims=keep)
            return [np.asarray(total / np.float32(count), np.float32)]
        total = inputs[0].sum(axis=reduced_axes(node), dtype=np.int64, keepdims=keep)
        scaled = requantize_reference(
            total - node.input(0).zero_point * count, *mean_multiplier(node)
        )
        clipped = np.clip(scaled + node.output.zero_point, *activation_range(node))
        return [np.asarray(clipped, node.output.dtype)]


def reduced_block(node: Node) -> tuple[int, int, int] | None:
    """Return the input's shape with the dimensions before, in and after the reduction merged.

    Returns
    -------
    tuple of int or None
        None if the reduced dimensions are not adjacent.
    """
    axes, shape = reduced_axes(node), node.input(0).shape
    if not axes or axes[-1] - axes[0] + 1 != len(axes):
        return None
    return prod(shape[: axes[0]]), reduced_count(node), prod(shape[axes[-1] + 1 :])


def mean_multiplier(node: Node) -> tuple[int, int]:
    """Return multiplier and shift of the ratio of scales divided by the count, truncated."""
    multiplier, shift = quantize_multiplier(node.input(0).scale / node.output.scale)
    count = reduced_count(node)
    spare = min(count.bit_length() - 1, 32, 31 + shift)
    return (multiplier << spare) // count, shift - spare
