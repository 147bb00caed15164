"""Assembly of gemmlowp's logistic and tanh with 16 bits, 8 lanes at a time.

The functions are those of ``runtime/core/tvmtiny_lstm.h`` with the following shortcuts, which give
the same bytes for every int16 (`tests/schedule/test_mve_lstm.py` runs all of them):

- the bits of the quarters in ``-|x|`` are those of ``-|x|`` itself, inverted;
- numbers that are rounded by a shift are not negative, so rounding halves upward rounds them away
from 0.
"""

from __future__ import annotations

from tvmtiny.schedule.families.mve.assembly import Lines

#: exp(-2**k) for k from -2 to 3 with 15 fractional bits; the next one is 0.
_FACTORS = (25520, 19875, 12055, 4435, 600, 11)

#: Registers of the factors, and of 1/3, exp(-1/8), 2^15, -32/17 and 48/17.
_FACTOR = ("r6", "r7", "r8", "r9", "r10", "r11")
_THIRD, _EIGHTH, _TOP, _SLOPE, _GUESS = "r1", "r2", "r3", "r4", "r5"

#: The largest number of integer bits of the exponential.
MOST_INTEGER = 5


def nonlinearity(kind: str, integer: int, vectors: int) -> Lines:
    """Code that applies a function to vectors of 8 int16, in place.

    Parameters
    ----------
    kind
        ``logistic`` or ``tanh``.
    integer
        Integer bits of the inputs: at most 5, and at most 4 for tanh.
    vectors
        Number of vectors. Their address is in r0, which points behind them afterwards. Changes r1
        to r12, lr and all vector registers.
    """
    bits = integer + (kind == "tanh")
    assert kind in ("logistic", "tanh") and bits <= MOST_INTEGER
    constants = {_THIRD: 10923, _EIGHTH: 28918, _TOP: 1 << 15, _SLOPE: 0xFFFF & -15420}
    constants |= {_GUESS: 23130}
    constants |= dict(zip(_FACTOR, _FACTORS[: bits + 2], strict=False))
    lines = [f"movw {register}, #{value}" for register, value in constants.items()]
    lines += ["mov r12, #8192", "vdup.16 q7, r12", "movw r12, #32767", "vdup.16 q6, r12"]
    lines += [f"mov r12, #{vectors}", "dls lr, r12", "1:"]
    # q1 = -|x|; q2 = its remainder modulo a quarter, from -1/8 to 1/8.
    lines += ["vldrh.16 q0, [r0]", "vabs.s16 q1, q0", "vneg.s16 q1, q1"]
    lines += [f"vshl.i16 q2, q1, #{bits + 3}", f"vadd.i16 q2, q2, {_TOP}", "vshr.s16 q2, q2, #3"]
    # q4 = exp(-1/8) * (1 + q2 + q2^2 / 2 + q2^3 / 6 + q2^4 / 24)
    lines += ["vqrdmulh.s16 q3, q2, q2", "vqrdmulh.s16 q4, q3, q2", "vqrdmulh.s16 q5, q3, q3"]
    lines += ["vrshr.s16 q5, q5, #2", "vadd.i16 q4, q4, q5", f"vqrdmulh.s16 q4, q4, {_THIRD}"]
    lines += ["vadd.i16 q4, q4, q3", "vrshr.s16 q4, q4, #1", "vadd.i16 q4, q4, q2"]
    lines += [f"vqrdmulh.s16 q4, q4, {_EIGHTH}", f"vqadd.s16 q4, q4, {_EIGHTH}"]
    for bit in range(bits + 2):
        lines += [f"vshl.i16 q2, q1, #{bits + 2 - bit}", "vpt.s16 ge, q2, zr"]
        known = bit < len(_FACTORS)
        lines.append(f"vqrdmulht.s16 q4, q4, {_FACTOR[bit]}" if known else "vmovt.i16 q4, #0")
    # q2 = 2 / (1 + q4), by Newton's iteration.
    lines += [f"vhadd.u16 q4, q4, {_TOP}", f"vqrdmulh.s16 q2, q4, {_SLOPE}"]
    lines += [f"vadd.i16 q2, q2, {_GUESS}"]
    for _ in range(3):
        lines += ["vqrdmulh.s16 q3, q4, q2", "vsub.i16 q3, q7, q3", "vqrdmulh.s16 q3, q2, q3"]
        lines += ["vqshl.s16 q3, q3, #2", "vadd.i16 q2, q2, q3"]
    if kind == "tanh":
        lines += ["vsub.i16 q2, q2, q7", "vqshl.s16 q2, q2, #2"]
        lines += [
            "vpt.s16 lt, q0, zr",
            "vnegt.s16 q2, q2",
            "vpt.i16 eq, q0, zr",
            "vmovt.i16 q2, #0",
        ]
    else:
        lines += ["vqshl.s16 q2, q2, #1", "vpt.s16 lt, q0, zr", "vsubt.i16 q2, q6, q2"]
        lines += ["vpt.i16 eq, q0, zr", "vmovt.i16 q2, #0x4000"]
    return [*lines, "vstrh.16 q2, [r0], #16", "le lr, 1b"]
