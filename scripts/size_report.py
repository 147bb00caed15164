#!/usr/bin/env python3
"""Compare code, constants, arena and instructions with the last release.

    scripts/size_report.py                   # the models that ship
    scripts/size_report.py --models FOLDER   # and the int8 models of MLPerf Tiny in a folder
    scripts/size_report.py --json            # what was measured, with the figures of the release
    scripts/size_report.py --write           # store what was measured as that of this version

Text is a table in Markdown, which pull requests show. The figures of the release are
``docs/figures/release.json``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import tvmtiny
from tvmtiny import models
from tvmtiny.report.bench import BenchOptions, bench, bench_summary
from tvmtiny.targets import find_board

ROOT = Path(__file__).resolve().parents[1]
STORED = ROOT / "docs" / "figures" / "release.json"
BOARDS = ("microbit", "mps2-an386", "mps3-an547", "riscv-virt")
MODELS = ("digits", "sine", "temperature")
#: Title of each figure, and its path in an entry of ``tvmtiny.report.bench``.
FIGURES = (
    ("code", ("flash", "code")),
    ("constants", ("flash", "constants")),
    ("arena", ("arena_bytes",)),
    ("instructions", ("instructions",)),
)


def measure(folder: Path | None) -> list[dict[str, Any]]:
    """Run the models on all boards, as ``tvmtiny bench --json`` prints it, with titles of figures.

    Parameters
    ----------
    folder
        Has further models, ``*_int8.tflite``; None for none.
    """
    paths = [str(models.path(name)) for name in MODELS]
    if folder is not None:
        paths += sorted(map(str, folder.glob("*_int8.tflite")))
    options = BenchOptions(estimate=False)
    results = bench(paths, [find_board(name) for name in BOARDS], options)
    return [
        {
            "model": entry["model"],
            "board": entry["board"],
            "error": entry["error"],
            **({} if entry["error"] else {title: _at(entry, path) for title, path in FIGURES}),
        }
        for entry in bench_summary(results)["results"]
    ]


def _at(entry: dict[str, Any], path: tuple[str, ...]) -> int:
    value: Any = entry
    for key in path:
        value = value[key]
    return int(value)


def compared(now: list[dict[str, Any]], then: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The entries of `now`, each with its equal of `then`, by model and board, as ``before``.

    What was not measured then has ``before`` None.
    """
    known = {(entry["model"], entry["board"]): entry for entry in then}
    return [{**entry, "before": known.get((entry["model"], entry["board"]))} for entry in now]


def table(entries: list[dict[str, Any]], version: str) -> str:
    """Compared entries as a table in Markdown."""
    titles = [title for title, _ in FIGURES]
    rows = [
        f"Bytes and instructions of one inference; differences from {version} in parentheses.",
        "",
        f"| model | board | {' | '.join(titles)} |",
        f"| --- | --- |{' ---: |' * len(titles)}",
    ]
    changed = 0
    for entry in entries:
        cells = [_cell(entry, title) for title in titles]
        changed += any("(" in cell for cell in cells)
        rows.append(f"| {entry['model']} | {entry['board']} | {' | '.join(cells)} |")
    return "\n".join((*rows, "", f"{changed} of {len(entries)} rows differ."))


def _cell(entry: dict[str, Any], title: str) -> str:
    if entry["error"]:
        return "fails" if title == FIGURES[0][0] else ""
    value = entry[title]
    before = (entry["before"] or {}).get(title)
    if before is None or before == value:
        return f"{value:,}"
    percent = f", {(value / before - 1) * 100:+.1f} %" if before else ""
    return f"{value:,} ({value - before:+,}{percent})"


def main() -> int:
    """Measure, then print or store; 1 where a model fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, help="folder with models of MLPerf Tiny")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    parser.add_argument("--write", action="store_true", help="store the figures of this version")
    options = parser.parse_args()
    found = measure(options.models)
    if options.write:
        text = json.dumps({"version": tvmtiny.__version__, "results": found}, indent=1) + "\n"
        with tempfile.NamedTemporaryFile("w", dir=STORED.parent, delete=False) as file:
            file.write(text)
        Path(file.name).replace(STORED)
    release = json.loads(STORED.read_text(encoding="utf-8"))
    entries = compared(found, release["results"])
    if options.json:
        print(json.dumps({"release": release["version"], "results": entries}, indent=2))
    else:
        print(table(entries, release["version"]))
    return int(any(entry["error"] is not None for entry in found))


if __name__ == "__main__":
    sys.exit(main())
