"""MUL in int8 with one multiplication by a proven constant, for schedules of every family."""

from __future__ import annotations

import numpy as np
from tvm import te, tirx

from tvmtiny.ops import Compute, Node, Oracle
from tvmtiny.ops.mul import product_multiplier
from tvmtiny.ops.shared.expressions import Expression, at, clamp_int8, elementwise, int32
from tvmtiny.ops.shared.quantization import INT8_RANGE, activation_range, requantize
from tvmtiny.schedule.per_node import per_node
from tvmtiny.schedule.requantize import Scaling, solve

#: What products are multiplied by, so that their multiplier keeps enough bits.
GAIN = 128

#: Common ones first, so that layers share code.
_SHIFTS = (12, 13, 11, 14, 10, 15, 9, 16, 8, 17, 7, 18, 6, 19, 5, 20, 4, 21, 3, 22, 2, 23)


@per_node
def product_scaling(node: Node, oracle: Oracle) -> Scaling | None:
    """Constants for products of both operands without their zero points, times `GAIN`.

    They give all results of an int8; the activation's bounds come after them.
    """
    if node.output.scale <= 0:
        return None
    wide = [np.array(INT8_RANGE, np.int64) - node.input(i).zero_point for i in range(2)]
    corners = np.outer(*wide)
    multiplier = product_multiplier(node, oracle)

    def reference(products: np.ndarray) -> np.ndarray:
        return np.clip(requantize(products, *multiplier) + node.output.zero_point, *INT8_RANGE)

    scale = node.input(0).scale * node.input(1).scale / node.output.scale
    bounds = np.array([corners.min()]), np.array([corners.max()])
    zero = np.zeros(1, np.int64)
    return solve(reference, np.array([scale]), bounds, zero, gain=GAIN, shifts=_SHIFTS)


def scaled_product(node: Node, oracle: Oracle) -> Compute | None:
    """A MUL in int8 as a tensor expression with the constants of `product_scaling`.

    Returns
    -------
    Compute or None
        None for other nodes, and where no constants are exact.
    """
    if node.operator != "MUL" or node.output.dtype != "int8":
        return None
    scaling = product_scaling(node, oracle)
    if scaling is None:
        return None
    initial, multiplier = int(scaling.initial[0]), int(scaling.multiplier[0])
    offset, step = (0 if v is None else int(v[0]) for v in (scaling.offset, scaling.step))
    zeros = node.input(0).zero_point, node.input(1).zero_point
    low, high = activation_range(node)

    def call(name: str, *arguments: Expression) -> Expression:
        return tirx.call_pure_extern("int32", name, *arguments)

    def expression(x: te.Tensor, y: te.Tensor) -> te.Tensor:
        def value(*i: tirx.Var) -> Expression:
            both = (int32(at(x, i)) - int32(zeros[0])) * (int32(at(y, i)) - int32(zeros[1]))
            acc = call("tvmtiny_multiply_add", both, int32(GAIN), int32(initial))
            upper = call("tvmtiny_multiply_high", acc, int32(multiplier))
            if scaling.signed:
                # The sign of the sum, whose initial value is 0 then, is the product's.
                upper = upper + int32(offset) + ((both >> int32(31)) & int32(step))
            if (low, high) != INT8_RANGE:
                return clamp_int8(upper >> int32(scaling.shift), low, high)
            return call("tvmtiny_saturate_shifted", upper, int32(scaling.shift)).astype("int8")

        return elementwise(node.output.shape, value)

    return Compute((node.input(0), node.input(1)), expression)
