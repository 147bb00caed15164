"""DEPTHWISE_CONV_2D."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

import numpy as np
from tvm import te, tirx

from tvmtiny.ops.shared.checks import check_operands
from tvmtiny.ops.shared.epilogue import finished, layer, weight
from tvmtiny.ops.shared.expressions import int32
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Compute, Operator, Oracle, Problem, register
from tvmtiny.ops.shared.output_rounding import integer_rounding
from tvmtiny.ops.shared.quantization import centred
from tvmtiny.ops.shared.sliding_window import (
    pad_reference,
    pad_stage,
    patch,
    window,
)
from tvmtiny.ops.shared.weights import (
    check_convolution,
    folded_bias,
    input_offset,
    sum_dtype,
    weight_zero_point,
)


@register
class DepthwiseConv2D(Operator):
    """2-D convolution of each input channel with its own filters.

    Weights have the shape ``(1, height, width, input channels * depth multiplier)``. Output channel
    ``o`` reads input channel ``o // depth multiplier``; the multiplier follows from the shapes, as
    in LiteRT. int8 matches LiteRT's ``reference_integer_ops::DepthwiseConvPerChannel`` and TFLM bit
    for bit: both scale the int32 accumulator with two roundings and treat the weights as symmetric.
    int16 activations have int8 weights, see `tvmtiny.ops.shared.int16_sums`. float32 sums in the
    order of ``reference_ops::DepthwiseConv``, up to the compiler's contraction of multiply and add.
    """

    name = "DEPTHWISE_CONV_2D"
    dtypes = ("int8", "int16", "float32")
    exactness = (
        "int8 bit-exact (two roundings, both oracles), int16 bit-exact (one rounding with an int64 "
        "bias); float32 within rounding of sums"
    )

    def check_node(self, node: Node) -> Iterator[Problem]:
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
        channels = weights.shape[3]
        yield from check_convolution(node, axis=3)
        bias = node.optional_input(2)
        if x.dtype == "int16" and bias is not None and bias.dtype == "int32":
            yield Problem("int32 bias", "an int64 bias, as in LiteRT")
        if len(x.shape) != 4 or len(node.output.shape) != 4:
            return
        if not x.shape[3] or channels % x.shape[3] or node.output.shape[3] != channels:
            yield Problem(
                f"{channels} filters for {x.shape[3]} input channels and "
                f"{node.output.shape[3]} output channels",
                "a whole number of filters per input channel, one output channel each",
            )

    def compute(self, node: Node, oracle: Oracle) -> Compute:
        _, height, width, channels = node.input(1).shape
        depth_multiplier = channels // node.input(0).shape[3]
        geometry = window(node, (height, width))
        (sy, sx), (dy, dx) = geometry.stride, geometry.dilation
        wide, zero = sum_dtype(node, axis=3), weight_zero_point(node)
        offset = input_offset(node)

        def accumulate(x: te.Tensor, w: te.Tensor) -> te.Tensor:
            staged = pad_stage(x, geometry, node.input(0))
            ky = te.reduce_axis((0, height), "ky")
            kx = te.reduce_axis((0, width), "kx")

            def tap(n: tirx.Var, y: tirx.Var, z: tirx.Var, o: tirx.Var) -> tirx.PrimExpr:
                channel = o if depth_multiplier == 1 else tirx.indexdiv(o, depth_multiplier)
                value = staged[n, y * sy + ky * dy, z * sx + kx * dx, channel].astype(wide)
                if offset:
                    value = value - int32(offset)
                return te.sum(value * weight(w[0, ky, kx, o], wide, zero), axis=[ky, kx])

            return te.compute(node.output.shape, tap, name="acc")

        bias = folded_bias(node, axis=3, zero_point=zero)
        return layer(node, accumulate, bias, integer_rounding(node, axis=3))

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        w = inputs[1]
        x = centred(inputs[0], node.input(0))
        geometry = window(node, (w.shape[1], w.shape[2]))
        spread = np.repeat(pad_reference(x, geometry, 0), w.shape[3] // x.shape[3], axis=3)
        acc = np.zeros(node.output.shape, x.dtype)
        filters = w.astype(x.dtype) - x.dtype.type(weight_zero_point(node))
        for ky, kx in np.ndindex(geometry.kernel):
            acc += patch(spread, geometry, ky, kx) * filters[0, ky, kx]
        return finished(node, acc, inputs[2:], integer_rounding(node, axis=3))

    def macs(self, node: Node) -> int:
        return prod(node.output.shape) * prod(node.input(1).shape[1:3])
