"""LOG_SOFTMAX."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from tvm import te, tirx

from tvmtiny.ops.shared.checks import check_like_input
from tvmtiny.ops.shared.expressions import (
    Expression,
    call,
    clamp_int8,
    constant,
    int32,
    larger,
    requantize,
    rounding_shift,
)
from tvmtiny.ops.shared.fixed_point_q31 import exp_q31, log_q26
from tvmtiny.ops.shared.fixed_point_q31 import rounding_shift as rounding_shift_reference
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Compute, Operator, Oracle, Problem, register
from tvmtiny.ops.shared.quantization import INT8_RANGE, quantize_multiplier
from tvmtiny.ops.shared.quantization import requantize as requantize_reference

#: Integer bits of scaled differences, and of the sum of exponentials.
_DIFFERENCE_BITS, _SUM_BITS = 5, 12
#: Number of ones that fit the sum.
_MAX_DEPTH = (1 << _SUM_BITS) - 1
_LARGEST_MULTIPLIER = 2**31 - 1.0
_OUTPUT_SHIFT = 31 - _DIFFERENCE_BITS - 4
_OUTPUT_ZERO = 127


@register
class LogSoftmax(Operator):
    """Logarithm of softmax along the last dimension.

    int8 matches ``reference_integer_ops::LogSoftmax`` of LiteRT and TFLM bit for bit: gemmlowp's
    fixed-point exponential, and a rational function for the logarithm. float32 follows the
    reference with this package's own functions, which are within 1 unit in the last place.
    """

    name = "LOG_SOFTMAX"
    exactness = "int8 bit-exact (both oracles); float32 within rounding of exp, log and sums"
    input_count = 1

    def check_node(self, node: Node) -> Iterator[Problem]:
        problems = [*check_like_input(node)]
        if not problems and not node.output.shape:
            problems.append(Problem("a scalar", "at least one dimension"))
        yield from problems
        out = node.output if not problems else None
        if out is None or out.dtype != "int8":
            return
        if (out.scale, out.zero_point) != (1 / 16, _OUTPUT_ZERO):
            yield Problem(
                f"output scale {out.scale:.9g} and zero point {out.zero_point}",
                f"scale 1/16 and zero point {_OUTPUT_ZERO}",
            )
        if _real_multiplier(node) <= 1:
            yield Problem(f"input scale {node.input(0).scale:.3g}", "scales above 2^-26")
        if out.shape[-1] > _MAX_DEPTH:
            yield Problem(f"{out.shape[-1]} classes", f"at most {_MAX_DEPTH} classes")

    def compute(self, node: Node, oracle: Oracle) -> Compute:
        shape = node.output.shape
        rows = shape[:-1] or (1,)
        quantized = node.output.dtype == "int8"
        wide, least = ("int32", -128) if quantized else ("float32", float(np.finfo(np.float32).min))
        largest = te.comm_reducer(larger, lambda dtype: constant(least, dtype), name="largest")

        def row(indices: Sequence[Expression]) -> Sequence[Expression]:
            return indices[: len(shape) - 1] or [0]

        def expression(x: te.Tensor) -> te.Tensor:
            k_max, k = (te.reduce_axis((0, shape[-1]), name) for name in ("k_max", "k"))

            def element(indices: Sequence[Expression], position: Expression) -> Expression:
                return x(*indices[: len(shape) - 1], position).astype(wide)

            top = te.compute(rows, lambda *i: largest(element(i, k_max), axis=[k_max]), name="max")
            if not quantized:
                acc = te.compute(
                    rows,
                    lambda *i: te.sum(call("tvmtiny_exp", element(i, k) - top(*row(i))), axis=[k]),
                    name="acc",
                )
                log = te.compute(rows, lambda *i: call("tvmtiny_log", acc(*i)), name="log")
                return te.compute(shape, lambda *i: x(*i) - top(*row(i)) - log(*row(i)), name="out")
            multiplier, shift, smallest = _scaling(node)
            reverse = _reverse(node)
            constants = int32(multiplier), int32(shift)

            def exponential(indices: Sequence[Expression]) -> Expression:
                difference = element(indices, k) - top(*row(indices))
                value = call(
                    "tvmtiny_softmax_exp", difference, *constants, int32(smallest), dtype="int32"
                )
                return rounding_shift(value, _SUM_BITS)

            acc = te.compute(rows, lambda *i: te.sum(exponential(i), axis=[k]), name="acc")
            log = te.compute(
                rows, lambda *i: call("tvmtiny_log_q26", acc(*i), dtype="int32"), name="log"
            )

            def limit(*i: tirx.Var) -> Expression:
                shifted = log(*i) + int32(-(2**31))
                scaled = requantize(shifted, int32(reverse[0]), int32(reverse[1]))
                return larger(int32(smallest - 1), scaled)

            limits = te.compute(rows, limit, name="limit")

            def value(*i: tirx.Var) -> Expression:
                difference = element(i, i[-1]) - top(*row(i))
                scaled = requantize(difference, *constants) - log(*row(i))
                result = rounding_shift(scaled, _OUTPUT_SHIFT) + int32(_OUTPUT_ZERO)
                counts = difference > limits(*row(i))
                lowest = tirx.const(INT8_RANGE[0], "int8")
                return tirx.if_then_else(counts, clamp_int8(result, *INT8_RANGE), lowest)

            return te.compute(shape, value, name="out")

        return Compute((node.input(0),), expression)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        x = inputs[0]
        if node.output.dtype != "int8":
            difference = x - x.max(axis=-1, keepdims=True)
            exponentials = np.exp(difference.astype(np.float64)).astype(np.float32)
            total = exponentials.sum(axis=-1, keepdims=True, dtype=np.float32)
            return [difference - np.log(total.astype(np.float64)).astype(np.float32)]
        multiplier, shift, smallest = _scaling(node)
        difference = x.astype(np.int64)
        difference = difference - difference.max(axis=-1, keepdims=True)
        scaled = requantize_reference(np.maximum(difference, smallest), multiplier, shift)
        exponential = np.where(difference < smallest, 0, exp_q31(scaled, _DIFFERENCE_BITS))
        total = rounding_shift_reference(exponential, _SUM_BITS).sum(axis=-1, keepdims=True)
        log = log_q26(total)
        limit = np.maximum(smallest - 1, requantize_reference(log - 2**31, *_reverse(node)))
        result = rounding_shift_reference(scaled - log, _OUTPUT_SHIFT) + _OUTPUT_ZERO
        clamped = np.clip(result, *INT8_RANGE)
        return [np.where(difference > limit, clamped, INT8_RANGE[0]).astype(np.int8)]


def _real_multiplier(node: Node) -> float:
    return min(node.input(0).scale * 2.0 ** (31 - _DIFFERENCE_BITS), _LARGEST_MULTIPLIER)


def _scaling(node: Node) -> tuple[int, int, int]:
    """Return multiplier and shift of differences, and the smallest one with a nonzero exp."""
    multiplier, shift = quantize_multiplier(_real_multiplier(node))
    radius = ((1 << _DIFFERENCE_BITS) - 1) * 2.0 ** (31 - _DIFFERENCE_BITS) / 2.0**shift
    return multiplier, shift, -math.floor(radius)


def _reverse(node: Node) -> tuple[int, int]:
    """Return multiplier and shift that convert scaled differences back to differences."""
    multiplier, shift, _ = _scaling(node)
    return quantize_multiplier((1 << (31 - shift)) / multiplier)
