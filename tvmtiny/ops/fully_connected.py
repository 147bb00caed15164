"""FULLY_CONNECTED."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

import numpy as np
from tvm import te, tirx

from tvmtiny.ops.shared.checks import check_activation, check_operands
from tvmtiny.ops.shared.expressions import (
    float_output,
    int32,
    quantized_output,
    requantize,
    requantize_once,
)
from tvmtiny.ops.shared.int16_sums import (
    check_sums,
    check_zero_points,
    has_wide_sums,
    per_channel,
    sum_dtype,
    wide_output,
)
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Compute, Operator, Oracle, Problem, register
from tvmtiny.ops.shared.output_rounding import (
    litert_fully_connected_rounding,
    tflm_fully_connected_rounding,
)
from tvmtiny.ops.shared.quantization import (
    INT32_RANGE,
    activation_range,
    clamp_float,
    exact_multiplier,
)
from tvmtiny.ops.shared.weights import (
    accumulator_range,
    bias_values,
    check_accumulator,
    check_weight_scales,
    check_weights,
    float_bias,
    folded_bias,
)


@register
class FullyConnected(Operator):
    """Product with a constant matrix of shape ``(channels, depth)``.

    LiteRT's ``reference_integer_ops::FullyConnected`` rounds ``acc * scale`` once, in double
    precision and with halves away from zero. Here that is one integer multiplication with a
    multiplier that is proven equal over every accumulator the layer can reach; where there is
    none, and for int16 activations, the product is computed in double precision. TFLM scales with
    two roundings, and 64-bit sums as `tvmtiny.ops.shared.int16_sums` says.
    """

    name = "FULLY_CONNECTED"
    dtypes = ("int8", "int16", "float32")
    exactness = (
        "int8 and int16 bit-exact (LiteRT: one rounding, TFLM: two roundings, one with 64-bit "
        "sums); float32 within rounding of sums"
    )

    def check(self, node: Node) -> Iterator[Problem]:
        odd = list(check_operands(node, 2))
        if odd:
            yield from odd
            return
        x, weights = node.input(0), node.input(1)
        if len(weights.shape) != 2 or min(weights.shape) < 1:
            yield Problem(
                f"weights of shape {list(weights.shape)}", "weights of shape [channels, depth]"
            )
            return
        channels, depth = weights.shape
        layout = node.options.get("weights_format", "DEFAULT")
        if layout != "DEFAULT":
            yield Problem(f"weights in the format {layout}", "DEFAULT")
        yield from check_activation(node)
        problems = list(check_weights(node, channels, axis=0))
        problems += check_weight_scales(node)
        yield from problems
        if x.elements % depth or not node.output.shape or node.output.shape[-1] != channels:
            yield Problem(
                f"input {list(x.shape)} and output {list(node.output.shape)} do not fit weights "
                f"of {channels} channels and depth {depth}",
                "an input of whole rows of that depth, an output row of one value per channel",
            )
        elif node.output.elements * depth != x.elements * channels:
            yield Problem(
                f"{node.output.elements} outputs for {x.elements // depth} rows of input",
                f"{x.elements // depth * channels} outputs",
            )
        if not problems and x.dtype == "int16":
            assert weights.data is not None
            problems = list(check_zero_points(node)) or list(check_sums(node, weights.data))
            yield from problems
        elif not problems and x.dtype == "int8":
            yield from _check_range(node)

    def compute(self, node: Node, oracle: Oracle) -> Compute:
        x_tensor, weights = node.input(0), node.input(1)
        channels, depth = weights.shape
        quantized = x_tensor.dtype != "float32"
        wide = "int32" if quantized else "float32"
        if x_tensor.dtype == "int16":
            wide = sum_dtype(node, _centred(node))
        zero = _weight_zero_point(node)

        def accumulate(x: te.Tensor, w: te.Tensor) -> te.Tensor:
            kc = te.reduce_axis((0, depth), "kc")

            def product(*index: tirx.Var) -> tirx.PrimExpr:
                *row, o = index
                weight = w[o, kc].astype(wide)
                if zero:
                    weight = weight - int32(zero)
                value = x[_position(row, kc, node)].astype(wide)
                return te.sum(value * weight, axis=kc)

            return te.compute(node.output.shape, product, name="acc")

        def integer(
            x: te.Tensor, w: te.Tensor, bias: te.Tensor, multiplier: te.Tensor, shift: te.Tensor
        ) -> te.Tensor:
            acc = accumulate(x, w)
            scale = requantize if oracle is Oracle.TFLM else requantize_once

            def output(*index: tirx.Var) -> tirx.PrimExpr:
                o = index[-1]
                factors = per_channel(multiplier, o), per_channel(shift, o)
                return quantized_output(scale(acc[index] + bias[o], *factors), node)

            return te.compute(node.output.shape, output, name="out")

        def integer_by_double(
            x: te.Tensor, w: te.Tensor, bias: te.Tensor, scale: te.Tensor
        ) -> te.Tensor:
            acc = accumulate(x, w)

            def output(*index: tirx.Var) -> tirx.PrimExpr:
                o = index[-1]
                total = acc[index] + bias[o]
                value = tirx.call_pure_extern(
                    "int32", "tvmtiny_requantize_double", total, per_channel(scale, o)
                )
                return quantized_output(value, node)

            return te.compute(node.output.shape, output, name="out")

        def wide_by_double(
            x: te.Tensor, w: te.Tensor, bias: te.Tensor, scale: te.Tensor
        ) -> te.Tensor:
            acc = accumulate(x, w)

            def output(*index: tirx.Var) -> tirx.PrimExpr:
                total = acc[index].astype("int64") + bias[index[-1]]
                value = tirx.call_pure_extern(
                    "int32", "tvmtiny_requantize_wide_double", total, per_channel(scale, index[-1])
                )
                return quantized_output(value, node)

            return te.compute(node.output.shape, output, name="out")

        def wide_integer(
            x: te.Tensor, w: te.Tensor, bias: te.Tensor, multiplier: te.Tensor, shift: te.Tensor
        ) -> te.Tensor:
            acc = accumulate(x, w)

            def output(*index: tirx.Var) -> tirx.PrimExpr:
                o = index[-1]
                factors = per_channel(multiplier, o), per_channel(shift, o)
                return wide_output(node, acc[index], bias[o], *factors)

            return te.compute(node.output.shape, output, name="out")

        def floating(x: te.Tensor, w: te.Tensor, bias: te.Tensor) -> te.Tensor:
            acc = accumulate(x, w)
            return te.compute(
                node.output.shape,
                lambda *index: float_output(acc[index] + bias[index[-1]], node),
                name="out",
            )

        if not quantized:
            return Compute((x_tensor, weights, float_bias(node, channels)), floating)
        if x_tensor.dtype == "int16" and oracle is Oracle.LITERT:
            scales = litert_fully_connected_rounding(node).scales
            return Compute((x_tensor, weights, bias_values(node, channels), scales), wide_by_double)
        if has_wide_sums(node):
            wide_rounding = tflm_fully_connected_rounding(node)
            factors = wide_rounding.multiplier, wide_rounding.shift
            return Compute((x_tensor, weights, bias_values(node, channels), *factors), wide_integer)
        operands = (x_tensor, weights, folded_bias(node, _centred(node).sum(axis=1)))
        if oracle is Oracle.TFLM:
            rounding = tflm_fully_connected_rounding(node)
            return Compute((*operands, rounding.multiplier, rounding.shift), integer)
        pairs = _exact_multipliers(node)
        if pairs is None:
            scales = litert_fully_connected_rounding(node).scales
            return Compute((*operands, scales), integer_by_double)
        return Compute((*operands, *_as_arrays(pairs)), integer)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        x, w = inputs[0], inputs[1]
        rows = x.reshape(-1, w.shape[1])
        if x.dtype != np.float32:
            centred = w.astype(np.int64) - _weight_zero_point(node)
            acc = (rows.astype(np.int64) - node.input(0).zero_point) @ centred.T
        else:
            acc = rows @ w.T
        if len(inputs) > 2:
            acc = acc + inputs[2].reshape(-1).astype(acc.dtype)
        acc = acc.reshape(node.output.shape)
        if x.dtype == np.float32:
            return [clamp_float(acc, node)]
        rounding = (
            tflm_fully_connected_rounding(node)
            if oracle is Oracle.TFLM
            else litert_fully_connected_rounding(node)
        )
        return [rounding(acc).astype(x.dtype)]

    def macs(self, node: Node) -> int:
        return prod(node.output.shape) * node.input(1).shape[1]


def _position(
    row: Sequence[tirx.Var], column: tirx.Var, node: Node
) -> tuple[tirx.PrimExpr | int, ...]:
    """Index into the input, whatever its shape, of one element of the row of an output."""
    shape, rows = node.input(0).shape or (1,), node.output.shape[:-1]
    depth = node.input(1).shape[1]
    if shape == (*rows, depth):
        return (*row, column)
    flat, stride = column, depth
    for index, extent in zip(reversed(row), reversed(rows), strict=True):
        if extent > 1:
            flat = flat + index * stride
        stride *= extent
    position: list[tirx.PrimExpr | int] = []
    for i, extent in enumerate(shape):
        below = prod(shape[i + 1 :])
        index = flat if below == 1 else tirx.indexdiv(flat, below)
        outermost = prod(shape[:i]) == 1
        position.append(0 if extent == 1 else index if outermost else tirx.indexmod(index, extent))
    return tuple(position)


def _weight_zero_point(node: Node) -> int:
    """Return the weights' zero point; per-channel weights are symmetric."""
    quantization = node.input(1).quantization
    if node.input(1).dtype != "int8" or quantization is None or quantization.per_channel:
        return 0
    return quantization.zero_points[0]


def _centred(node: Node) -> np.ndarray:
    """Subtract the zero point from the weights, as int64."""
    weights = node.input(1).data
    assert weights is not None
    return weights.astype(np.int64) - _weight_zero_point(node)


def _check_range(node: Node) -> Iterator[Problem]:
    centred = _centred(node)
    bias, zero_point = bias_values(node, len(centred)), node.input(0).zero_point
    problems = list(check_accumulator(centred, bias, zero_point))
    yield from problems
    if problems:
        return
    reach = np.abs(accumulator_range(centred, bias, zero_point)).max(axis=0)
    if np.any(reach * litert_fully_connected_rounding(node).scales > INT32_RANGE[1] - 128):
        yield Problem(
            "a scaled sum can exceed 32 bits, where LiteRT's result is undefined",
            "an output scale that fits the sums",
        )


def _exact_multipliers(node: Node) -> list[tuple[int, int]] | None:
    """Multipliers for `requantize_once` that equal LiteRT's double arithmetic, or None."""
    centred = _centred(node)
    low, high = accumulator_range(
        centred, bias_values(node, len(centred)), node.input(0).zero_point
    )
    scales = litert_fully_connected_rounding(node).scales
    found: dict[float, tuple[int, int]] = {}
    for scale in {float(s) for s in scales}:
        mine = slice(None) if len(scales) == 1 else scales == scale
        reach = (int(low[mine].min()), int(high[mine].max()))
        if max(-reach[0], reach[1]) * scale < 0.5:
            found[scale] = (0, 0)
            continue
        pair = exact_multiplier(scale, reach, node.output.zero_point, activation_range(node))
        if pair is None:
            return None
        found[scale] = pair
    return [found[float(scale)] for scale in scales]


def _as_arrays(pairs: Sequence[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    multipliers, shifts = zip(*pairs, strict=True)
    return np.array(multipliers, np.int32), np.array(shifts, np.int8)
