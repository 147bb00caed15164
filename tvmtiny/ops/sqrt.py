"""SQRT and RSQRT."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from tvm import te

from tvmtiny.ops.shared.expressions import Expression, call, elementwise, float32, int32, saturate
from tvmtiny.ops.shared.fixed_point_q31 import inverse_sqrt_multiplier
from tvmtiny.ops.shared.lookup_tables import int16_table, look_up_int16, looked_up_int16
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Compute, Oracle, Problem, register
from tvmtiny.ops.shared.quantization import (
    INT32_RANGE,
    INTEGER_RANGES,
    centred,
    quantize_multiplier,
    requantize,
    saturated,
)
from tvmtiny.ops.shared.unary_operator import Unary

#: Additional fractional bits of an inverse square root.
_SHIFT = 20


@register
class Sqrt(Unary):
    """Square root.

    int8 and int16 match LiteRT's ``SqrtEvalQuantized`` bit for bit: a root in float32, divided by
    the output's scale and truncated. Inputs below the zero point, for which LiteRT fails, give the
    root of 0. float32 is correctly rounded. TFLM has float32 only.
    """

    name = "SQRT"
    dtypes = ("int8", "int16", "float32")
    exactness = "bit-exact"

    def check_more(self, node: Node) -> Iterator[Problem]:
        x, out = node.input(0), node.output
        if out.dtype == "float32":
            return
        most = (INTEGER_RANGES[x.dtype][1] - x.zero_point) * x.scale
        if most**0.5 / out.scale > INT32_RANGE[1] - 2**16:
            yield Problem(
                "a root can exceed 32 bits, where LiteRT's result is undefined",
                "an output scale that fits the roots",
            )

    def value(self, node: Node, x: Expression) -> Expression:
        if node.output.dtype == "float32":
            return call("tvmtiny_sqrt", x)
        real = int32(x).astype("float32") * float32(node.input(0).scale)
        steps = call("tvmtiny_sqrt_steps", real, float32(node.output.scale), dtype="int32")
        return saturate(node, steps)

    def numbers(self, node: Node, x: np.ndarray, oracle: Oracle) -> np.ndarray:
        if node.output.dtype == "float32":
            with np.errstate(invalid="ignore"):
                return np.sqrt(x)
        steps = np.maximum(centred(x, node.input(0)), 0)
        root = np.sqrt(np.float32(node.input(0).scale) * steps.astype(np.float32))
        quotient = np.minimum(root / np.float32(node.output.scale), np.float32(1 << 20))
        return saturated(node, quotient.astype(np.int64) + node.output.zero_point)


@register
class Rsqrt(Unary):
    """``1 / sqrt(x)``.

    int8 matches ``RsqrtEvalQuantized`` of LiteRT and TFLM bit for bit: five fixed-point Newton
    steps and two requantizations, in a table. int16 is an interpolated table filled as in LiteRT,
    in float32. Negative inputs, for which LiteRT fails, and zero give the largest output. float32
    is within 1.5 units in the last place.
    """

    name = "RSQRT"
    dtypes = ("int8", "int16", "float32")
    exactness = "int8 and int16 bit-exact (tables); float32 within 1.5 units in the last place"

    def check_more(self, node: Node) -> Iterator[Problem]:
        if node.output.dtype != "int8":
            return
        shift = quantize_multiplier(_scale(node))[1]
        if shift > 30 or shift - _SHIFT < -31:
            size = "larger" if shift > 30 else "smaller"
            yield Problem(f"an output scale of {node.output.scale:.3g}", f"a {size} output scale")

    def value(self, node: Node, x: Expression) -> Expression:
        return call("tvmtiny_rsqrt", x)

    def numbers(self, node: Node, x: np.ndarray, oracle: Oracle) -> np.ndarray:
        if node.output.dtype == "float32":
            with np.errstate(all="ignore"):
                return np.float32(1) / np.sqrt(x)
        if node.output.dtype == "int16":
            return look_up_int16(_samples(node), x)
        steps = centred(x, node.input(0))
        multiplier, shift = quantize_multiplier(_scale(node))
        root, exponent = inverse_sqrt_multiplier(np.maximum(steps, 1))
        scaled = requantize(
            requantize(np.ones_like(steps), root, exponent + _SHIFT), multiplier, shift - _SHIFT
        )
        most = INTEGER_RANGES["int8"][1]
        return np.where(steps <= 0, most, saturated(node, scaled + node.output.zero_point))

    def compute(self, node: Node, oracle: Oracle) -> Compute:
        def looked_up(x: te.Tensor, table: te.Tensor) -> te.Tensor:
            def value(*i: Sequence[Expression]) -> Expression:
                return looked_up_int16(table, x(*i[: len(x.shape)]))

            return elementwise(node.output.shape, value)

        if node.output.dtype == "int16":
            return Compute((node.input(0), _samples(node)), looked_up)
        return super().compute(node, oracle)


def _scale(node: Node) -> float:
    # LiteRT computes both the root and the product in float32.
    root = np.sqrt(np.float32(node.input(0).scale))
    return 1.0 / float(root * np.float32(node.output.scale))


def _samples(node: Node) -> np.ndarray:
    most = np.float32(INTEGER_RANGES["int16"][1]) * np.float32(node.output.scale)

    def function(x: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.where(x <= 0, most, np.float32(1) / np.sqrt(x))

    return int16_table(node, function)
