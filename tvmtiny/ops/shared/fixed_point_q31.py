"""gemmlowp's 32-bit fixed-point functions on the host: exp, reciprocal, logistic, log.

The formulas are those of gemmlowp's ``fixedpoint/fixedpoint.h``; ``runtime/core/tvmtiny.h`` has the
same functions in C. A number "with f fractional bits" stands for ``integer / 2**f``. All arrays are
int64 with int32 values.
"""

from __future__ import annotations

import numpy as np

INT32_MAX = 2**31 - 1

#: exp(-1/8) and 1/3 with 31 fractional bits.
_EXP_EIGHTH, _THIRD = 1895147668, 715827883
#: exp(-2**k) with 31 fractional bits, for k from -2 to 4.
_FACTORS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)
#: 48/17 and -32/17 with 29 fractional bits: the initial estimate for Newton's reciprocal.
_GUESS_OFFSET, _GUESS_SLOPE = 1515870810, -1010580540
#: sqrt(2) / 2 with 31 fractional bits.
_HALF_SQRT_2 = 1518500250
#: sqrt(sqrt(1/2)) and log(2) with 31 fractional bits.
_SQRT_HALF_SQRT, _LOG_2 = 1805811301, 1488522236
#: Coefficients, with 31 fractional bits, of a rational function that approximates the logarithm.
_LOG_COEFFICIENTS = (117049297, 127690142, 1057819769, 638450708)


def multiply_q31(a: np.ndarray, b: np.ndarray | int) -> np.ndarray:
    """Compute ``a * b / 2**31`` with halves upward (``SaturatingRoundingDoublingHighMul``)."""
    return (np.asarray(a, np.int64) * b + (1 << 30)) >> 31


def rounding_shift(value: np.ndarray, shift: np.ndarray | int) -> np.ndarray:
    """Compute ``value / 2**shift`` with halves away from zero (``RoundingDivideByPOT``)."""
    value = np.asarray(value, np.int64)
    mask = (np.int64(1) << np.asarray(shift, np.int64)) - 1
    return (value >> shift) + ((value & mask) > (mask >> 1) + (value < 0))


def exp_q31(value: np.ndarray, integer_bits: int) -> np.ndarray:
    """Compute exp of non-positive numbers (``exp_on_negative_values``).

    Parameters
    ----------
    value
        Numbers with ``31 - integer_bits`` fractional bits.
    integer_bits
        Number of integer bits, from 0 to 5.

    Returns
    -------
    np.ndarray
        Numbers with 31 fractional bits; 1 is ``INT32_MAX``.
    """
    value = np.asarray(value, np.int64)
    quarter_bits = 31 - integer_bits - 2
    rest = (value & ((1 << quarter_bits) - 1)) - (1 << quarter_bits)
    quarters = (rest - value) >> quarter_bits
    x = (rest << integer_bits) + (1 << 28)
    x2 = multiply_q31(x, x)
    x3 = multiply_q31(x2, x)
    x4 = multiply_q31(x2, x2)
    cubic = multiply_q31(rounding_shift(x4, 2) + x3, _THIRD)
    result = _EXP_EIGHTH + multiply_q31(x + rounding_shift(cubic + x2, 1), _EXP_EIGHTH)
    for bit, factor in enumerate(_FACTORS[: integer_bits + 2]):
        result = np.where((quarters >> bit) & 1, multiply_q31(result, factor), result)
    return np.where(value == 0, INT32_MAX, result)


def reciprocal_q31(value: np.ndarray) -> np.ndarray:
    """Compute ``1 / (1 + value)`` (``one_over_one_plus_x_for_x_in_0_1``).

    Parameters
    ----------
    value
        Numbers in [0, 1) with 31 fractional bits.

    Returns
    -------
    np.ndarray
        Numbers with 31 fractional bits.
    """
    return np.minimum(2 * _reciprocal_q29(value), INT32_MAX)


def _reciprocal_q29(value: np.ndarray) -> np.ndarray:
    """Compute ``2 / (1 + value)`` with 29 fractional bits, by three Newton steps."""
    half = (np.asarray(value, np.int64) >> 1) + (1 << 30)
    x = _GUESS_OFFSET + multiply_q31(half, _GUESS_SLOPE)
    for _ in range(3):
        x = x + 4 * multiply_q31(x, (1 << 29) - multiply_q31(half, x))
    return x


def tanh_q31(value: np.ndarray) -> np.ndarray:
    """Compute ``tanh(value)`` (``gemmlowp::tanh``).

    Parameters
    ----------
    value
        Numbers with 27 fractional bits.

    Returns
    -------
    np.ndarray
        Numbers with 31 fractional bits.
    """
    value = np.asarray(value, np.int64)
    # The integer of a number with 27 fractional bits stands for its double with 26 bits.
    exponential = exp_q31(-np.abs(value), 5)
    size = np.clip((_reciprocal_q29(exponential) - (1 << 29)) << 2, -(2**31), INT32_MAX)
    return np.where(value == 0, 0, np.where(value > 0, size, -size))


def logistic_q31(value: np.ndarray, integer_bits: int) -> np.ndarray:
    """Compute ``1 / (1 + exp(-value))`` (``gemmlowp::logistic``).

    Parameters
    ----------
    value
        Numbers with ``31 - integer_bits`` fractional bits.
    integer_bits
        Number of integer bits, from 0 to 5.

    Returns
    -------
    np.ndarray
        Numbers with 31 fractional bits.
    """
    value = np.asarray(value, np.int64)
    upper = reciprocal_q31(exp_q31(-np.abs(value), integer_bits))
    return np.where(value == 0, 1 << 30, np.where(value > 0, upper, INT32_MAX - upper))


def inverse_sqrt_multiplier(value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute ``1 / sqrt(value)`` as a multiplier (``GetInvSqrtQuantizedMultiplierExp``).

    Parameters
    ----------
    value
        Integers from 0 to 2^31 - 1; 0 counts as 1.

    Returns
    -------
    multiplier, shift
        Factors for `quantization.requantize`; the shift is to the right, so it is not positive.
    """
    value = np.maximum(np.asarray(value, np.int64), 1)
    right = np.full(value.shape, 11, np.int64)
    while np.any(value >= 1 << 29):
        right = right + (value >= 1 << 29)
        value = np.where(value >= 1 << 29, value // 4, value)
    # Shift by an even number of bits to between 2^27 and 2^29.
    bits = np.frexp(value.astype(np.float64))[1].astype(np.int64)
    pairs = (31 - bits) // 2 - 1
    right = right - pairs
    scaled = value << (2 * pairs)
    three = scaled >> 1
    half = rounding_shift(three, 1)
    x = np.full(value.shape, 1 << 28, np.int64)
    for _ in range(5):
        cube = multiply_q31(multiply_q31(x, x), x)
        # From 9, and then from 6, integer bits to 3.
        cube = _saturated(cube << 6)
        x = _saturated((multiply_q31(x, (1 << 28) + (1 << 27)) - multiply_q31(half, cube)) << 3)
    root = multiply_q31(x, _HALF_SQRT_2)
    root = np.where(right < 0, root << np.maximum(-right, 0), root)
    one = value == 1
    return np.where(one, INT32_MAX, root), np.where(one, 0, -np.maximum(right, 0))


def log_q26(value: np.ndarray) -> np.ndarray:
    """Compute ``log(value)`` (``log_x_for_x_greater_than_or_equal_to_1``).

    Parameters
    ----------
    value
        Numbers of at least 1 with 19 fractional bits.

    Returns
    -------
    np.ndarray
        Numbers with 26 fractional bits.
    """
    value = np.asarray(value, np.int64)
    quarter = 1 << 23
    zeros = _leading_zeros(value)
    first = _saturated(2 * multiply_q31(value << (zeros - 1), _HALF_SQRT_2))
    headroom = _leading_zeros(multiply_q31(value, _HALF_SQRT_2)) - 1
    second = _saturated(value << headroom)
    r = np.minimum(first, second)
    power = np.maximum(((12 - zeros) << 25) + quarter, ((12 - headroom) << 25) - quarter)
    p = (r + _SQRT_HALF_SQRT + 1) // 2
    q = (r - _SQRT_HALF_SQRT) * 2
    square = multiply_q31(q, q)
    alpha_n, alpha_d, alpha_i, alpha_f = _LOG_COEFFICIENTS
    numerator = multiply_q31(q, r) + multiply_q31(multiply_q31(q, square), alpha_n)
    inner = alpha_i + q + multiply_q31(square, alpha_d)
    denominator = multiply_q31(p, inner) + multiply_q31(q, alpha_f)
    quotient = multiply_q31(rounding_shift(numerator, 6), reciprocal_q31(denominator))
    return _saturated((multiply_q31(power, _LOG_2) + quotient) << 1)


def _leading_zeros(value: np.ndarray) -> np.ndarray:
    return 32 - np.frexp(value.astype(np.float64))[1].astype(np.int64)


def _saturated(value: np.ndarray) -> np.ndarray:
    return np.clip(value, -(2**31), INT32_MAX)
