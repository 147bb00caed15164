"""CONV_2D."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

import numpy as np
from tvm import te, tirx

from tvmtiny.ops.shared.checks import check_operands
from tvmtiny.ops.shared.epilogue import finished, layer, weight
from tvmtiny.ops.shared.expressions import Expression, int32
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
class Conv2D(Operator):
    """2-D convolution of NHWC activations with OHWI weights.

    Filters that are less deep than the input form groups: input and output channels are divided
    into equal parts, and each part of the output reads one part of the input.

    int16 activations have int8 weights, see `tvmtiny.ops.shared.int16_sums`.

    int8 matches LiteRT's ``reference_integer_ops::ConvPerChannel`` and TFLM bit for bit: both scale
    the int32 accumulator with two roundings. float32 sums in the order of ``reference_ops::Conv``,
    up to the compiler's contraction of multiply and add.
    """

    name = "CONV_2D"
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
        if len(weights.shape) != 4:
            yield Problem("weights must have four dimensions", "OHWI weights")
            return
        channels, *_, depth = weights.shape
        yield from check_convolution(node, axis=0)
        if x.dtype == "int16" and node.optional_input(2) is None:
            yield Problem("no bias", "a bias with int16 activations, as in LiteRT")
        if len(x.shape) != 4 or len(node.output.shape) != 4:
            return
        parts = x.shape[3] // depth if depth else 0
        fits = parts > 0 and parts * depth == x.shape[3] and channels % parts == 0
        if not fits or node.output.shape[3] != channels:
            yield Problem(
                f"{channels} filters of depth {depth} for {x.shape[3]} input channels and "
                f"{node.output.shape[3]} output channels",
                "filters as deep as the input or an equal part of it, one per output channel",
            )

    def compute(self, node: Node, oracle: Oracle) -> Compute:
        channels, height, width, depth = node.input(1).shape
        geometry = window(node, (height, width))
        (sy, sx), (dy, dx) = geometry.stride, geometry.dilation
        wide, zero = sum_dtype(node, axis=0), weight_zero_point(node)
        group_channels, offset = channels // groups(node), input_offset(node)

        def accumulate(x: te.Tensor, w: te.Tensor) -> te.Tensor:
            staged = pad_stage(x, geometry, node.input(0))
            ky = te.reduce_axis((0, height), "ky")
            kx = te.reduce_axis((0, width), "kx")
            kc = te.reduce_axis((0, depth), "kc")

            def tap(n: tirx.Var, y: tirx.Var, z: tirx.Var, o: tirx.Var) -> Expression:
                channel = kc
                if group_channels < channels:
                    channel = tirx.indexdiv(o, group_channels) * depth + kc
                value = staged[n, y * sy + ky * dy, z * sx + kx * dx, channel].astype(wide)
                if offset:
                    value = value - int32(offset)
                return te.sum(value * weight(w[o, ky, kx, kc], wide, zero), axis=[ky, kx, kc])

            return te.compute(node.output.shape, tap, name="acc")

        bias = folded_bias(node, axis=0, zero_point=zero)
        return layer(node, accumulate, bias, integer_rounding(node, axis=0))

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        w = inputs[1]
        x = centred(inputs[0], node.input(0))
        geometry = window(node, (w.shape[1], w.shape[2]))
        padded = pad_reference(x, geometry, 0)
        acc = np.zeros(node.output.shape, x.dtype)
        parts = groups(node)
        shifted = w.astype(x.dtype) - x.dtype.type(weight_zero_point(node))
        filters = shifted.reshape(parts, -1, *w.shape[1:])
        for ky, kx in np.ndindex(geometry.kernel):
            taps = np.split(patch(padded, geometry, ky, kx), parts, axis=3)
            products = [tap @ f[:, ky, kx].T for tap, f in zip(taps, filters, strict=True)]
            acc += np.concatenate(products, axis=3)
        return finished(node, acc, inputs[2:], integer_rounding(node, axis=0))

    def macs(self, node: Node) -> int:
        return prod(node.output.shape) * prod(node.input(1).shape[1:])


def groups(node: Node) -> int:
    """Return the number of groups of input channels."""
    return node.input(0).shape[3] // node.input(1).shape[3]
