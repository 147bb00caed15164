"""Proven constants that scale products of int8 operands, for all kernel families."""

from __future__ import annotations

import numpy as np

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.mul import product_multiplier
from tvmtiny.ops.shared.quantization import INT8_RANGE, requantize
from tvmtiny.schedule.per_node import per_node
from tvmtiny.schedule.requantize import solve
from tvmtiny.schedule.scaling import Scaling

#: Factors of the products, which preserve bits of the output's multiplier: for scalar and packed
#: code, and for vectors.
WORD_GAIN, VECTOR_GAIN = 128, 256

#: Shifts of scalar and packed code; common ones come first, so that layers share code.
WORD_SHIFTS = (12, 13, 11, 14, 10, 15, 9, 16, 8, 17, 7, 18, 6, 19, 5, 20, 4, 21, 3, 22, 2, 23)


@per_node
def product_scaling(
    node: Node,
    oracle: Oracle,
    gain: int = WORD_GAIN,
    shifts: tuple[int, ...] = WORD_SHIFTS,
    limits: tuple[int, int] = INT8_RANGE,
) -> Scaling | None:
    """Find constants for products of both operands minus their zero points.

    Parameters
    ----------
    node
        An int8 MUL.
    oracle
        The reference whose rounding is reproduced.
    gain
        Factor by which kernels multiply the products.
    shifts
        Shifts to try, see `tvmtiny.schedule.requantize.solve`.
    limits
        Smallest and largest output, if the kernel clamps outputs to the range of the activation.
        By default the constants cover all int8 results.

    Returns
    -------
    Scaling or None
        Constants of one channel; None if no constants are exact.
    """
    wide = [np.array(INT8_RANGE, np.int64) - node.input(i).zero_point for i in range(2)]
    multiplier = product_multiplier(node, oracle)
    return solve_products(node, np.outer(*wide), multiplier, gain, shifts, limits)


def solve_products(
    node: Node,
    corners: np.ndarray,
    multiplier: tuple[int, int],
    gain: int = WORD_GAIN,
    shifts: tuple[int, ...] = WORD_SHIFTS,
    limits: tuple[int, int] = INT8_RANGE,
) -> Scaling | None:
    """Find constants for products between `corners`, which the oracle scales by `multiplier`.

    See `product_scaling` for the other parameters and the result.
    """
    if node.output.scale <= 0:
        return None

    def reference(products: np.ndarray) -> np.ndarray:
        return np.clip(requantize(products, *multiplier) + node.output.zero_point, *limits)

    scale = node.input(0).scale * node.input(1).scale / node.output.scale
    bounds = np.array([corners.min()]), np.array([corners.max()])
    zero = np.zeros(1, np.int64)
    return solve(
        reference,
        np.array([scale]),
        bounds,
        zero,
        gain=gain,
        shifts=shifts,
        limits=limits,
        identity=(multiplier, node.output.zero_point),
    )
