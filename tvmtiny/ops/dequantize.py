"""DEQUANTIZE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from tvm import te

from tvmtiny.ops.shared.checks import check_scale, check_shape
from tvmtiny.ops.shared.expressions import elementwise, float32, int32
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Compute, Operator, Oracle, Problem, register
from tvmtiny.ops.shared.quantization import INTEGER_RANGES, broadcast_quantization


@register
class Dequantize(Operator):
    """int8, uint8 or int16 to float32; constants may also be float16.

    Matches LiteRT's and TFLM's ``Dequantize`` bit for bit, per tensor or per channel: their product
    with the scale is exact in float64, so a float32 product rounds to the same result. Results of
    constants are constants, so a model with float16 weights is a float model.
    """

    name = "DEQUANTIZE"
    dtypes = ("int8", "uint8", "int16", "float16", "float32")
    per_channel = True
    exactness = "bit-exact"
    input_count = 1

    def check_node(self, node: Node) -> Iterator[Problem]:
        x = node.input(0)
        if x.dtype not in ("float16", *INTEGER_RANGES) or node.output.dtype != "float32":
            yield Problem(
                f"{x.dtype} input and {node.output.dtype} output",
                "int8, uint8 or int16 input, or float16 constants, and float32 output",
            )
            return
        yield from check_shape(node, x.shape)
        if x.dtype == "float16":
            if x.data is None:
                yield Problem("float16 activations", "float16 constants")
            return
        yield from check_scale(x, per_channel=True)

    def compute(self, node: Node, oracle: Oracle) -> Compute:
        x, shape = node.input(0), node.output.shape
        quantization = x.quantization
        # float16 inputs are constants, which have been folded.
        assert quantization is not None
        axis = quantization.axis

        def per_tensor(values: te.Tensor) -> te.Tensor:
            scale, zero_point = float32(x.scale), int32(x.zero_point)
            return elementwise(
                shape, lambda *i: (int32(values(*i)) - zero_point).astype("float32") * scale
            )

        def per_channel(values: te.Tensor, scales: te.Tensor, zeros: te.Tensor) -> te.Tensor:
            return elementwise(
                shape,
                lambda *i: (
                    (int32(values(*i)) - int32(zeros[i[axis]])).astype("float32") * scales[i[axis]]
                ),
            )

        if not quantization.per_channel:
            return Compute((x,), per_tensor)
        scales = np.array(quantization.scales, np.float32)
        return Compute((x, scales, np.array(quantization.zero_points, np.int16)), per_channel)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        if inputs[0].dtype == np.float16:
            return [inputs[0].astype(np.float32)]
        scales, zeros = broadcast_quantization(node.input(0))
        return [(inputs[0].astype(np.int32) - zeros).astype(np.float32) * scales]
