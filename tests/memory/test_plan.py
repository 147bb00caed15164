"""Properties of the arena plan."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tvmtiny.memory import Request, plan


@st.composite
def requests(draw: st.DrawFn) -> list[Request]:
    drawn = draw(
        st.lists(
            st.tuples(
                st.integers(1, 300),
                st.integers(0, 12),
                st.integers(0, 6),
                st.sampled_from([1, 4, 4, 4, 8, 16]),
            ),
            max_size=25,
        )
    )
    return [
        Request(f"r{i}", size, first, first + length, alignment)
        for i, (size, first, length, alignment) in enumerate(drawn)
    ]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(wanted=requests())
def test_live_requests_never_overlap(wanted: list[Request]) -> None:
    offsets = plan(wanted).offsets
    for a, b in combinations(wanted, 2):
        if a.lives_with(b):
            start_a, start_b = offsets[a.name], offsets[b.name]
            assert start_a + a.size <= start_b or start_b + b.size <= start_a


@settings(max_examples=200, deadline=None, derandomize=True)
@given(wanted=requests())
def test_alignment_and_size(wanted: list[Request]) -> None:
    result = plan(wanted)
    assert set(result.offsets) == {r.name for r in wanted}
    ends = [result.offsets[r.name] + r.size for r in wanted]
    assert all(result.offsets[r.name] % r.alignment == 0 for r in wanted)
    assert all(offset >= 0 for offset in result.offsets.values())
    assert max(ends, default=0) <= result.total


@settings(max_examples=200, deadline=None, derandomize=True)
@given(wanted=requests())
def test_lower_bound(wanted: list[Request]) -> None:
    result = plan(wanted)
    peak = max(
        (sum(r.size for r in wanted if r.first <= step <= r.last) for step in range(20)), default=0
    )
    assert result.lower_bound == peak
    assert result.total >= peak


@settings(max_examples=100, deadline=None, derandomize=True)
@given(wanted=requests(), data=st.data())
def test_order_of_the_requests_does_not_matter(wanted: list[Request], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(wanted))
    assert plan(shuffled) == plan(wanted)


def test_nothing() -> None:
    assert plan([]).total == 0


def test_a_chain_takes_two_buffers() -> None:
    chain = [Request(f"r{i}", 100, i, i + 1) for i in range(10)]
    assert plan(chain).total == 200


@pytest.mark.parametrize("sizes", [(100, 60, 40), (40, 60, 100), (60, 100, 40)])
def test_requests_that_never_meet_share_memory(sizes: tuple[int, ...]) -> None:
    apart = [Request(f"r{i}", size, 2 * i, 2 * i + 1) for i, size in enumerate(sizes)]
    assert plan(apart).total == max(sizes)
