"""Scaling of sums in layers with int16 activations, in integers where that is exact."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.shared.output_rounding import (
    DoubleProduct,
    OutputRounding,
    TwoRoundings,
    WideRounding,
    convolution_rounding,
)
from tvmtiny.ops.shared.quantization import activation_range, round_half_away
from tvmtiny.schedule.matrix_layer import layer_rounding


@dataclass(frozen=True, eq=False)
class Factors:
    """The scaling of a layer's outputs.

    Attributes
    ----------
    kind
        ``high``: one 32-bit product; ``wide``: LiteRT's 64-bit product; ``twice``: a product with
        two roundings; ``precisely``: a 96-bit product that is proven equal to LiteRT's double;
        ``double``: LiteRT's double.
    values
        Values of all channels.
    each
        Number of values per channel; 0 if all channels share them.
    """

    kind: str
    values: np.ndarray
    each: int


def factors(node: Node, oracle: Oracle, wide: bool) -> Factors:
    """Choose the scaling of a layer's outputs.

    Parameters
    ----------
    node
        The layer.
    oracle
        The reference whose rounding is reproduced.
    wide
        Whether sums can exceed 32 bits.
    """
    rounding = _rounding(node, oracle)
    if isinstance(rounding, DoubleProduct):
        scales = rounding.factors
        largest = max(abs(end) for end in activation_range(node))
        precise = None if wide else [_precise(scale, largest) for scale in scales.tolist()]
        if precise is not None and None not in precise:
            values = np.array(precise, np.uint32)
            return Factors("precisely", values.ravel(), 3 if len(values) > 1 else 0)
        return Factors("double", scales, min(1, len(scales) - 1))
    assert isinstance(rounding, TwoRoundings | WideRounding)
    multiplier, shift = rounding.multiplier.astype(np.int64), rounding.shift.astype(np.int64)
    if isinstance(rounding, WideRounding) and not wide:
        # The same product, shifted so that its fraction fills the lower word.
        high = multiplier << np.clip(32 - shift, 0, 31)
        if shift.max() <= 32 and shift.min() > 1 and high.max() < 2**31:
            return Factors("high", high.astype(np.int32), min(1, len(high) - 1))
    pairs = np.stack([multiplier, shift], axis=1).astype(np.int32)
    kind = "wide" if isinstance(rounding, WideRounding) else "twice"
    return Factors(kind, pairs.ravel(), 2 if len(pairs) > 1 else 0)


def _rounding(node: Node, oracle: Oracle) -> OutputRounding:
    if node.operator == "DEPTHWISE_CONV_2D":
        return convolution_rounding(node, node.output.shape[-1])
    return layer_rounding(node, oracle)


@lru_cache(maxsize=4096)
def _precise(scale: float, largest: int) -> tuple[int, int, int] | None:
    """Find a 64-bit factor and a shift that equal rounding in double for results up to `largest`.

    Both functions of the sum are monotone and odd. They are therefore equal if they agree on both
    sides of every step of the function in double.
    """
    if not 2.0**-31 < scale < 0.5:
        return None
    mantissa, exponent = np.frexp(scale)
    shift = -int(exponent)
    if shift < 1:
        return None
    # The mantissa of a double has 53 bits, so the factor is exact.
    factor = int(mantissa * 2**53) << 11
    steps = np.arange(1, largest + 2)
    around = np.ceil((steps - 0.5) / scale)[:, None] + np.arange(-2, 3)
    sums = np.clip(around, 0, 2**31 - 1).astype(np.uint64).ravel()
    low = sums * np.uint64(factor & 0xFFFFFFFF)
    high = sums * np.uint64(factor >> 32) + (low >> np.uint64(32))
    got = ((high >> np.uint64(32)) + np.uint64(1 << (shift - 1))) >> np.uint64(shift)
    wanted = round_half_away(sums.astype(np.float64) * scale)
    if not np.array_equal(got.astype(np.float64), wanted):
        return None
    return factor & 0xFFFFFFFF, factor >> 32, shift
