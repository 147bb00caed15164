"""The natural logarithm of 1 + x in single precision, as C libraries compute it.

Filters on a mel scale are rounded from such logarithms, so an error of one unit in the last place
is visible. Newlib, and glibc up to 2.40, use the method of FreeBSD's msun ("fdlibm"), whose error
is below one unit. This module follows the method operation by operation.
"""

from __future__ import annotations

import numpy as np

_ONE, _HALF, _TWO = np.float32(1), np.float32(0.5), np.float32(2)
#: Coefficients of log((1 + s) / (1 - s)) in s squared, the highest power first.
_SERIES = tuple(
    np.array(bits, np.uint32).view(np.float32)[()]
    for bits in (0x3E178897, 0x3E1CD04F, 0x3E3A3325, 0x3E638E29, 0x3E924925, 0x3ECCCCCD, 0x3F2AAAAB)
)
#: The logarithm of 2 in two parts; the first one has few bits.
_LOG_2 = np.array([0x3F317180, 0x3717F7D1], np.uint32).view(np.float32)
#: The mantissa of the square root of 2.
_ROOT_2 = 0x3504F7


def log1p_float(x: float | np.float32) -> np.float32:
    """Compute the logarithm of ``1 + x`` for ``x`` that is 0 or at least 2^-15."""
    x = np.float32(x)
    power, f, rest, close = 0, x, np.float32(0), False
    if x >= np.float32(0.41421357):
        total = _ONE + x
        word = _bits(total)
        power = (word >> 23) - 127
        # The rounding error of the sum.
        lost = _ONE - (total - x) if power > 0 else x - (total - _ONE)
        rest = lost / total
        mantissa = word & 0x7FFFFF
        if mantissa < _ROOT_2:
            f = _float(mantissa | 0x3F800000) - _ONE
            close = mantissa == 0
        else:
            power += 1
            f = _float(mantissa | 0x3F000000) - _ONE
            close = (0x800000 - mantissa) >> 2 == 0
    scale, half = np.float32(power), np.float32(_HALF * f * f)
    low = scale * _LOG_2[1] + rest
    if close:
        if f == 0:
            return scale * _LOG_2[0] + (rest + scale * _LOG_2[1])
        correction = half * (_ONE - np.float32(2 / 3) * f)
        return scale * _LOG_2[0] - ((correction - low) - f)
    s = np.float32(f / (_TWO + f))
    square, series = np.float32(s * s), np.float32(0)
    for factor in _SERIES:
        series = np.float32(square * (factor + series))
    if power == 0:
        return f - (half - s * (half + series))
    return scale * _LOG_2[0] - ((half - (s * (half + series) + low)) - f)


def _bits(value: np.float32) -> int:
    return int(np.array(value, np.float32).view(np.uint32))


def _float(bits: int) -> np.float32:
    return np.float32(np.array(bits, np.uint32).view(np.float32)[()])
