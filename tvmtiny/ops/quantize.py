"""QUANTIZE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from tvm import te, tirx

from tvmtiny.ops.shared.affine import Affine, solve
from tvmtiny.ops.shared.checks import check_scale, check_shape
from tvmtiny.ops.shared.expressions import (
    Expression,
    affine,
    clamp,
    elementwise,
    float32,
    int32,
    requantize,
)
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Compute, Operator, Oracle, Problem, register
from tvmtiny.ops.shared.quantization import (
    INT32_RANGE,
    INTEGER_RANGES,
    broadcast_quantization,
    centred,
    quantize_multiplier,
    round_half_away,
)
from tvmtiny.ops.shared.quantization import requantize as requantize_reference

#: Dtypes that each dtype can be converted to.
_RESULTS = {
    "float32": ("int8", "uint8", "int16"),
    "int8": ("int8", "uint8", "int16"),
    "uint8": ("int8", "uint8", "int16"),
    "int16": ("int8", "uint8", "int16", "int32"),
    "int32": ("int8", "int16"),
}


@register
class Quantize(Operator):
    """float32 to int8, uint8 or int16, or from one of these to another scale or dtype.

    int16 may also become int32, and int32 may become int8 or int16.

    Matches LiteRT's and TFLM's ``reference_ops::AffineQuantize`` (float32 division, halves away
    from zero), per tensor or per channel, and ``Requantize`` (two roundings) bit for bit. A
    quotient outside the int32 range, which they leave undefined, is clamped; NaN gives the lowest
    integer. Integers are requantized in one step if this is proven to give the same result for all
    values.
    """

    name = "QUANTIZE"
    dtypes = ("int8", "uint8", "int16", "int32", "float32")
    per_channel = True
    exactness = "bit-exact (requantization with two roundings, both oracles)"
    input_count = 1

    def check_node(self, node: Node) -> Iterator[Problem]:
        x, out = node.input(0), node.output
        if out.dtype not in _RESULTS[x.dtype]:
            yield Problem(
                f"{x.dtype} input and {out.dtype} output",
                f"{' or '.join(_RESULTS[x.dtype])} output for {x.dtype}",
            )
            return
        yield from check_shape(node, x.shape)
        yield from check_scale(out, per_channel=x.dtype == "float32")
        if x.dtype == "float32":
            return
        problems = [*check_scale(x)]
        yield from problems
        if problems or out.quantization is None:
            return
        largest = {"int32": 0, "int16": 15}.get(x.dtype, 23)
        if rescaling(node)[1] > largest:
            yield Problem(
                f"an output scale of {out.scale:.3g} for an input scale of {x.scale:.3g}",
                f"an output scale above the input scale / 2^{largest}",
            )
        wide = {x.dtype, out.dtype} <= {"int16", "int32"}
        if (wide or x.dtype == "int32") and (x.zero_point or (wide and out.zero_point)):
            yield Problem(
                f"zero points {x.zero_point} and {out.zero_point} of {x.dtype} and {out.dtype}",
                "zero points of 0 of int16 and int32",
            )

    def compute(self, node: Node, oracle: Oracle) -> Compute:
        x, out = node.input(0), node.output
        quantization = out.quantization
        assert quantization is not None
        axis, (low, high) = quantization.axis, _range(out.dtype)

        def quantized(value: Expression, scale: Expression, zero_point: Expression) -> Expression:
            bounds = int32(low), int32(high)
            result = tirx.call_pure_extern(
                "int32", "tvmtiny_quantize", value, scale, int32(zero_point), *bounds
            )
            return result.astype(out.dtype)

        def per_tensor(x: te.Tensor) -> te.Tensor:
            scale, zero_point = float32(out.scale), int32(out.zero_point)
            return elementwise(out.shape, lambda *i: quantized(x(*i), scale, zero_point))

        def per_channel(x: te.Tensor, scales: te.Tensor, zeros: te.Tensor) -> te.Tensor:
            return elementwise(
                out.shape, lambda *i: quantized(x(*i), scales[i[axis]], zeros[i[axis]])
            )

        def rescaled(values: te.Tensor) -> te.Tensor:
            multiplier, shift = rescaling(node)
            narrow = out.dtype == "int8" and x.dtype in ("int8", "uint8")
            line = _exact_line(node) if narrow else None

            def value(*i: tirx.Var) -> Expression:
                if line is not None:
                    return affine([int32(values(*i))], line, low, high)
                steps = int32(values(*i)) - int32(x.zero_point)
                if (multiplier, shift) != (1 << 30, 1):
                    steps = requantize(steps, int32(multiplier), int32(shift))
                total = steps + int32(out.zero_point)
                return clamp(total, low, high, out.dtype)

            return elementwise(out.shape, value)

        if x.dtype != "float32":
            return Compute((x,), rescaled)
        if not quantization.per_channel:
            return Compute((x,), per_tensor)
        scales = np.array(quantization.scales, np.float32)
        return Compute((x, scales, np.array(quantization.zero_points, np.int16)), per_channel)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        x, out = inputs[0], node.output
        bounds = _range(out.dtype)
        if x.dtype != np.float32:
            return [_rescaled(node, x).astype(out.dtype)]
        scales, zero_points = broadcast_quantization(out)
        zeros = zero_points.astype(np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            quotients = np.where(np.isnan(x), -np.inf, x / scales)
        steps = np.clip(quotients, bounds[0] - zeros, bounds[1] - zeros)
        return [(round_half_away(steps) + zeros).astype(out.dtype)]


def _range(dtype: str) -> tuple[int, int]:
    return INTEGER_RANGES.get(dtype, INT32_RANGE)


def _rescaled(node: Node, x: np.ndarray) -> np.ndarray:
    wide = centred(x, node.input(0))
    scaled = requantize_reference(wide, *rescaling(node)) + node.output.zero_point
    return np.clip(scaled, *_range(node.output.dtype))


def _exact_line(node: Node) -> Affine | None:
    """Find integers whose line over the input equals the reference for all 256 values."""
    x, out = node.input(0), node.output
    low, high = INTEGER_RANGES[x.dtype]
    values = np.arange(low, high + 1)
    slopes = [x.scale / out.scale]
    return solve([values], _rescaled(node, values), slopes, INTEGER_RANGES[out.dtype])


def rescaling(node: Node) -> tuple[int, int]:
    """Return multiplier and shift for the ratio of two integer scales."""
    return quantize_multiplier(node.input(0).scale / node.output.scale)
