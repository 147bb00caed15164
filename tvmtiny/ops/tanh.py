"""TANH."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from tvmtiny.ops.shared.expressions import Expression, call
from tvmtiny.ops.shared.fixed_point_q31 import rounding_shift, tanh_q31
from tvmtiny.ops.shared.lookup_tables import EVERY_INT8, int8_table
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Oracle, Problem, register
from tvmtiny.ops.shared.quantization import INT8_RANGE, quantize_multiplier, requantize
from tvmtiny.ops.shared.sigmoid_operator import SigmoidTable, check_output_scale, tanh_between
from tvmtiny.ops.shared.unary_operator import in_float64

_INTEGER_BITS = 4


@register
class Tanh(SigmoidTable):
    """Hyperbolic tangent.

    int8 is a table of 256 bytes. For LiteRT its entries are computed as in ``LUTPopulate``, in
    float32; for TFLM they are gemmlowp's fixed-point tanh, bit for bit. int16 matches
    ``reference_integer_ops::Tanh`` of both bit for bit: interpolation in a table of the logistic
    function. float32 uses this package's own functions, within 2 units in the last place.
    """

    name = "TANH"
    dtypes = ("int8", "int16", "float32")
    exactness = (
        "int8 bit-exact (table, differs by oracle), int16 bit-exact (both oracles); float32 within "
        "2 units in the last place"
    )
    largest_power = 1
    interpolation = "tvmtiny_tanh_int16"
    fraction_bits = 8

    def check_more(self, node: Node) -> Iterator[Problem]:
        if node.output.dtype == "int16":
            yield from check_output_scale(node)

    def value(self, node: Node, x: Expression) -> Expression:
        return call("tvmtiny_tanh", x)

    def numbers(self, node: Node, x: np.ndarray, oracle: Oracle) -> np.ndarray:
        return in_float64(np.tanh, x)

    def table(self, node: Node, oracle: Oracle) -> np.ndarray:
        if oracle is Oracle.LITERT:
            return int8_table(node, lambda x: in_float64(np.tanh, x))
        steps = EVERY_INT8 - node.input(0).zero_point
        scale = node.input(0).scale * 2.0 ** (31 - _INTEGER_BITS)
        multiplier, shift = quantize_multiplier(scale)
        radius = math.floor(((1 << _INTEGER_BITS) - 1) * 2.0 ** (31 - _INTEGER_BITS - shift))
        inside = np.clip(steps, 1 - radius, radius - 1)
        scaled = tanh_q31(requantize(inside, multiplier, shift))
        low, high = INT8_RANGE
        result = np.clip(rounding_shift(scaled, 31 - 7), low, high)
        table = np.where(steps <= -radius, low, np.where(steps >= radius, high, result))
        return table.astype(np.int8)

    def interpolated(self, left: np.ndarray, right: np.ndarray, x: np.ndarray) -> np.ndarray:
        return tanh_between(left, right, x)
