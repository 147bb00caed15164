"""Damaged models end in a result or in a clear error; scripts/fuzz_models.py tries more."""

from __future__ import annotations

import pytest
from mutated_models import mutated, originals, outcome

_CHUNK = 30


def test_there_are_ten_originals_or_more_with_the_models_of_mlperf_tiny() -> None:
    assert len(originals()) >= 8


@pytest.mark.parametrize("first", range(0, 120, _CHUNK))
def test_every_damaged_model_ends_well(first: int) -> None:
    names = [name for name in sorted(originals()) if "_int8" not in name]
    outcomes = set()
    for seed in range(first, first + _CHUNK):
        outcomes.add(outcome(mutated(originals()[names[seed % len(names)]], seed), seed))
    assert "ModelFormatError" in outcomes
