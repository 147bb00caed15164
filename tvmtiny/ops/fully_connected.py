"""FULLY_CONNECTED."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

import numpy as np
from tvm import te, tirx

from tvmtiny.ops.shared.checks import check_operands
from tvmtiny.ops.shared.epilogue import finished, layer
from tvmtiny.ops.shared.expressions import int32
from tvmtiny.ops.shared.int16_sums import largest_sums
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Compute, Operator, Oracle, Problem, register
from tvmtiny.ops.shared.output_rounding import (
    DoubleProduct,
    OneRounding,
    OutputRounding,
    fully_connected_rounding,
    litert_fully_connected_rounding,
)
from tvmtiny.ops.shared.quantization import (
    INT8_RANGE,
    INT32_RANGE,
    activation_range,
    centred,
    exact_multiplier,
)
from tvmtiny.ops.shared.weights import (
    accumulator_range,
    bias_values,
    check_layer,
    folded_bias,
    has_constants,
    input_offset,
    sum_dtype,
    taps,
)


@register
class FullyConnected(Operator):
    """Product with a matrix of shape ``(channels, depth)``, constant or computed at run time.

    LiteRT's ``reference_integer_ops::FullyConnected`` rounds ``acc * scale`` once, in double
    precision and with halves away from zero. Here one integer multiplication does this, with a
    multiplier that is proven equal for every accumulator that the layer can reach. Without such a
    multiplier, and for int16 activations, the product is computed in double precision. TFLM scales
    with two roundings, as LiteRT does for uint8, and 64-bit sums as described in
    `tvmtiny.ops.shared.int16_sums`.
    """

    name = "FULLY_CONNECTED"
    dtypes = ("int8", "int16", "float32")
    exactness = (
        "int8 and int16 bit-exact (LiteRT: one rounding, TFLM: two roundings, one with 64-bit "
        "sums); float32 within rounding of sums"
    )

    def check_node(self, node: Node) -> Iterator[Problem]:
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
        problems = [*check_layer(node, axis=0, zero_point=weight_zero_point(node))]
        yield from problems
        if x.elements % depth or not node.output.shape or node.output.shape[-1] != channels:
            yield Problem(
                f"input {list(x.shape)} and output {list(node.output.shape)} do not fit weights "
                f"of {channels} channels and depth {depth}",
                "an input of whole rows of that depth, and one output value per row and channel",
            )
        elif node.output.elements * depth != x.elements * channels:
            yield Problem(
                f"{node.output.elements} outputs for {x.elements // depth} rows of input",
                f"{x.elements // depth * channels} outputs",
            )
        if not problems and x.dtype != "float32":
            yield from _check_range(node)

    def compute(self, node: Node, oracle: Oracle) -> Compute:
        depth, zero = node.input(1).shape[1], weight_zero_point(node)
        offset = input_offset(node)
        wide = sum_dtype(node, axis=0)

        def accumulate(x: te.Tensor, w: te.Tensor) -> te.Tensor:
            kc = te.reduce_axis((0, depth), "kc")

            def product(*index: tirx.Var) -> tirx.PrimExpr:
                *row, o = index
                weight = w[o, kc].astype(wide)
                if zero:
                    weight = weight - int32(zero)
                value = x[_position(row, kc, node)].astype(wide)
                if offset:
                    value = value - int32(offset)
                return te.sum(value * weight, axis=kc)

            return te.compute(node.output.shape, product, name="acc")

        bias = folded_bias(node, axis=0, zero_point=zero)
        return layer(node, accumulate, bias, exact_rounding(node, oracle))

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        w = inputs[1]
        if w.dtype != np.float32:
            w = w.astype(np.int64) - weight_zero_point(node)
        rows = centred(inputs[0], node.input(0)).reshape(-1, w.shape[1])
        acc = (rows @ w.T).reshape(node.output.shape)
        return finished(node, acc, inputs[2:], _rounding(node, oracle))

    def macs(self, node: Node) -> int:
        return prod(node.output.shape) * node.input(1).shape[1]


def _position(
    row: Sequence[tirx.Var], column: tirx.Var, node: Node
) -> tuple[tirx.PrimExpr | int, ...]:
    """Return the index into an input of any shape for one element of the row of an output."""
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


def weight_zero_point(node: Node) -> int:
    """Return the weights' zero point; per-channel weights are symmetric."""
    quantization = node.input(1).quantization
    if node.input(1).dtype != "int8" or quantization is None or quantization.per_channel:
        return 0
    return quantization.zero_points[0]


def _sum_range(node: Node) -> tuple[np.ndarray, np.ndarray]:
    """Return the smallest and the largest sum with the bias, for each channel."""
    if not has_constants(node):
        return _sum_range_of_computed(node)
    weights = taps(node, axis=0) - weight_zero_point(node)
    bias = bias_values(node, len(weights))
    return accumulator_range(weights, bias, node.input(0).zero_point)


def _sum_range_of_computed(node: Node) -> tuple[np.ndarray, np.ndarray]:
    """Return the range of sums for arbitrary weights; a bias computed at run time is unbounded."""
    channels, depth = node.input(1).shape
    bias, zero = node.optional_input(2), weight_zero_point(node)
    if bias is not None and bias.data is None:
        least, most = INT32_RANGE
        return np.full(channels, least), np.full(channels, most)
    low, high = INT8_RANGE
    largest = np.full((channels, depth), max(abs(low - zero), abs(high - zero)))
    reach = max(abs(low - node.input(0).zero_point), abs(high - node.input(0).zero_point))
    offsets = bias_values(node, channels).astype(np.int64)
    sums = largest.sum(axis=1) * reach
    return offsets - sums, offsets + sums


def _check_range(node: Node) -> Iterator[Problem]:
    if node.input(0).dtype == "int16":
        reach = np.array(largest_sums(node, taps(node, axis=0)), np.float64)
    else:
        reach = np.abs(_sum_range(node)).max(axis=0)
    if np.any(reach * litert_fully_connected_rounding(node).scales > INT32_RANGE[1] - 2**16):
        yield Problem(
            "a scaled sum can exceed 32 bits, where LiteRT's result is undefined",
            "an output scale that fits the sums",
        )


def _rounding(node: Node, oracle: Oracle) -> OutputRounding | None:
    if node.input(0).dtype == "float32":
        return None
    return fully_connected_rounding(node, oracle)


def exact_rounding(node: Node, oracle: Oracle) -> OutputRounding | None:
    """Return the oracle's rounding, in integers where they equal LiteRT's double arithmetic."""
    rounding = _rounding(node, oracle)
    if not isinstance(rounding, DoubleProduct) or node.input(0).dtype == "int16":
        return rounding
    pairs = _exact_multipliers(node)
    if pairs is None:
        return rounding
    multipliers, shifts = zip(*pairs, strict=True)
    factors = np.array(multipliers, np.int32), np.array(shifts, np.int8)
    return OneRounding(rounding.zero_point, rounding.output_range, *factors)


def _exact_multipliers(node: Node) -> list[tuple[int, int]] | None:
    """Find multipliers for `requantize_once` that equal LiteRT's double arithmetic, or None."""
    low, high = _sum_range(node)
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
