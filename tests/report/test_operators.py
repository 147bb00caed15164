"""The support table is complete and up to date."""

from __future__ import annotations

from tools import ROOT

from tvmtiny.ops import operators
from tvmtiny.report.operators import operator_page


def test_the_page_is_up_to_date() -> None:
    page = (ROOT / "docs" / "operators.md").read_text(encoding="utf-8")
    assert page == operator_page(), "run scripts/operator_table.py"


def test_every_operator_has_a_row() -> None:
    rows = [line for line in operator_page().splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == [operator.name for operator in operators()]
    assert all(row.count("|") == 4 for row in rows)
