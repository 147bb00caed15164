"""Measure the tables of figures in README.md again.

``python scripts/figures.py FOLDER`` runs the five int8 models of MLPerf Tiny in the folder on
emulated boards, compares every layer with LiteRT's reference kernels, and writes the figures of
each board between ``<!-- figures BOARD -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tvmtiny.report.bench import BenchOptions, BenchResult, bench
from tvmtiny.targets import find_board

README = Path(__file__).resolve().parents[1] / "README.md"
BOARDS = ("mps2-an386", "mps3-an547")
MODELS = ("kws", "vww", "ic", "ad", "sww")
#: The peer whose arena is known for the largest number of models.
_ARENA_PEER = "CMSIS-NN"

_TABLE = r"(?<=^<!-- figures {board} -->\n).*?(?=^<!-- end -->$)"
_HEAD = (
    "| model | instructions | best other engine | fewer | arena | CMSIS-NN's arena |",
    "| --- | ---: | ---: | ---: | ---: | ---: |",
)


def measure(folder: Path, board: str) -> list[BenchResult]:
    """Run the models of `folder` on a board, and raise the first error."""
    paths = [str(folder / f"{name}_int8.tflite") for name in MODELS]
    results = bench(paths, [find_board(board)], BenchOptions(check=True, estimate=False))
    for result in results:
        if result.error is not None:
            raise result.error
        if result.figures is None or not result.figures.exact:
            raise ValueError(f"{result.model} is not exact")
    return list(results)


def with_figures(text: str, board: str, results: list[BenchResult]) -> str:
    """Insert the table of a board's `results` into `text`."""
    rows = [*_HEAD]
    for result in results:
        assert result.figures is not None
        best = result.peers[0]
        arena = next((p.arena_bytes for p in result.peers if p.peer == _ARENA_PEER), None)
        wrong = re.search(r"off by \d+", best.note)
        peer = f"{best.peer} {best.instructions:,}{f' ({wrong[0]})' if wrong else ''}"
        factor = best.instructions / result.figures.instructions
        rows.append(
            f"| {result.model} | {result.figures.instructions:,} | {peer} | {factor:.1f}x "
            f"| {result.figures.arena_bytes:,} | {f'{arena:,}' if arena else ''} |"
        )
    table = re.compile(_TABLE.format(board=re.escape(board)), re.DOTALL | re.MULTILINE)
    return table.sub(lambda _: "\n".join((*rows, "")), text)


if __name__ == "__main__":
    page = README.read_text(encoding="utf-8")
    for name in BOARDS:
        page = with_figures(page, name, measure(Path(sys.argv[1]), name))
    README.write_text(page, encoding="utf-8")
