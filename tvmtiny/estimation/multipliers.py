"""Products with constants on Armv6-M, which GCC may replace by shifts and sums."""

from __future__ import annotations

from tvmtiny.estimation.terms import shifted_sums

#: Most sums of shifted values that are searched for in place of a product.
_MOST_STEPS = 5


def shifts_and_sums(value: int) -> tuple[int, bool] | None:
    """Return the sums of shifted values for a product, and whether a shift follows.

    Return None if GCC multiplies on Armv6-M.
    """
    steps = shifted_sums(value, _MOST_STEPS)
    shifts = value > 0 and value % 2 == 0
    # GCC's cost of the product grows by an eighth of an add for each bit of the constant.
    if steps + shifts > (7 + (value.bit_length() + 1) // 2) // 4:
        return None
    return steps, shifts


def steps_of_multiplier(multiplier: int) -> int:
    """Return how many instructions a product by halves takes more if its factor is known.

    On Armv6-M, GCC adapts the function to the only multiplier of a program. It multiplies by both
    halves of the factor twice and by the factor once.
    """
    more = 0
    for part, uses in ((multiplier >> 16, 2), (multiplier & 0xFFFF, 2), (multiplier, 1)):
        found = shifts_and_sums(part)
        if found is not None:
            steps, shifts = found
            # A sum takes two instructions; the factor need not be loaded.
            more += uses * (2 * steps + shifts - 1) - 1
    return max(more, 0)
