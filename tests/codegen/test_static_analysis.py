"""Deviations from MISRA C:2012 and findings of clang-tidy are those that docs/safety.md states."""

from __future__ import annotations

import json
import runpy
from typing import Any

import pytest
from tools import ROOT, needs_programs

from tvmtiny import models

ANALYSIS = runpy.run_path(str(ROOT / "scripts" / "static_analysis.py"))


@pytest.fixture(scope="module")
def stored() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ANALYSIS["STORED"].read_text(encoding="utf-8"))
    return found


def test_the_table_has_what_is_stored(stored: dict[str, Any]) -> None:
    text = ANALYSIS["PAGE"].read_text(encoding="utf-8")
    assert text == ANALYSIS["with_table"](text, stored), "run scripts/static_analysis.py"
    for counts in stored["cppcheck"]["counts"].values():
        rules = {name for name in counts if name[0].isdigit()}
        assert rules <= set(ANALYSIS["DEVIATIONS"])
        assert set(counts) - rules <= {"shiftTooManyBitsSigned", "moduloofone"}
    for counts in stored["clang-tidy"]["counts"].values():
        assert set(counts) <= {"bugprone-macro-parentheses"}


@needs_programs("cppcheck", "clang-tidy")
def test_findings_are_as_stored(stored: dict[str, Any]) -> None:
    for program, known in stored.items():
        if ANALYSIS["version"](program) != known["version"]:
            pytest.skip(f"the counts are those of {program} {known['version']}")
    paths = [str(models.path(name)) for name in ANALYSIS["MODELS"]]
    assert ANALYSIS["measure"](paths) == stored, "run scripts/static_analysis.py"
