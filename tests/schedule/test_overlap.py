"""The distance at which an output may overlap its input, compared with trying every distance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tvmtiny.schedule.overlap import (
    Overlap,
    overlaps_attribute,
    parse_overlaps,
    smallest_distance,
)


def safe(last_read: np.ndarray, first_write: np.ndarray, distance: int) -> bool:
    """Whether no byte is written before the last step that reads it."""
    return not any(
        0 <= o - distance < len(last_read) and first_write[o] < last_read[o - distance]
        for o in range(len(first_write))
    )


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    reads=st.lists(st.integers(-1, 12), min_size=1, max_size=24),
    writes=st.lists(st.integers(0, 12), min_size=1, max_size=24),
    multiple=st.integers(1, 4),
)
def test_every_farther_distance_is_safe(reads: list[int], writes: list[int], multiple: int) -> None:
    last_read, first_write = np.array(reads), np.array(sorted(writes))
    distance = smallest_distance(last_read, first_write, multiple)
    assert distance % multiple == 0
    for farther in range(distance, len(writes) + multiple, multiple):
        assert safe(last_read, first_write, farther)


@pytest.mark.parametrize("multiple", [1, 2, 8])
def test_raster_order_is_tight(multiple: int) -> None:
    # Step i reads bytes up to 8 i + 15 and writes bytes 8 i to 8 i + 7.
    last_read = np.arange(80) // 8
    first_write = np.maximum(np.arange(80) // 8 - 1, 0)
    distance = smallest_distance(last_read, first_write, multiple)
    assert distance == 8
    assert not safe(last_read, first_write, distance - multiple)


def test_attribute_round_trip() -> None:
    overlaps = (Overlap("out", 0, -3, 64), Overlap("patches", 1, 8))
    assert parse_overlaps(overlaps_attribute(overlaps)) == overlaps
