#!/usr/bin/env python3
"""Measure the models of MLPerf Tiny anew, and write the tables of figures in the pages.

    scripts/figures.py FOLDER    # measure, write docs/figures/, then the tables
    scripts/figures.py           # only write the tables, from docs/figures/

FOLDER holds the five int8 models of MLPerf Tiny. They run on emulated boards, and every layer is
compared with LiteRT's reference kernels. ``docs/figures/BOARD.json`` is what ``tvmtiny bench
--json`` prints for these models. The tables go between ``<!-- figures BOARD -->`` and
``<!-- end -->``.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from tvmtiny.report.bench import BenchOptions, bench, bench_summary
from tvmtiny.targets import find_board

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "README.md", ROOT / "docs" / "benchmarks.md")
FIGURES = ROOT / "docs" / "figures"
BOARDS = ("mps2-an386", "mps3-an547", "mps2-an385", "riscv-virt")
MODELS = ("kws", "vww", "ic", "ad", "sww")
#: The peer whose arena is known for the most models.
_ARENA_PEER = "CMSIS-NN"

_TABLE = r"(?<=^<!-- figures {board} -->\n).*?(?=^<!-- end -->$)"
_HEAD = (
    "| model | instructions | best other engine | fewer | arena | CMSIS-NN's arena |",
    "| --- | ---: | ---: | ---: | ---: | ---: |",
)


def measure(folder: Path, board: str) -> dict[str, Any]:
    """Run the models of `folder` on a board; what ``tvmtiny bench --json`` prints.

    Raises
    ------
    TvmtinyError
        A model fails, or one of its layers differs from the reference.
    """
    paths = [str(folder / f"{name}_int8.tflite") for name in MODELS]
    results = bench(paths, [find_board(board)], BenchOptions(check=True, estimate=False))
    for result in results:
        if result.error is not None:
            raise result.error
    return bench_summary(results)


def stored(board: str) -> dict[str, Any]:
    """Return the figures of a board that this script stored when it last ran with a folder."""
    found: dict[str, Any] = json.loads((FIGURES / f"{board}.json").read_text(encoding="utf-8"))
    return found


def with_figures(text: str, board: str, summary: dict[str, Any]) -> str:
    """`text` with the table of the results of a board."""
    rows = [*_HEAD]
    for result in summary["results"]:
        best = result["peers"][0] if result["peers"] else None
        arena = next((p["arena_bytes"] for p in result["peers"] if p["peer"] == _ARENA_PEER), None)
        peer, factor = "", ""
        if best:
            wrong = re.search(r"off by \d+", best["note"])
            peer = f"{best['peer']} {best['instructions']:,}{f' ({wrong[0]})' if wrong else ''}"
            factor = f"{best['instructions'] / result['instructions']:.1f}x"
        rows.append(
            f"| {result['model']} | {result['instructions']:,} | {peer} | {factor} "
            f"| {result['arena_bytes']:,} | {f'{arena:,}' if arena else ''} |"
        )
    table = re.compile(_TABLE.format(board=re.escape(board)), re.DOTALL | re.MULTILINE)
    # Once: the table that is filled for the first time is an empty match, and another may follow.
    return table.sub(lambda _: "\n".join((*rows, "")), text, count=1)


def main() -> None:
    """Measure where a folder is given, then write the tables."""
    for board in BOARDS:
        if len(sys.argv) > 1:
            text = json.dumps(measure(Path(sys.argv[1]), board), indent=1) + "\n"
            FIGURES.mkdir(exist_ok=True)
            (FIGURES / f"{board}.json").write_text(text, encoding="utf-8")
        for page in PAGES:
            text = page.read_text(encoding="utf-8")
            page.write_text(with_figures(text, board, stored(board)), encoding="utf-8")


if __name__ == "__main__":
    main()
