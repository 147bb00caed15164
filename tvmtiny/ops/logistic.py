"""LOGISTIC."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from tvmtiny.ops.shared.expressions import Expression, call
from tvmtiny.ops.shared.fixed_point_q31 import logistic_q31, rounding_shift
from tvmtiny.ops.shared.lookup_tables import EVERY_INT8
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Oracle, Problem, register
from tvmtiny.ops.shared.quantization import (
    INT8_RANGE,
    quantize_multiplier,
    requantize,
    round_half_away,
)
from tvmtiny.ops.shared.sigmoid_operator import SigmoidTable, check_output_scale, logistic_between

_INTEGER_BITS = 4
#: Limits beyond which LiteRT's float kernel returns 1 and exp(x).
_UPPER, _LOWER = np.float32(16.619047164916992), np.float32(-9.0)


@register
class Logistic(SigmoidTable):
    """``1 / (1 + exp(-x))``.

    int8 is a table of 256 bytes. For LiteRT its entries are computed as in ``LUTPopulate``, in
    float32. They could only differ if the host that filled LiteRT's table has an ``expf`` that
    rounds differently close to the middle between two outputs. For TFLM they are gemmlowp's
    fixed-point logistic, bit for bit. int16 matches ``reference_integer_ops::Logistic`` of both bit
    for bit: interpolation in a table. float32 uses this package's own exponential, which is within
    1 unit in the last place.
    """

    name = "LOGISTIC"
    dtypes = ("int8", "int16", "float32")
    exactness = (
        "int8 bit-exact (table, differs by oracle), int16 bit-exact (both oracles); float32 within "
        "rounding of exp"
    )
    largest_power = 0
    interpolation = "tvmtiny_logistic_int16"
    fraction_bits = 9

    def check_more(self, node: Node) -> Iterator[Problem]:
        out = node.output
        if out.dtype == "int16":
            yield from check_output_scale(node)
        elif out.dtype == "int8" and (out.scale, out.zero_point) != (1 / 256, INT8_RANGE[0]):
            yield Problem(
                f"output scale {out.scale:.9g} and zero point {out.zero_point}",
                "scale 1/256 and zero point -128",
            )

    def value(self, node: Node, x: Expression) -> Expression:
        return call("tvmtiny_logistic", x)

    def numbers(self, node: Node, x: np.ndarray, oracle: Oracle) -> np.ndarray:
        usual = np.float32(1) / (np.float32(1) + _exp(-x))
        return np.where(x > _UPPER, np.float32(1), np.where(x < _LOWER, _exp(x), usual))

    def table(self, node: Node, oracle: Oracle) -> np.ndarray:
        steps = EVERY_INT8 - node.input(0).zero_point
        scale = node.input(0).scale
        table = _litert(scale, steps) if oracle is Oracle.LITERT else _tflm(scale, steps)
        return np.clip(table + INT8_RANGE[0], *INT8_RANGE).astype(np.int8)

    def interpolated(self, left: np.ndarray, right: np.ndarray, x: np.ndarray) -> np.ndarray:
        return logistic_between(left, right, x)


def _exp(x: np.ndarray) -> np.ndarray:
    """Compute exp rounded correctly to float32, apart from rare double rounding."""
    with np.errstate(over="ignore"):
        return np.exp(x.astype(np.float64)).astype(np.float32)


def _litert(scale: float, steps: np.ndarray) -> np.ndarray:
    values = np.float32(scale) * steps.astype(np.float32)
    shares = np.float32(1) / (np.float32(1) + _exp(-values))
    return round_half_away(shares * np.float32(256)).astype(np.int64)


def _tflm(scale: float, steps: np.ndarray) -> np.ndarray:
    """Compute ``reference_integer_ops::Logistic`` with the parameters of ``logistic_common.cc``."""
    multiplier, shift = quantize_multiplier(scale * 2.0 ** (31 - _INTEGER_BITS))
    radius = math.floor(((1 << _INTEGER_BITS) - 1) * 2.0 ** (31 - _INTEGER_BITS - shift))
    inside = np.clip(steps, 1 - radius, radius - 1)
    scaled = logistic_q31(requantize(inside, multiplier, shift), _INTEGER_BITS)
    shares = rounding_shift(scaled, 31 - 8)
    return np.where(steps <= -radius, 0, np.where(steps >= radius, 255, shares))
