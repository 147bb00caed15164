"""Products by halves with a known factor, compared with GCC's code for Cortex-M0."""

from __future__ import annotations

import pytest

from tvmtiny.estimation.multipliers import steps_of_multiplier


@pytest.mark.parametrize(
    ("multiplier", "steps"), [(0x7B851C6E, 9), (0x7249248A, 0), (0x5999998A, 0)]
)
def test_instructions_of_a_known_multiplier(multiplier: int, steps: int) -> None:
    """GCC takes 43 instructions with the first multiplier and 34 with the others."""
    assert steps_of_multiplier(multiplier) == steps
