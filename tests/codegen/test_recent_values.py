"""The cache of values that were used last."""

from __future__ import annotations

from tvmtiny.codegen.recent_values import RecentValues


def test_values_that_were_used_last_are_kept() -> None:
    values: RecentValues[str, int] = RecentValues(2)
    values.put("a", 1)
    values.put("b", 2)
    assert values.get("a") == 1
    values.put("c", 3)
    assert values.get("b") is None
    assert (values.get("a"), values.get("c")) == (1, 3)


def test_a_value_is_replaced() -> None:
    values: RecentValues[str, int] = RecentValues(2)
    values.put("a", 1)
    values.put("a", 2)
    assert values.get("a") == 2
