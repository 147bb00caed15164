"""Figures beside those of the last release."""

from __future__ import annotations

import json
import runpy

from tools import ROOT

SIZES = runpy.run_path(str(ROOT / "scripts" / "size_report.py"))


def test_differences_are_shown() -> None:
    figures = {"code": 100, "constants": 50, "arena": 16, "instructions": 1_000}
    then = [{"model": "a", "board": "b", "error": None, **figures}]
    now = [
        {**then[0], "code": 110, "instructions": 900},
        {"model": "new", "board": "b", "error": None, **figures},
        {"model": "broken", "board": "b", "error": "does not fit"},
    ]
    rows = SIZES["table"](SIZES["compared"](now, then), "1.2.0").splitlines()
    assert rows[4:] == [
        "| a | b | 110 (+10, +10.0 %) | 50 | 16 | 900 (-100, -10.0 %) |",
        "| new | b | 100 | 50 | 16 | 1,000 |",
        "| broken | b | fails |  |  |  |",
        "",
        "1 of 3 rows differ.",
    ]


def test_the_release_has_all_models_that_ship() -> None:
    stored = json.loads(SIZES["STORED"].read_text(encoding="utf-8"))
    measured = {(entry["model"], entry["board"]) for entry in stored["results"]}
    assert {(model, board) for model in SIZES["MODELS"] for board in SIZES["BOARDS"]} <= measured
    shipped = [entry for entry in stored["results"] if entry["model"] in SIZES["MODELS"]]
    assert all(entry["error"] is None for entry in shipped)
