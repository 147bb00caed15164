"""MAX_POOL_2D."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from tvm import te, tirx

from tvmtiny.ops.shared.expressions import clamp, constant, float_output, larger
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Compute, Operator, Oracle, Problem, register
from tvmtiny.ops.shared.pooling import check_pool, pool_window
from tvmtiny.ops.shared.quantization import INTEGER_RANGES, activation_range, clamp_float
from tvmtiny.ops.shared.sliding_window import pad_reference, pad_stage, patch

#: Initial value of the reference's float maximum, and its result if all taps are -inf.
_LOWEST_FLOAT = float(np.finfo(np.float32).min)


@register
class MaxPool2D(Operator):
    """Maximum of the taps of a window that lie inside the input.

    Matches ``reference_integer_ops::MaxPool`` (int8, int16) and ``reference_ops::MaxPool``
    (float32) of LiteRT and TFLM bit for bit on finite values; nothing is rescaled.
    """

    name = "MAX_POOL_2D"
    dtypes = ("int8", "int16", "float32")
    exactness = "bit-exact (both oracles; float32 on finite values)"

    def check_node(self, node: Node) -> Iterator[Problem]:
        yield from check_pool(node)

    def compute(self, node: Node, oracle: Oracle) -> Compute:
        geometry = pool_window(node)
        (height, width), (sy, sx) = geometry.kernel, geometry.stride
        dtype = node.input(0).dtype
        quantized = dtype != "float32"
        wide = "int32" if quantized else "float32"
        lowest = INTEGER_RANGES[dtype][0] if quantized else _LOWEST_FLOAT
        # TVM's own max reduction starts at INT32_MIN, which C cannot write as one int literal.
        maximum = te.comm_reducer(larger, lambda dtype: constant(lowest, dtype), name="max")

        def expression(x: te.Tensor) -> te.Tensor:
            staged = pad_stage(x, geometry, lowest)
            ky = te.reduce_axis((0, height), "ky")
            kx = te.reduce_axis((0, width), "kx")
            acc = te.compute(
                node.output.shape,
                lambda n, y, z, c: maximum(
                    staged[n, y * sy + ky, z * sx + kx, c].astype(wide), axis=[ky, kx]
                ),
                name="acc",
            )

            def output(n: tirx.Var, y: tirx.Var, z: tirx.Var, c: tirx.Var) -> tirx.PrimExpr:
                value = acc[n, y, z, c]
                if quantized:
                    return clamp(value, *activation_range(node), dtype)
                return float_output(value, node)

            return te.compute(node.output.shape, output, name="out")

        return Compute((node.input(0),), expression)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        x = inputs[0]
        geometry = pool_window(node)
        quantized = x.dtype != np.float32
        lowest = INTEGER_RANGES[str(x.dtype)][0] if quantized else _LOWEST_FLOAT
        padded = pad_reference(x, geometry, lowest)
        best = np.full(node.output.shape, lowest, x.dtype)
        for ky, kx in np.ndindex(geometry.kernel):
            best = np.maximum(best, patch(padded, geometry, ky, kx))
        if quantized:
            return [np.clip(best, *activation_range(node)).astype(x.dtype)]
        return [clamp_float(best, node)]
