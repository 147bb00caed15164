"""Measure the table of figures in README.md anew.

``python scripts/figures.py FOLDER`` runs the five int8 models of MLPerf Tiny that lie in the folder
on an emulated Cortex-M4, compares every layer with LiteRT's reference kernels, and puts the
figures between ``<!-- figures -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tvmtiny.report.bench import BenchOptions, BenchResult, bench
from tvmtiny.targets import find_board

README = Path(__file__).resolve().parents[1] / "README.md"
BOARD = "mps2-an386"
MODELS = ("kws", "vww", "ic", "ad", "sww")
#: The peer whose arena is known for all models.
_ARENA_PEER = "CMSIS-NN"

_TABLE = re.compile(r"(?<=^<!-- figures -->\n).*?(?=^<!-- end -->$)", re.DOTALL | re.MULTILINE)
_HEAD = (
    "| model | instructions | best other engine | fewer | arena | CMSIS-NN's arena |",
    "| --- | ---: | ---: | ---: | ---: | ---: |",
)


def measure(folder: Path) -> list[BenchResult]:
    """Run the models of `folder`, and raise what went wrong."""
    paths = [str(folder / f"{name}_int8.tflite") for name in MODELS]
    results = bench(paths, [find_board(BOARD)], BenchOptions(check=True, estimate=False))
    for result in results:
        if result.error is not None:
            raise result.error
        if result.figures is None or not result.figures.exact:
            raise ValueError(f"{result.model} is not exact")
    return list(results)


def with_figures(text: str, results: list[BenchResult]) -> str:
    """`text` with the table of `results`."""
    rows = [*_HEAD]
    for result in results:
        assert result.figures is not None
        best = result.peers[0]
        arena = next(p.arena_bytes for p in result.peers if p.peer == _ARENA_PEER)
        wrong = re.search(r"off by \d+", best.note)
        peer = f"{best.peer} {best.instructions:,}{f' ({wrong[0]})' if wrong else ''}"
        factor = best.instructions / result.figures.instructions
        rows.append(
            f"| {result.model} | {result.figures.instructions:,} | {peer} | {factor:.1f}x "
            f"| {result.figures.arena_bytes:,} | {arena:,} |"
        )
    return _TABLE.sub(lambda _: "\n".join((*rows, "")), text)


if __name__ == "__main__":
    page = README.read_text(encoding="utf-8")
    README.write_text(with_figures(page, measure(Path(sys.argv[1]))), encoding="utf-8")
