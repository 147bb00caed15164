"""LOGISTIC."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from tvm import te, tirx

from tvmtiny.ops.elementwise import check_count, check_scale, check_shape
from tvmtiny.ops.expressions import elementwise, int32
from tvmtiny.ops.fixed_point import logistic_q31, rounding_shift
from tvmtiny.ops.node import Node
from tvmtiny.ops.operator import Compute, Operator, Oracle, Problem, register
from tvmtiny.ops.quantization import INT8_RANGE, quantize_multiplier, requantize, round_half_away

_INTEGER_BITS = 4
#: Beyond these, LiteRT's float kernel takes 1 and exp(x) instead.
_UPPER, _LOWER = np.float32(16.619047164916992), np.float32(-9.0)


@register
class Logistic(Operator):
    """``1 / (1 + exp(-x))``.

    int8 is a table of 256 bytes. For LiteRT its entries are computed as ``LUTPopulate`` does, in
    float32; they could only differ where that machine's ``expf`` rounds differently next to the
    middle between two outputs. For TFLM they are gemmlowp's fixed-point logistic, bit by bit.
    float32 uses an exponential of our own, which is within 1 unit in the last place.
    """

    name = "LOGISTIC"
    exactness = "int8 bit-exact (table, differs by oracle); float32 within rounding of exp"

    def check(self, node: Node) -> Iterator[Problem]:
        problems = [*check_count(node, 1)]
        if problems:
            yield from problems
            return
        x, out = node.input(0), node.output
        if x.dtype != out.dtype:
            yield Problem(f"{x.dtype} input and {out.dtype} output", "one dtype")
        yield from check_shape(node, x.shape)
        if out.dtype != "int8":
            return
        problems = [*check_scale(x), *check_scale(out)]
        yield from problems
        if not problems and (out.scale, out.zero_point) != (1 / 256, INT8_RANGE[0]):
            yield Problem(
                f"output scale {out.scale:.9g} and zero point {out.zero_point}",
                "scale 1/256 and zero point -128",
            )

    def compute(self, node: Node, oracle: Oracle) -> Compute:
        def looked_up(x: te.Tensor, table: te.Tensor) -> te.Tensor:
            shape = node.output.shape
            return elementwise(shape, lambda *i: table[int32(x(*i)) - int32(INT8_RANGE[0])])

        def floating(x: te.Tensor) -> te.Tensor:
            return elementwise(
                node.output.shape,
                lambda *i: tirx.call_pure_extern("float32", "tvmtiny_logistic", x(*i)),
            )

        if node.output.dtype != "int8":
            return Compute((node.input(0),), floating)
        return Compute((node.input(0), _table(node, oracle)), looked_up)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        if node.output.dtype == "int8":
            return [_table(node, oracle)[inputs[0].astype(np.int64) - INT8_RANGE[0]]]
        x = inputs[0]
        usual = np.float32(1) / (np.float32(1) + _exp(-x))
        return [np.where(x > _UPPER, np.float32(1), np.where(x < _LOWER, _exp(x), usual))]


def _exp(x: np.ndarray) -> np.ndarray:
    """Correctly rounded float32 exp, but for the rare double rounding."""
    with np.errstate(over="ignore"):
        return np.exp(x.astype(np.float64)).astype(np.float32)


def _table(node: Node, oracle: Oracle) -> np.ndarray:
    """The int8 output for each int8 input from -128 to 127."""
    steps = np.arange(INT8_RANGE[0], INT8_RANGE[1] + 1) - node.input(0).zero_point
    scale = node.input(0).scale
    table = _litert(scale, steps) if oracle is Oracle.LITERT else _tflm(scale, steps)
    return np.clip(table + INT8_RANGE[0], *INT8_RANGE).astype(np.int8)


def _litert(scale: float, steps: np.ndarray) -> np.ndarray:
    values = np.float32(scale) * steps.astype(np.float32)
    shares = np.float32(1) / (np.float32(1) + _exp(-values))
    return round_half_away(shares * np.float32(256)).astype(np.int64)


def _tflm(scale: float, steps: np.ndarray) -> np.ndarray:
    """``reference_integer_ops::Logistic`` with the parameters of TFLM's ``logistic_common.cc``."""
    multiplier, shift = quantize_multiplier(scale * 2.0 ** (31 - _INTEGER_BITS))
    radius = math.floor(((1 << _INTEGER_BITS) - 1) * 2.0 ** (31 - _INTEGER_BITS - shift))
    inside = np.clip(steps, 1 - radius, radius - 1)
    scaled = logistic_q31(requantize(inside, multiplier, shift), _INTEGER_BITS)
    shares = rounding_shift(scaled, 31 - 8)
    return np.where(steps <= -radius, 0, np.where(steps >= radius, 255, shares))
