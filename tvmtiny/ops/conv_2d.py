"""CONV_2D."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

import numpy as np
from tvm import te, tirx

from tvmtiny.ops.shared.checks import check_activation, check_operands
from tvmtiny.ops.shared.expressions import (
    Expression,
    float_output,
    int32,
    quantized_output,
    requantize,
)
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
class Conv2D(Operator):
    """2-D convolution, NHWC activations and OHWI weights.

    Filters that are less deep than the input make groups: the output channels are as many equal
    parts, each of which reads its part of the input channels.

    int16 activations have int8 weights, see `tvmtiny.ops.shared.int16_sums`.

    int8 matches LiteRT's ``reference_integer_ops::ConvPerChannel`` and TFLM bit by bit: both scale
    the int32 accumulator with two roundings. float32 sums in the order of ``reference_ops::Conv``,
    up to the compiler's contraction of multiply and add.
    """

    name = "CONV_2D"
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
        if len(weights.shape) != 4:
            yield Problem("weights must have four dimensions", "OHWI weights")
            return
        channels, height, width, depth = weights.shape
        yield from check_window(node, (height, width))
        yield from check_activation(node)
        problems = list(check_weights(node, channels, axis=0))
        problems += check_weight_scales(node)
        yield from problems
        if len(x.shape) != 4 or len(node.output.shape) != 4:
            return
        parts = x.shape[3] // depth if depth else 0
        if parts * depth != x.shape[3] or channels % parts or node.output.shape[3] != channels:
            yield Problem(
                f"{channels} filters of depth {depth} for {x.shape[3]} input channels and "
                f"{node.output.shape[3]} output channels",
                "filters as deep as the input or an equal part of it, one an output channel",
            )
        if node.output.shape[0] != x.shape[0]:
            yield Problem("input and output differ in batch size", "equal batch sizes")
        if not problems and x.dtype == "int16":
            problems = list(check_zero_points(node))
            if node.optional_input(2) is None:
                problems.append(Problem("no bias", "a bias with int16 activations, as in LiteRT"))
            yield from problems
            if not problems:
                assert weights.data is not None
                yield from check_sums(node, weights.data.reshape(channels, -1))
        elif not problems and x.dtype == "int8":
            assert weights.data is not None
            taps = weights.data.reshape(channels, -1)
            yield from check_accumulator(taps, bias_values(node, channels), x.zero_point)

    def compute(self, node: Node, oracle: Oracle) -> Compute:
        weights = node.input(1)
        assert weights.data is not None
        channels, height, width, depth = weights.shape
        geometry = window(node, (height, width))
        (sy, sx), (dy, dx) = geometry.stride, geometry.dilation
        quantized = node.input(0).dtype != "float32"
        wide = _sum_dtype(node)
        group_channels = channels // groups(node)

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
                return te.sum(value * w[o, ky, kx, kc].astype(wide), axis=[ky, kx, kc])

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
            return Compute((node.input(0), weights, float_bias(node, channels)), floating)
        if has_wide_sums(node):
            factors = shortened(*convolution_multipliers(node, channels))
            return Compute(
                (node.input(0), weights, bias_values(node, channels), *factors), wide_integer
            )
        sums = weights.data.reshape(channels, -1).astype(np.int64).sum(axis=1)
        return Compute(
            (
                node.input(0),
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
        channels = w.shape[0]
        quantized = x.dtype != np.float32
        zero = node.input(0).zero_point if quantized else 0
        wide = np.int64 if quantized else np.float32
        geometry = window(node, (w.shape[1], w.shape[2]))
        padded = pad_reference(x, geometry, zero).astype(wide) - wide(zero)
        acc = np.zeros((x.shape[0], *geometry.output, channels), wide)
        parts = groups(node)
        filters = w.astype(wide).reshape(parts, -1, *w.shape[1:])
        for ky, kx in np.ndindex(geometry.kernel):
            taps = np.split(patch(padded, geometry, ky, kx), parts, axis=3)
            products = [tap @ f[:, ky, kx].T for tap, f in zip(taps, filters, strict=True)]
            acc += np.concatenate(products, axis=3)
        if len(inputs) > 2:
            acc += inputs[2].reshape(-1).astype(wide)
        if not quantized:
            return [clamp_float(acc, node)]
        return [convolution_rounding(node, channels)(acc).astype(x.dtype)]

    def macs(self, node: Node) -> int:
        return prod(node.output.shape) * prod(node.input(1).shape[1:])


def _sum_dtype(node: Node) -> str:
    weights = node.input(1)
    assert weights.data is not None
    if node.input(0).dtype == "int16":
        return sum_dtype(node, weights.data.reshape(weights.shape[0], -1))
    return "int32" if node.input(0).dtype == "int8" else "float32"


def groups(node: Node) -> int:
    """How many parts of the input channels have filters of their own."""
    return node.input(0).shape[3] // node.input(1).shape[3]
