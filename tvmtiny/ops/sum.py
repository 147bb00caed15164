"""SUM."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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
    wrapped,
)
from tvmtiny.ops.shared.legacy import is_from_uint8
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Compute, Operator, Oracle, Problem, register
from tvmtiny.ops.shared.quantization import (
    INT8_RANGE,
    INT32_RANGE,
    INTEGER_RANGES,
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
class Sum(Operator):
    """Sum over any dimensions.

    int8 and int16 match ``QuantizedMeanOrSum`` bit for bit, which rescales the sum in float32.
    LiteRT 2's reference kernel treats their bytes as uint8, so results are those of its other
    kernels. In uint8 models the sum is requantized with two roundings. int32 and int64 wrap around.
    """

    name = "SUM"
    dtypes = ("int8", "int16", "int32", "int64", "float32")
    exactness = (
        "integers bit-exact (int8, int16: LiteRT's optimized kernel, its reference kernel is "
        "wrong); "
        "float32 within rounding of sums"
    )
    input_count = 2

    def check_node(self, node: Node) -> Iterator[Problem]:
        problems = [*check_reduction(node)] or [*check_scales(node)] or [*check_symmetric(node)]
        yield from problems
        if not problems and reduced_count(node) >= 2**24:
            yield Problem(f"{reduced_count(node)} elements in a sum", "fewer than 2^24 elements")
        elif not problems and node.output.dtype in INTEGER_RANGES:
            low, high = INTEGER_RANGES[node.output.dtype]
            largest = (high - low) * reduced_count(node)
            steps = largest * node.input(0).scale / node.output.scale
            if max(largest, steps) > INT32_RANGE[1] - 2**16:
                yield Problem(
                    "a sum can exceed 32 bits, where LiteRT's result is undefined",
                    "an output scale that fits the sums",
                )

    def compute(self, node: Node, oracle: Oracle) -> Compute:
        def plain(x: te.Tensor) -> te.Tensor:
            total = te.comm_reducer(
                lambda a, b: wrapped(lambda c, d: c + d, a, b),
                lambda dtype: tirx.const(0, dtype),
                name="sum",
            )
            return accumulate(node, x, total, node.output.dtype, "out")

        def quantized(x: te.Tensor) -> te.Tensor:
            acc = accumulate(node, x, te.sum, "int32")
            if is_from_uint8(node):
                return elementwise(node.output.shape, lambda *i: _requantized(node, acc(*i)))
            scale, bias = (float32(float(number)) for number in scaled_line(node))

            def value(*i: tirx.Var) -> Expression:
                scaled = tirx.call_pure_extern(
                    "float32",
                    "tvmtiny_scaled_sum",
                    acc(*i),
                    scale,
                    bias,
                )
                limits = INTEGER_RANGES[node.output.dtype]
                ends = (int32(end) for end in (node.output.zero_point, *limits))
                rounded = tirx.call_pure_extern(
                    "int32", "tvmtiny_quantize", scaled, float32(1), *ends
                )
                return rounded.astype(node.output.dtype)

            return elementwise(node.output.shape, value)

        return Compute(
            (node.input(0),), quantized if node.output.dtype in INTEGER_RANGES else plain
        )

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        x, dtype = inputs[0], np.dtype(node.output.dtype)
        scaled_dtype = node.output.dtype in INTEGER_RANGES
        wide = np.dtype(np.int64) if scaled_dtype else dtype
        total = np.asarray(x.sum(axis=reduced_axes(node), dtype=wide, keepdims=keeps_dims(node)))
        if not scaled_dtype:
            return [total.astype(dtype)]
        if is_from_uint8(node):
            zeros = node.input(0).zero_point * reduced_count(node)
            scaled = requantize_reference(total - zeros, *_multiplier(node))
            return [np.clip(scaled + node.output.zero_point, *INT8_RANGE).astype(np.int8)]
        scale, bias = scaled_line(node)
        value = total.astype(np.float32) * scale + bias
        rounded = np.trunc(value + np.copysign(np.float32(0.5), value))
        limits = INTEGER_RANGES[node.output.dtype]
        return [np.clip(rounded + node.output.zero_point, *limits).astype(dtype)]


def _multiplier(node: Node) -> tuple[int, int]:
    return quantize_multiplier(node.input(0).scale / node.output.scale)


def _requantized(node: Node, acc: Expression) -> Expression:
    zeros = node.input(0).zero_point * reduced_count(node)
    multiplier, shift = _multiplier(node)
    return quantized_output(requantize(acc - int32(zeros), int32(multiplier), int32(shift)), node)


def scaled_line(node: Node) -> tuple[np.float32, np.float32]:
    """Return the factor and the addend that the reference applies to a sum, all in float32."""
    x, count = node.input(0), np.float32(reduced_count(node))
    scale = np.float32(x.scale) / np.float32(node.output.scale)
    return scale, np.float32(-x.zero_point) * scale * count
