"""Write docs/operators.md; run this script after adding or changing an operator."""

from __future__ import annotations

from pathlib import Path

from tvmtiny.report.operator_page import operator_page

PAGE = Path(__file__).resolve().parents[1] / "docs" / "operators.md"

if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(operator_page(), encoding="utf-8")
