"""Output scaling of MUL, for schedules of all kernel families."""

from __future__ import annotations

import numpy as np

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.mul import product_multiplier
from tvmtiny.ops.shared.quantization import activation_range, requantize
from tvmtiny.schedule.per_node import per_node
from tvmtiny.schedule.requantize import SHIFTS, Scaling, solve

#: Factor of the products, which preserves bits of the output's multiplier.
PRODUCT_GAIN = 256


@per_node
def product_scaling(node: Node, oracle: Oracle, shifts: tuple[int, ...] = SHIFTS) -> Scaling | None:
    """Find constants for products of operands minus their zero points, times `PRODUCT_GAIN`.

    The outputs must then be clamped to the range of the activation.

    Parameters
    ----------
    node
        An int8 MUL.
    oracle
        The reference whose rounding is reproduced.
    shifts
        Shifts to try, see `tvmtiny.schedule.requantize.solve`.

    Returns
    -------
    Scaling or None
        Constants of one channel; None if no constants are exact.
    """
    low, high = activation_range(node)
    if node.output.scale <= 0:
        return None
    wide = [np.array([-128, 127], np.int64) - node.input(i).zero_point for i in range(2)]
    corners = np.outer(*wide)
    multiplier = product_multiplier(node, oracle)

    def reference(products: np.ndarray) -> np.ndarray:
        return np.clip(requantize(products, *multiplier) + node.output.zero_point, low, high)

    scale = node.input(0).scale * node.input(1).scale / node.output.scale
    bounds = np.array([corners.min()]), np.array([corners.max()])
    none = np.zeros(1, np.int64)
    return solve(
        reference,
        np.array([scale]),
        bounds,
        none,
        gain=PRODUCT_GAIN,
        shifts=shifts,
        limits=(low, high),
    )
