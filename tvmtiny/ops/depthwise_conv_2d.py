"""DEPTHWISE_CONV_2D."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

import numpy as np
from tvm import te, tirx

from tvmtiny.ops.shared.checks import check_activation, check_operands
from tvmtiny.ops.shared.expressions import float_output, int32, quantized_output, requantize
from tvmtiny.ops.shared.int16_sums import (
    check_sums,
    check_zero_points,
    has_wide_sums,
    shortened,
    sum_dtype,
    wide_output,
)
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Compute, Operator, Oracle, Problem, register
from tvmtiny.ops.shared.output_rounding import convolution_rounding
from tvmtiny.ops.shared.quantization import clamp_float, convolution_multipliers
from tvmtiny.ops.shared.sliding_window import check_window, pad_reference, pad_stage, patch, window
from tvmtiny.ops.shared.weights import (
    bias_values,
    check_accumulator,
    check_weight_scales,
    check_weights,
    float_bias,
    folded_bias,
)


@register
class DepthwiseConv2D(Operator):
    """2-D convolution of each input channel with its own filters.

    Weights have the shape ``(1, height, width, input channels * depth multiplier)``; output
    channel ``o`` reads input channel ``o // depth multiplier``, and the multiplier follows from
    the shapes, as in LiteRT. int8 matches LiteRT's
    ``reference_integer_ops::DepthwiseConvPerChannel`` and TFLM bit by bit: both scale the int32
    accumulator with two roundings and take the weights as symmetric. int16 activations have int8
    weights, see `tvmtiny.ops.shared.int16_sums`. float32 sums in the order of
    ``reference_ops::DepthwiseConv``, up to the compiler's contraction of multiply and add.
    """

    name = "DEPTHWISE_CONV_2D"
    dtypes = ("int8", "int16", "float32")
    exactness = (
        "int8 bit-exact (two roundings, both oracles), int16 bit-exact (one rounding with an int64 "
        "bias); float32 within rounding of sums"
    )

    def check(self, node: Node) -> Iterator[Problem]:
        odd = list(check_operands(node, 2, ("padding", "stride_h", "stride_w")))
        if odd:
            yield from odd
            return
        x, weights = node.input(0), node.input(1)
        if len(weights.shape) != 4 or weights.shape[0] != 1:
            yield Problem(
                f"weights of shape {list(weights.shape)}",
                "weights of shape [1, height, width, channels]",
            )
            return
        _, height, width, channels = weights.shape
        yield from check_window(node, (height, width))
        yield from check_activation(node)
        problems = list(check_weights(node, channels, axis=3))
        problems += check_weight_scales(node)
        yield from problems
        if len(x.shape) != 4 or len(node.output.shape) != 4:
            return
        if channels % x.shape[3] or node.output.shape[3] != channels:
            yield Problem(
                f"{channels} filters for {x.shape[3]} input channels and "
                f"{node.output.shape[3]} output channels",
                "a whole number of filters per input channel, one output channel each",
            )
        if node.output.shape[0] != x.shape[0]:
            yield Problem("input and output differ in batch size", "equal batch sizes")
        if not problems and x.dtype == "int16":
            problems = list(check_zero_points(node))
            bias = node.optional_input(2)
            if bias is not None and bias.dtype != "int64":
                problems.append(Problem(f"{bias.dtype} bias", "an int64 bias, as in LiteRT"))
            yield from problems
            if not problems:
                assert weights.data is not None
                yield from check_sums(node, _taps(node))
        elif not problems and x.dtype == "int8":
            taps = _taps(node)
            yield from check_accumulator(taps, bias_values(node, channels), x.zero_point)

    def compute(self, node: Node, oracle: Oracle) -> Compute:
        x_tensor, weights = node.input(0), node.input(1)
        _, height, width, channels = weights.shape
        depth_multiplier = channels // x_tensor.shape[3]
        geometry = window(node, (height, width))
        (sy, sx), (dy, dx) = geometry.stride, geometry.dilation
        quantized = x_tensor.dtype != "float32"
        wide = _sum_dtype(node)

        def accumulate(x: te.Tensor, w: te.Tensor) -> te.Tensor:
            staged = pad_stage(x, geometry, x_tensor)
            ky = te.reduce_axis((0, height), "ky")
            kx = te.reduce_axis((0, width), "kx")

            def tap(n: tirx.Var, y: tirx.Var, z: tirx.Var, o: tirx.Var) -> tirx.PrimExpr:
                channel = o if depth_multiplier == 1 else tirx.indexdiv(o, depth_multiplier)
                value = staged[n, y * sy + ky * dy, z * sx + kx * dx, channel].astype(wide)
                return te.sum(value * w[0, ky, kx, o].astype(wide), axis=[ky, kx])

            return te.compute(node.output.shape, tap, name="acc")

        def integer(
            x: te.Tensor, w: te.Tensor, bias: te.Tensor, multiplier: te.Tensor, shift: te.Tensor
        ) -> te.Tensor:
            acc = accumulate(x, w)
            return te.compute(
                node.output.shape,
                lambda n, y, z, o: quantized_output(
                    requantize(acc[n, y, z, o] + bias[o], multiplier[o], int32(shift[o])), node
                ),
                name="out",
            )

        def wide_integer(
            x: te.Tensor, w: te.Tensor, bias: te.Tensor, multiplier: te.Tensor, shift: te.Tensor
        ) -> te.Tensor:
            acc = accumulate(x, w)
            return te.compute(
                node.output.shape,
                lambda n, y, z, o: wide_output(
                    node, acc[n, y, z, o], bias[o], multiplier[o], shift[o]
                ),
                name="out",
            )

        def floating(x: te.Tensor, w: te.Tensor, bias: te.Tensor) -> te.Tensor:
            acc = accumulate(x, w)
            return te.compute(
                node.output.shape,
                lambda n, y, z, o: float_output(acc[n, y, z, o] + bias[o], node),
                name="out",
            )

        if not quantized:
            return Compute((x_tensor, weights, float_bias(node, channels)), floating)
        if has_wide_sums(node):
            factors = shortened(*convolution_multipliers(node, channels))
            return Compute((x_tensor, weights, bias_values(node, channels), *factors), wide_integer)
        sums = _taps(node).sum(axis=1)
        return Compute(
            (
                x_tensor,
                weights,
                folded_bias(node, sums),
                *convolution_multipliers(node, channels),
            ),
            integer,
        )

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        x, w = inputs[0], inputs[1]
        channels = w.shape[3]
        quantized = x.dtype != np.float32
        zero = node.input(0).zero_point if quantized else 0
        wide = np.int64 if quantized else np.float32
        geometry = window(node, (w.shape[1], w.shape[2]))
        padded = pad_reference(x, geometry, zero).astype(wide) - wide(zero)
        spread = np.repeat(padded, channels // x.shape[3], axis=3)
        acc = np.zeros((x.shape[0], *geometry.output, channels), wide)
        for ky, kx in np.ndindex(geometry.kernel):
            acc += patch(spread, geometry, ky, kx) * w[0, ky, kx].astype(wide)
        if len(inputs) > 2:
            acc += inputs[2].reshape(-1).astype(wide)
        if not quantized:
            return [clamp_float(acc, node)]
        return [convolution_rounding(node, channels)(acc).astype(x.dtype)]

    def macs(self, node: Node) -> int:
        return prod(node.output.shape) * prod(node.input(1).shape[1:3])


def _sum_dtype(node: Node) -> str:
    if node.input(0).dtype == "int16":
        return sum_dtype(node, _taps(node))
    return "int32" if node.input(0).dtype == "int8" else "float32"


def _taps(node: Node) -> np.ndarray:
    """Return the weights as int64 of shape ``(channels, height * width)``."""
    weights = node.input(1)
    assert weights.data is not None
    return weights.data.reshape(-1, weights.shape[3]).T.astype(np.int64)
