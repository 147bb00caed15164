"""BATCH_MATMUL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

import numpy as np
from tvm import te, tirx

from tvmtiny.ops.shared.checks import check_same_dtype, check_scale, check_shape
from tvmtiny.ops.shared.expressions import Expression, at, call, int32, requantize, saturate
from tvmtiny.ops.shared.int16_sums import LARGEST_WIDE_SUM, requantize_wide, shortened
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Compute, Operator, Oracle, Problem, register
from tvmtiny.ops.shared.quantization import INT32_RANGE, centred, quantize_multiplier, saturated
from tvmtiny.ops.shared.quantization import requantize as requantize_reference


@register
class BatchMatmul(Operator):
    """Products of matrices over leading dimensions that broadcast; either may be transposed.

    int8 matches LiteRT's ``reference_ops::BatchMatMul``, which scales the int32 sum with two
    roundings, as TFLM does. int16 times int16 or int8 has 64-bit sums, scaled as described in
    `tvmtiny.ops.shared.int16_sums`. float32 sums in the order of LiteRT.
    """

    name = "BATCH_MATMUL"
    dtypes = ("int8", "int16", "float32")
    exactness = (
        "int8 bit-exact (two roundings, both oracles), int16 bit-exact (one rounding, both "
        "oracles); float32 within rounding of sums"
    )
    input_count = 2

    def check_node(self, node: Node) -> Iterator[Problem]:
        a, b = node.input(0), node.input(1)
        mixed = a.dtype == node.output.dtype == "int16" and b.dtype == "int8"
        problems = [] if mixed else [*check_same_dtype(node)]
        if problems:
            yield from problems
            return
        if min(len(a.shape), len(b.shape)) < 2:
            yield Problem(
                f"operands of {list(a.shape)} and {list(b.shape)}", "at least two dimensions each"
            )
            return
        (rows, depth), (other_depth, columns) = _matrix(node, 0), _matrix(node, 1)
        try:
            batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        except ValueError:
            batch, other_depth = (), -1
        if depth != other_depth:
            yield Problem(
                f"operands of {list(a.shape)} and {list(b.shape)} have no product",
                "matrices that fit, with leading dimensions that are equal or 1",
            )
            return
        yield from check_shape(node, (*batch, rows, columns))
        if a.dtype == "float32":
            return
        problems = [p for t in (a, b, node.output) for p in check_scale(t)]
        yield from problems
        if a.dtype == "int16":
            if not problems:
                yield from _check_wide(node)
            return
        if not problems and product_multiplier(node)[1] > 30:
            yield Problem(
                f"an output scale of {node.output.scale:.3g}",
                "an output scale above the product of the input scales / 2^30",
            )
        if depth * 255 * 255 > INT32_RANGE[1]:
            yield Problem(
                f"sums of {depth} products can overflow 32 bits", "at most 33,025 products"
            )

    def compute(self, node: Node, oracle: Oracle) -> Compute:
        depth = _matrix(node, 0)[1]
        quantized = node.output.dtype != "float32"
        wide = _sum_dtype(node)
        adjoint = adjoint_operands(node)

        def element(tensor: te.Tensor, position: int, index: Sequence[Expression]) -> Expression:
            *batch, row, column = index
            order = (column, row) if adjoint[position] else (row, column)
            value = at(tensor, [*batch, *order])
            if not quantized:
                return value
            zero_point = node.input(position).zero_point
            value = value.astype(wide)
            return value - int32(zero_point) if zero_point else value

        def expression(a: te.Tensor, b: te.Tensor) -> te.Tensor:
            kc = te.reduce_axis((0, depth), "kc")

            def total(*index: tirx.Var) -> Expression:
                *batch, row, column = index
                left, right = (*batch, row, kc), (*batch, kc, column)
                return te.sum(element(a, 0, left) * element(b, 1, right), axis=kc)

            acc = te.compute(node.output.shape, total, name="acc")
            return te.compute(node.output.shape, lambda *i: _output(node, acc[i]), name="out")

        return Compute((node.input(0), node.input(1)), expression)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        quantized = inputs[0].dtype != np.float32
        factors = [
            centred(values, tensor)
            for values, tensor in zip(inputs, (node.input(0), node.input(1)), strict=True)
        ]
        a, b = (
            np.swapaxes(factor, -1, -2) if adjoint else factor
            for factor, adjoint in zip(factors, adjoint_operands(node), strict=True)
        )
        if not quantized:
            return [np.asarray(a @ b)]
        if node.output.dtype == "int16":
            scaled = requantize_wide(a @ b, *_wide_multiplier(node))
        else:
            scaled = requantize_reference(a @ b, *product_multiplier(node))
        scaled = scaled + node.output.zero_point
        return [saturated(node, scaled).astype(node.output.dtype)]

    def macs(self, node: Node) -> int:
        return prod(node.output.shape) * _matrix(node, 0)[1]


def _output(node: Node, acc: Expression) -> Expression:
    if node.output.dtype == "float32":
        return acc
    if node.output.dtype == "int16":
        factors = [int32(int(number[0])) for number in _wide_multiplier(node)]
        total = acc.astype("int64")
        return saturate(node, call("tvmtiny_requantize_wide", total, *factors, dtype="int32"))
    multiplier, shift = product_multiplier(node)
    return saturate(node, requantize(acc, int32(multiplier), int32(shift)))


def _sum_dtype(node: Node) -> str:
    if node.output.dtype != "int16":
        return "float32" if node.output.dtype == "float32" else "int32"
    return "int32" if _largest_sum(node) <= INT32_RANGE[1] else "int64"


def _largest_sum(node: Node) -> int:
    """Return the largest sum of products of int16 with the other operand's numbers."""
    return _matrix(node, 0)[1] << (30 if node.input(1).dtype == "int16" else 22)


def _check_wide(node: Node) -> Iterator[Problem]:
    if any(t.zero_point for t in (node.input(0), node.input(1), node.output)):
        yield Problem("an int16 product with zero points", "zero points of 0")
    if _wide_multiplier(node)[1][0] < 1:
        yield Problem(
            f"an output scale of {node.output.scale:.3g}",
            "an output scale above the product of the input scales / 2^14",
        )
    if _largest_sum(node) > LARGEST_WIDE_SUM:
        yield Problem(f"sums of {_matrix(node, 0)[1]} products", "sums of at most 2^47")


def _wide_multiplier(node: Node) -> tuple[np.ndarray, np.ndarray]:
    multiplier, shift = product_multiplier(node)
    return shortened(np.array([multiplier]), np.array([shift]))


def adjoint_operands(node: Node) -> tuple[bool, bool]:
    """Return which of the operands are transposed."""
    return bool(node.options.get("adj_x")), bool(node.options.get("adj_y"))


def _matrix(node: Node, position: int) -> tuple[int, int]:
    """Return rows and columns of an operand, after transposition."""
    rows, columns = node.input(position).shape[-2:]
    return (columns, rows) if adjoint_operands(node)[position] else (rows, columns)


def product_multiplier(node: Node) -> tuple[int, int]:
    """Return multiplier and shift of sums; LiteRT multiplies the scales in single precision."""
    product = np.float32(node.input(0).scale) * np.float32(node.input(1).scale)
    return quantize_multiplier(float(product) / node.output.scale)
