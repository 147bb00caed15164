"""SOFTMAX."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from tvm import te, tirx

from tvmtiny.ops.shared import softmax_int16
from tvmtiny.ops.shared.checks import check_scale, check_shape
from tvmtiny.ops.shared.expressions import Expression, clamp_int8, constant, float32, int32, larger
from tvmtiny.ops.shared.fixed_point_q31 import exp_q31, multiply_q31, reciprocal_q31, rounding_shift
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Compute, Operator, Oracle, Problem, register
from tvmtiny.ops.shared.quantization import INT8_RANGE, quantize_multiplier, requantize

#: Integer bits of scaled differences, and of the sum of exponentials.
_DIFFERENCE_BITS, _SUM_BITS = 5, 12
#: Number of ones that fit the sum.
_MAX_DEPTH = (1 << _SUM_BITS) - 1
_LARGEST_MULTIPLIER = 2**31 - 1.0
#: A longer table of exponentials takes more flash than the code that computes them. A table is only
#: used for at least as many elements as it has entries.
_MOST_ENTRIES = 128


@register
class Softmax(Operator):
    """Softmax along the last dimension.

    int8 matches LiteRT's and TFLM's ``reference_ops::Softmax`` bit for bit: gemmlowp's fixed-point
    exponential, as a table if that is short, and reciprocal. With two classes the results depend on
    a single difference, so all of it is a table. int16 matches as well, with two tables, see
    `tvmtiny.ops.shared.softmax_int16`. float32 follows the same kernel with this package's own
    exponential, which is within 1 unit in the last place.
    """

    name = "SOFTMAX"
    dtypes = ("int8", "int16", "float32")
    exactness = "int8 and int16 bit-exact (both oracles); float32 within rounding of exp and sums"
    input_count = 1

    def check_node(self, node: Node) -> Iterator[Problem]:
        x, out = node.input(0), node.output
        if x.dtype != out.dtype:
            yield Problem(f"{x.dtype} input and {out.dtype} output", "one dtype")
            return
        if not x.shape:
            yield Problem("a scalar", "at least one dimension")
            return
        yield from check_shape(node, x.shape)
        if out.dtype == "int8":
            yield from _check_quantized(node)
        elif out.dtype == "int16":
            yield from softmax_int16.check(node)

    def compute(self, node: Node, oracle: Oracle) -> Compute:
        shape = node.output.shape
        rows = shape[:-1] or (1,)
        quantized = node.output.dtype == "int8"
        if node.output.dtype == "int16":
            return softmax_int16.compute(node)
        if quantized and shape[-1] == 2:
            return _two_classes(node)
        powers = exponentials(node) if quantized else None
        if powers is not None and powers.size > max(_MOST_ENTRIES, node.output.elements):
            powers = None
        wide, least = ("int32", -128) if quantized else ("float32", float(np.finfo(np.float32).min))
        largest = te.comm_reducer(larger, lambda dtype: constant(least, dtype), name="largest")

        def row(indices: Sequence[Expression]) -> Sequence[Expression]:
            return indices[: len(shape) - 1] or [0]

        def source(indices: Sequence[Expression], k: Expression) -> Sequence[Expression]:
            return [*indices[: len(shape) - 1], k]

        def maximum(x: te.Tensor) -> te.Tensor:
            k = te.reduce_axis((0, shape[-1]), "k_max")
            return te.compute(
                rows, lambda *i: largest(x(*source(i, k)).astype(wide), axis=[k]), name="max"
            )

        def integer(x: te.Tensor, *tables: te.Tensor) -> te.Tensor:
            multiplier, shift, smallest = _scaling(node)
            top = maximum(x)

            def exponential(indices: Sequence[Expression], k: Expression) -> Expression:
                difference = int32(x(*source(indices, k))) - top(*row(indices))
                for table in tables:
                    below = int32(0) - difference
                    counts = below < int32(int(table.shape[0]))
                    return tirx.if_then_else(counts, table(below), int32(0))
                constants = int32(multiplier), int32(shift), int32(smallest)
                return _call("tvmtiny_softmax_exp", difference, *constants)

            def rescaled(indices: Sequence[Expression], k: Expression) -> Expression:
                value = exponential(indices, k)
                return _call("tvmtiny_rounding_shift", value, tirx.const(_SUM_BITS, "uint32"))

            k = te.reduce_axis((0, shape[-1]), "k")
            acc = te.compute(rows, lambda *i: te.sum(rescaled(i, k), axis=[k]), name="acc")
            headroom = te.compute(
                rows, lambda *i: _call("tvmtiny_softmax_headroom", acc(*i)), name="headroom"
            )
            reciprocal = te.compute(
                rows,
                lambda *i: _call("tvmtiny_softmax_reciprocal", acc(*i), headroom(*i)),
                name="reciprocal",
            )

            def value(*i: tirx.Var) -> Expression:
                scale = reciprocal(*row(i)), headroom(*row(i))
                share = _call("tvmtiny_softmax_output", exponential(i, i[-1]), *scale)
                return clamp_int8(share + int32(INT8_RANGE[0]), *INT8_RANGE)

            return te.compute(shape, value, name="out")

        def floating(x: te.Tensor) -> te.Tensor:
            beta = float32(_beta(node))
            top = maximum(x)

            def exponential(indices: Sequence[Expression], k: Expression) -> Expression:
                difference = x(*source(indices, k)) - top(*row(indices))
                return tirx.call_pure_extern("float32", "tvmtiny_exp", difference * beta)

            k = te.reduce_axis((0, shape[-1]), "k")
            acc = te.compute(rows, lambda *i: te.sum(exponential(i, k), axis=[k]), name="acc")
            return te.compute(shape, lambda *i: exponential(i, i[-1]) / acc(*row(i)), name="out")

        tables = () if powers is None else (powers,)
        return Compute((node.input(0), *tables), integer if quantized else floating)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        x = inputs[0]
        if node.output.dtype == "int16":
            return [softmax_int16.reference(node, x)]
        if node.output.dtype != "int8":
            difference = (x - x.max(axis=-1, keepdims=True)) * np.float32(_beta(node))
            exponentials = np.exp(difference.astype(np.float64)).astype(np.float32)
            return [exponentials / exponentials.sum(axis=-1, keepdims=True, dtype=np.float32)]
        wide = x.astype(np.int64)
        exponential = _exponential(node, wide - wide.max(axis=-1, keepdims=True))
        total = rounding_shift(exponential, _SUM_BITS).sum(axis=-1, keepdims=True)
        headroom = 32 - np.frexp(total.astype(np.float64))[1].astype(np.int64)
        reciprocal = reciprocal_q31((total << headroom) - 2**31)
        share = rounding_shift(multiply_q31(reciprocal, exponential), 35 - headroom)
        return [np.clip(share + INT8_RANGE[0], *INT8_RANGE).astype(np.int8)]


def _exponential(node: Node, difference: np.ndarray) -> np.ndarray:
    """Compute exp of differences to the largest input, with 31 fractional bits; int64."""
    multiplier, shift, smallest = _scaling(node)
    scaled = requantize(np.maximum(difference, smallest), multiplier, shift)
    return np.where(difference < smallest, 0, exp_q31(scaled, _DIFFERENCE_BITS))


def exponentials(node: Node) -> np.ndarray:
    """Return exp of the differences 0, -1 and so on, as long as it affects results; int32.

    The sum has `_SUM_BITS` bits less, in which small values vanish. Such a value is also below half
    of 1/256 in the output, because the sum is at least 1.
    """
    values = _exponential(node, -np.arange(256))
    return values[values >= 1 << (_SUM_BITS - 1)].astype(np.int32)


def _two_classes(node: Node) -> Compute:
    difference = np.arange(-255, 256)
    pairs = np.stack([np.maximum(difference, 0), np.maximum(-difference, 0)], axis=-1) - 128
    results = Softmax().reference(node, [pairs], Oracle.LITERT)[0][:, 0]

    def expression(x: te.Tensor, table: te.Tensor) -> te.Tensor:
        def value(*i: tirx.Var) -> Expression:
            other = x(*i[:-1], 1 - i[-1])
            return table(int32(x(*i)) - int32(other) + int32(255))

        return te.compute(node.output.shape, value, name="out")

    return Compute((node.input(0), results), expression)


def _call(function: str, *arguments: Expression) -> Expression:
    return tirx.call_pure_extern("int32", function, *arguments)


def _beta(node: Node) -> float:
    return float(node.options.get("beta", 0.0))


def _check_quantized(node: Node) -> Iterator[Problem]:
    x, out = node.input(0), node.output
    problems = [*check_scale(x), *check_scale(out)]
    if problems:
        yield from problems
        return
    if out.zero_point != INT8_RANGE[0] or abs(out.scale * 256 - 1) > 0.001:
        yield Problem(
            f"output scale {out.scale:.9g} and zero point {out.zero_point}",
            "scale 1/256 and zero point -128",
        )
    if _real_multiplier(node) <= 1:
        yield Problem(
            f"beta {_beta(node):.3g} times input scale {x.scale:.3g} is too small or not positive",
            "a product above 2^-26",
        )
    if x.shape[-1] > _MAX_DEPTH:
        yield Problem(f"{x.shape[-1]} classes", f"at most {_MAX_DEPTH} classes in an int8 model")


def _real_multiplier(node: Node) -> float:
    real = _beta(node) * node.input(0).scale * 2.0 ** (31 - _DIFFERENCE_BITS)
    return min(real, _LARGEST_MULTIPLIER)


def _scaling(node: Node) -> tuple[int, int, int]:
    """Return multiplier and shift of differences, and the smallest one with a nonzero exp."""
    multiplier, shift = quantize_multiplier(_real_multiplier(node))
    radius = ((1 << _DIFFERENCE_BITS) - 1) * 2.0 ** (31 - _DIFFERENCE_BITS) / 2.0**shift
    return multiplier, shift, -math.floor(radius)
