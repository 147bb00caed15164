"""L2_NORMALIZATION."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from tvm import te, tirx

from tvmtiny.ops.shared.checks import check_like_input
from tvmtiny.ops.shared.expressions import (
    Expression,
    call,
    clamp_int8,
    float32,
    int32,
    larger,
    requantize,
)
from tvmtiny.ops.shared.fixed_point_q31 import inverse_sqrt_multiplier
from tvmtiny.ops.shared.legacy import is_from_uint8
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Compute, Operator, Oracle, Problem, register
from tvmtiny.ops.shared.quantization import INT8_RANGE, centred
from tvmtiny.ops.shared.quantization import requantize as requantize_reference

#: Fractional bits of an int8 output.
OUTPUT_BITS = 7
#: Largest number of squares whose sum fits an int32.
_MAX_DEPTH = 1 << 15
_LEAST_NORM = 1e-6


@register
class L2Normalization(Operator):
    """Rows along the last dimension, divided by their Euclidean norms.

    int8 matches ``reference_integer_ops::L2Normalization`` of LiteRT and TFLM bit for bit: an
    inverse square root by five fixed-point Newton steps, then two roundings. Nodes of uint8 models
    shift before the roundings instead of after them.
    """

    name = "L2_NORMALIZATION"
    exactness = "int8 bit-exact (two roundings, both oracles); float32 within rounding of sums"
    input_count = 1

    def check_node(self, node: Node) -> Iterator[Problem]:
        problems = [*check_like_input(node)]
        yield from problems
        if problems:
            return
        out = node.output
        if not out.shape:
            yield Problem("a scalar", "at least one dimension")
        elif out.shape[-1] > _MAX_DEPTH and out.dtype == "int8":
            yield Problem(f"rows of {out.shape[-1]}", f"rows of at most {_MAX_DEPTH} numbers")
        if node.activation != "NONE":
            yield Problem(f"fused activation {node.activation}", "NONE")
        if out.dtype == "int8" and (out.scale, out.zero_point) != (2.0**-OUTPUT_BITS, 0):
            yield Problem(
                f"output scale {out.scale:.9g} and zero point {out.zero_point}",
                "scale 1/128 and zero point 0",
            )

    def compute(self, node: Node, oracle: Oracle) -> Compute:
        shape = node.output.shape
        rows = shape[:-1] or (1,)
        quantized = node.output.dtype == "int8"

        def row(indices: Sequence[Expression]) -> Sequence[Expression]:
            return indices[: len(shape) - 1] or [0]

        def expression(x: te.Tensor) -> te.Tensor:
            def element(*i: Expression) -> Expression:
                if not quantized:
                    return x(*i)
                return int32(x(*i)) - int32(node.input(0).zero_point)

            def square(indices: Sequence[Expression], k: Expression) -> Expression:
                value = element(*indices[: len(shape) - 1], k)
                return value * value

            k = te.reduce_axis((0, shape[-1]), "k")
            acc = te.compute(rows, lambda *i: te.sum(square(i, k), axis=[k]), name="acc")
            if not quantized:
                least = float32(_LEAST_NORM)
                norm = te.compute(
                    rows, lambda *i: larger(call("tvmtiny_sqrt", acc(*i)), least), name="norm"
                )
                return te.compute(shape, lambda *i: x(*i) / norm(*row(i)), name="out")

            def of_sum(function: str, name: str) -> te.Tensor:
                return te.compute(
                    rows, lambda *i: call(function, acc(*i), dtype="int32"), name=name
                )

            multiplier = of_sum("tvmtiny_inverse_sqrt", "multiplier")
            shift = of_sum("tvmtiny_inverse_sqrt_shift", "shift")

            def value(*i: tirx.Var) -> Expression:
                step, bits = element(*i), shift(*row(i))
                if is_from_uint8(node):
                    step = step * int32(1 << OUTPUT_BITS)
                else:
                    bits = bits + int32(OUTPUT_BITS)
                return clamp_int8(requantize(step, multiplier(*row(i)), bits), *INT8_RANGE)

            return te.compute(shape, value, name="out")

        return Compute((node.input(0),), expression)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        x = inputs[0]
        if node.output.dtype != "int8":
            norm = np.sqrt((x * x).sum(axis=-1, keepdims=True, dtype=np.float32))
            return [x / np.maximum(norm, np.float32(_LEAST_NORM))]
        steps = centred(x, node.input(0))
        root, shift = inverse_sqrt_multiplier((steps * steps).sum(axis=-1, keepdims=True))
        if is_from_uint8(node):
            scaled = requantize_reference(steps << OUTPUT_BITS, root, shift)
        else:
            scaled = requantize_reference(steps, root, shift + OUTPUT_BITS)
        return [np.clip(scaled, *INT8_RANGE).astype(np.int8)]
