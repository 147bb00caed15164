"""TRANSPOSE_CONV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
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
from tvmtiny.ops.shared.weights import (
    bias_values,
    check_layer,
    has_constants,
    sum_dtype,
    weight_zero_point,
)


@register
class TransposeConv(Operator):
    """The gradient of a convolution: each input pixel adds its filters to a window of the output.

    The inputs are the output's shape, OHWI weights, the NHWC activation and an optional bias. Here
    each output pixel gathers the taps that reach it, which gives the same integer sum: LiteRT's
    ``reference_integer_ops::TransposeConv`` scales the int32 sum with two roundings, as TFLM does.
    int16 activations have int8 weights and an int64 bias, see `tvmtiny.ops.shared.int16_sums`.
    float32 sums in another order than ``reference_ops::TransposeConv``.
    """

    name = "TRANSPOSE_CONV"
    data = 2
    dtypes = ("int8", "int16", "float32")
    exactness = (
        "int8 bit-exact (two roundings, both oracles), int16 bit-exact (one rounding); float32 "
        "within rounding of sums"
    )

    def check_node(self, node: Node) -> Iterator[Problem]:
        if len(node.inputs) < 3 or None in node.inputs[:3]:
            yield Problem("inputs are missing", "a shape, weights and an activation")
            return
        inner = as_convolution(node)
        odd = list(check_operands(inner, 2, ("padding", "stride_h", "stride_w")))
        if odd:
            yield from odd
            return
        x, weights, y = inner.input(0), inner.input(1), node.output
        if len(weights.shape) != 4 or len(x.shape) != 4 or len(y.shape) != 4:
            yield Problem("tensors without four dimensions", "NHWC tensors and OHWI weights")
            return
        channels, height, width, depth = weights.shape
        yield from check_layer(inner, axis=0, zero_point=weight_zero_point(inner))
        if not has_constants(inner):
            yield Problem("weights or bias are computed at run time", "constant weights and bias")
        if (x.shape[3], y.shape[3], y.shape[0]) != (depth, channels, x.shape[0]):
            yield Problem(
                f"input {list(x.shape)} and output {list(y.shape)} do not fit weights "
                f"{list(weights.shape)}",
                "weights of shape [output channels, height, width, input channels]",
            )
        if node.options["padding"] not in ("SAME", "VALID"):
            yield Problem(f"padding {node.options['padding']}", "SAME or VALID")
        elif min(node.options["stride_h"], node.options["stride_w"], height, width) < 1:
            yield Problem("stride or filter size below 1", "positive numbers")

    def compute(self, node: Node, oracle: Oracle) -> Compute:
        inner = as_convolution(node)
        x_tensor, depth = inner.input(0), inner.input(1).shape[3]
        rows, columns = axes(node)
        quantized = x_tensor.dtype == "int8"
        wide, zero = sum_dtype(inner, axis=0), weight_zero_point(inner)

        def accumulate(x: te.Tensor, w: te.Tensor) -> te.Tensor:
            jy = te.reduce_axis((0, rows.steps), "jy")
            jx = te.reduce_axis((0, columns.steps), "jx")
            kc = te.reduce_axis((0, depth), "kc")

            def tap(n: tirx.Var, y: tirx.Var, z: tirx.Var, o: tirx.Var) -> Expression:
                iy, ky, inside_y = rows.reached(y, jy)
                ix, kx, inside_x = columns.reached(z, jx)
                value = x[n, iy, ix, kc].astype(wide)
                if quantized and x_tensor.zero_point:
                    value = value - int32(x_tensor.zero_point)
                product = value * weight(w[o, ky, kx, kc], wide, zero)
                nothing = tirx.const(0, wide)
                inside = tirx.all(*inside_y, *inside_x)
                return te.sum(tirx.if_then_else(inside, product, nothing), axis=[jy, jx, kc])

            return te.compute(node.output.shape, tap, name="acc")

        bias = bias_values(inner, node.output.shape[3])
        return layer(inner, accumulate, bias, integer_rounding(inner, axis=0))

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        w, (rows, columns) = inputs[1], axes(node)
        inner = as_convolution(node)
        x = centred(inputs[2], inner.input(0))
        channels, height, width, _ = w.shape
        filters = w.astype(x.dtype) - x.dtype.type(weight_zero_point(inner))
        size = [
            max(axis.stride * (axis.input - 1) + axis.kernel, axis.pad + axis.output)
            for axis in (rows, columns)
        ]
        acc = np.zeros((x.shape[0], *size, channels), x.dtype)
        for ky, kx in np.ndindex(height, width):
            bottom = ky + rows.stride * (rows.input - 1) + 1
            right = kx + columns.stride * (columns.input - 1) + 1
            acc[:, ky : bottom : rows.stride, kx : right : columns.stride] += (
                x @ filters[:, ky, kx].T
            )
        acc = acc[:, rows.pad : rows.pad + rows.output]
        acc = acc[:, :, columns.pad : columns.pad + columns.output]
        return finished(inner, acc, inputs[3:], integer_rounding(inner, axis=0))

    def macs(self, node: Node) -> int:
        return prod(node.input(2).shape) * prod(node.input(1).shape[:3])


@dataclass(frozen=True)
class Axis:
    """Geometry along height or width."""

    input: int
    output: int
    kernel: int
    stride: int
    pad: int

    @property
    def steps(self) -> int:
        """Most taps that can reach an output."""
        return -(-self.kernel // self.stride)

    def reached(
        self, position: tirx.Var, step: tirx.Var
    ) -> tuple[Expression, Expression, list[Expression]]:
        """Return the input and the tap that reach an output position, and whether they exist."""
        padded = position + self.pad
        tap = tirx.indexmod(padded, self.stride) + step * self.stride
        origin = tirx.indexdiv(padded, self.stride) - step
        inside = [origin >= 0, origin < self.input]
        if self.kernel % self.stride:
            inside.append(tap < self.kernel)
        return origin, tap, inside


def axes(node: Node) -> tuple[Axis, Axis]:
    """Height and width; padding as in LiteRT's ``ComputePaddingHeightWidth`` of the output.

    The option `row_pad`, which nodes for rows have, replaces that of the height.
    """
    axes = []
    for axis, name in enumerate(("stride_h", "stride_w"), 1):
        extent, taps = node.output.shape[axis], node.input(1).shape[axis]
        stride = int(node.options[name])
        same = node.options["padding"] == "SAME"
        windows = -(-extent // stride) if same else (extent - taps + stride) // stride
        pad = max(0, (windows - 1) * stride + taps - extent) // 2
        axes.append(Axis(node.input(2).shape[axis], extent, taps, stride, pad))
    rows = replace(axes[0], pad=int(node.options.get("row_pad", axes[0].pad)))
    return rows, axes[1]


def as_convolution(node: Node) -> Node:
    """Return the node with its inputs in the order of a convolution's."""
    return replace(node, inputs=(node.inputs[2], node.inputs[1], *node.inputs[3:4]))
