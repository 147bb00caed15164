"""gemmlowp's 16-bit fixed-point functions on the host: exp, logistic and tanh of LSTMs.

``runtime/core/tvmtiny_lstm.h`` has the same functions in C. All arrays are int64 with int16 values.
"""

from __future__ import annotations

import numpy as np

from tvmtiny.ops.shared.fixed_point_q31 import rounding_shift

INT16_MAX = 2**15 - 1

#: exp(-1/8) and 1/3 with 15 fractional bits, and exp(-2**k) for k from -2 to 4.
_EXP_EIGHTH, _THIRD = 28918, 10923
_FACTORS = (25520, 19875, 12055, 4435, 600, 11, 0)
#: 48/17 and -32/17 with 13 fractional bits: the initial estimate for Newton's reciprocal.
_GUESS_OFFSET, _GUESS_SLOPE = 23130, -15420


def saturate(value: np.ndarray) -> np.ndarray:
    """Clamp to int16."""
    # For the few numbers of a layer's state, np.clip takes three times as long.
    return np.minimum(np.maximum(value, -INT16_MAX - 1), INT16_MAX)


def multiply_q15(a: np.ndarray, b: np.ndarray | int) -> np.ndarray:
    """Compute ``a * b / 2**15`` with halves upward (``SaturatingRoundingDoublingHighMul``)."""
    return np.minimum((np.asarray(a, np.int64) * b + (1 << 14)) >> 15, INT16_MAX)


def exp_q15(value: np.ndarray, integer_bits: int) -> np.ndarray:
    """Compute exp of non-positive numbers, see `fixed_point_q31.exp_q31`."""
    quarter_bits = 15 - integer_bits - 2
    rest = (value & ((1 << quarter_bits) - 1)) - (1 << quarter_bits)
    quarters = (rest - value) >> quarter_bits
    x = saturate(rest << integer_bits) + (1 << 12)
    x2 = multiply_q15(x, x)
    x3 = multiply_q15(x2, x)
    x4 = multiply_q15(x2, x2)
    cubic = multiply_q15(rounding_shift(x4, 2) + x3, _THIRD)
    series = x + rounding_shift(cubic + x2, 1)
    result = saturate(_EXP_EIGHTH + multiply_q15(series, _EXP_EIGHTH))
    for bit, factor in enumerate(_FACTORS[: integer_bits + 2]):
        result = np.where((quarters >> bit) & 1, multiply_q15(result, factor), result)
    # The factors reach to exp(-16). gemmlowp returns 0 below -32; in between, the result is 0 too.
    result = np.where(value < -32 << (15 - integer_bits), 0, result)
    return np.where(value == 0, INT16_MAX, result)


def logistic_q15(value: np.ndarray, integer_bits: int) -> np.ndarray:
    """Compute ``1 / (1 + exp(-value))`` with 15 fractional bits (``gemmlowp::logistic``)."""
    value = np.asarray(value, np.int64)
    upper = saturate(2 * _reciprocal(exp_q15(-np.abs(value), integer_bits)))
    return np.where(value == 0, 1 << 14, np.where(value > 0, upper, INT16_MAX - upper))


def tanh_q15(value: np.ndarray, integer_bits: int) -> np.ndarray:
    """Compute the hyperbolic tangent with 15 fractional bits (``gemmlowp::tanh``)."""
    value = np.asarray(value, np.int64)
    reciprocal = _reciprocal(exp_q15(-np.abs(value), integer_bits + 1))
    upper = saturate(4 * (reciprocal - (1 << 13)))
    return np.where(value < 0, -upper, np.where(value == 0, 0, upper))


def _reciprocal(value: np.ndarray) -> np.ndarray:
    """Compute ``2 / (1 + value)`` with 13 fractional bits, for values in [0, 1] with 15."""
    half = (value + (1 << 15)) >> 1
    x = _GUESS_OFFSET + multiply_q15(half, _GUESS_SLOPE)
    for _ in range(3):
        x = x + saturate(4 * multiply_q15(x, (1 << 13) - multiply_q15(half, x)))
    return x
