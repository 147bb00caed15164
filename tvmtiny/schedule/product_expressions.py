"""int8 MUL and PRELU with one multiplication by a proven constant, for all kernel families."""

from __future__ import annotations

import numpy as np
from tvm import te, tirx

from tvmtiny.ops import Compute, Node, Oracle
from tvmtiny.ops.prelu import prelu_multipliers
from tvmtiny.ops.shared.expressions import Expression, at, clamp_int8, elementwise, int32
from tvmtiny.ops.shared.lookup_tables import EVERY_INT8, by_bits, looked_up_int8
from tvmtiny.ops.shared.quantization import INT8_RANGE, activation_range, requantize
from tvmtiny.schedule.product_scaling import WORD_GAIN, product_scaling, solve_products
from tvmtiny.schedule.scaling import Scaling


def product_expression(node: Node, oracle: Oracle) -> Compute | None:
    """Express an int8 MUL or PRELU as a tensor expression with constants that are proven exact.

    Returns
    -------
    Compute or None
        None for other nodes, and if no constants are exact.
    """
    if node.output.dtype != "int8" or node.operator not in ("MUL", "PRELU"):
        return None
    return _mul(node, oracle) if node.operator == "MUL" else _prelu(node)


def _scaled(both: Expression, scaling: Scaling, limits: tuple[int, int]) -> Expression:
    """Return the int8 result of a product."""

    def call(name: str, *arguments: Expression) -> Expression:
        return tirx.call_pure_extern("int32", name, *arguments)

    initial, multiplier = int(scaling.initial[0]), int(scaling.multiplier[0])
    offset, step = (0 if v is None else int(v[0]) for v in (scaling.offset, scaling.step))
    acc = call("tvmtiny_multiply_add", both, int32(WORD_GAIN), int32(initial))
    upper = call("tvmtiny_multiply_high", acc, int32(multiplier))
    if scaling.signed:
        # The initial value is 0 here, so the sum has the sign of the product.
        upper = upper + int32(offset) + ((both >> int32(31)) & int32(step))
    if limits != INT8_RANGE:
        return clamp_int8(upper >> int32(scaling.shift), *limits)
    return call("tvmtiny_saturate_shifted", upper, int32(scaling.shift)).astype("int8")


def _mul(node: Node, oracle: Oracle) -> Compute | None:
    scaling = product_scaling(node, oracle)
    if scaling is None:
        return None
    zeros = node.input(0).zero_point, node.input(1).zero_point

    def expression(x: te.Tensor, y: te.Tensor) -> te.Tensor:
        def value(*i: tirx.Var) -> Expression:
            both = (int32(at(x, i)) - int32(zeros[0])) * (int32(at(y, i)) - int32(zeros[1]))
            return _scaled(both, scaling, activation_range(node))

        return elementwise(node.output.shape, value)

    return Compute((node.input(0), node.input(1)), expression)


def _prelu(node: Node) -> Compute | None:
    """Express PRELU as products for negative steps and a table of 256 bytes for others."""
    above, below = prelu_multipliers(node)
    zeros = node.input(0).zero_point, node.input(1).zero_point
    slopes = np.array(INT8_RANGE, np.int64) - zeros[1]
    scaling = solve_products(node, np.outer([INT8_RANGE[0] - zeros[0], 0], slopes), below)
    if scaling is None:
        return None
    results = requantize(EVERY_INT8.astype(np.int64) - zeros[0], *above) + node.output.zero_point
    table = by_bits(np.clip(results, *INT8_RANGE).astype(np.int8))

    def expression(x: te.Tensor, y: te.Tensor, table: te.Tensor) -> te.Tensor:
        def value(*i: tirx.Var) -> Expression:
            steps = int32(at(x, i)) - int32(zeros[0])
            product = _scaled(steps * (int32(at(y, i)) - int32(zeros[1])), scaling, INT8_RANGE)
            return tirx.if_then_else(steps < int32(0), product, looked_up_int8(table, at(x, i)))

        return elementwise(node.output.shape, value)

    return Compute((node.input(0), node.input(1), table), expression)
