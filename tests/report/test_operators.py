"""The support table is complete and up to date."""

from __future__ import annotations

from tools import ROOT

from tvmtiny.ops import operators
from tvmtiny.report.operator_page import _others, operator_page


def test_the_page_is_up_to_date() -> None:
    page = (ROOT / "docs" / "operators.md").read_text(encoding="utf-8")
    assert page == operator_page(), "run scripts/operator_table.py"


def test_every_operator_has_a_row() -> None:
    rows = [line for line in operator_page().splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == [operator.name for operator in operators()]
    assert all(row.count("|") == 6 for row in rows)


def test_what_tflm_has_is_there_or_named() -> None:
    """Each operator that TFLM registers is a row, or is listed below the table with its reason."""
    table, _, rest = operator_page().partition("## What others have")
    named = rest.partition("Operators that LiteRT")[0].replace("\n", " ")
    for name in _others()["operators"]["tflm"]:
        assert f"| `{name}` |" in table or f"`{name}`" in named, name
