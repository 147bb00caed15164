"""L2_POOL_2D."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from tvm import te, tirx

from tvmtiny.ops.shared.expressions import Expression, float_output
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Compute, Operator, Oracle, Problem, register
from tvmtiny.ops.shared.pooling import check_pool, pool_window, taps_inside, window_sums
from tvmtiny.ops.shared.quantization import clamp_float
from tvmtiny.ops.shared.sliding_window import pad_stage


@register
class L2Pool2D(Operator):
    """Root of the mean square of the taps of a window that lie inside the input.

    LiteRT only has ``reference_ops::L2Pool`` for float32; squares are added in its order.
    """

    name = "L2_POOL_2D"
    dtypes = ("float32",)
    exactness = "float32 within rounding of sums"

    def check_node(self, node: Node) -> Iterator[Problem]:
        yield from check_pool(node)

    def compute(self, node: Node, oracle: Oracle) -> Compute:
        geometry = pool_window(node)
        (height, width), (sy, sx) = geometry.kernel, geometry.stride

        def expression(x: te.Tensor) -> te.Tensor:
            staged = pad_stage(x, geometry, 0.0)
            ky = te.reduce_axis((0, height), "ky")
            kx = te.reduce_axis((0, width), "kx")

            def square(n: tirx.Var, y: tirx.Var, z: tirx.Var, c: tirx.Var) -> Expression:
                value = staged[n, y * sy + ky, z * sx + kx, c]
                return te.sum(value * value, axis=[ky, kx])

            acc = te.compute(node.output.shape, square, name="acc")

            def output(n: tirx.Var, y: tirx.Var, z: tirx.Var, c: tirx.Var) -> Expression:
                count = taps_inside(geometry, 0, y) * taps_inside(geometry, 1, z)
                mean = acc[n, y, z, c] / count.astype("float32")
                root = tirx.call_pure_extern("float32", "tvmtiny_sqrt", mean)
                return float_output(root, node)

            return te.compute(node.output.shape, output, name="out")

        return Compute((node.input(0),), expression)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        geometry = pool_window(node)
        total, count = window_sums(inputs[0] ** 2, geometry)
        return [clamp_float(np.sqrt(total / count), node)]
