"""Output of ``tvmtiny tune`` and ``tvmtiny records``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from tvmtiny.schedule.records import Record

if TYPE_CHECKING:
    from tvmtiny.tuning.api import TuneResult
    from tvmtiny.tuning.progress import Progress

__all__ = [
    "decisions_text",
    "progress_table",
    "progress_text",
    "records_table",
    "tune_summary",
    "tune_tables",
]

#: Limit on the characters of a workload key in a table.
_KEY_CHARACTERS = 60


def tune_summary(result: TuneResult, files: Sequence[Path]) -> dict[str, Any]:
    """Summarize a result for ``--json``."""
    progress = result.progress
    return {
        "model": result.model,
        "board": result.board,
        "cpu": result.cpu,
        "metric": result.metric,
        "goal": result.goal.value,
        "trials": progress.trials,
        "restored": progress.restored,
        "trials_per_second": progress.trials_per_second,
        "failures": dict(progress.failures),
        "default": progress.default,
        "best": progress.best,
        "layers": [asdict(layer) for layer in progress.layers],
        "records": [record.to_json() for record in result.records],
        "files": [str(file) for file in files],
    }


def tune_tables(result: TuneResult, files: Sequence[Path]) -> Iterator[RenderableType]:
    """Yield the tables and lines for people: layers, sums and files."""
    yield progress_table(result.progress)
    yield progress_text(result.progress)
    if result.progress.default and result.progress.best:
        yield (
            f"{result.metric} of the tuned layers: {result.progress.default:,.0f} by the default "
            f"rules, {result.progress.best:,.0f} by the best candidates "
            f"({result.progress.best / result.progress.default - 1:+.1%})"
        )
    yield f"{len(result.records)} records are better than the default rules"
    if files:
        yield Text(
            f"to use them: tvmtiny compile MODEL --records {files[0].parent} "
            f"--tuned-for {result.metric}"
        )
    for file in files:
        yield Text(str(file))


def progress_table(progress: Progress) -> Table:
    """Compare each layer's best candidate with that of the default rule."""
    table = _table("layer", "candidates", "trials", "default", "best", "")
    for column in table.columns[1:]:
        column.justify = "right"
    for layer in progress.layers:
        table.add_row(
            Text(layer.label),
            f"{layer.candidates:,}",
            str(layer.trials),
            _amount(layer.default),
            _amount(layer.best),
            _change(layer.default, layer.best),
        )
    table.add_section()
    table.add_row(
        "whole inference",
        "",
        str(progress.trials),
        _amount(progress.default),
        _amount(progress.best),
        _change(progress.default, progress.best),
    )
    return table


def progress_text(progress: Progress) -> str:
    """Format trials, rate, failures and remaining time on one line."""
    words = [f"{progress.trials} of {progress.total} trials"]
    if progress.restored:
        words.append(f"{progress.restored} of an earlier run")
    if progress.trials_per_second is not None:
        words.append(f"{progress.trials_per_second:.1f} a second")
    failed = ", ".join(f"{count} {kind}" for kind, count in progress.failures.items())
    words.append(f"failed: {failed or 'none'}")
    if progress.seconds_left is not None and progress.trials < progress.total:
        minutes, seconds = divmod(round(progress.seconds_left), 60)
        words.append(f"{minutes}:{seconds:02d} left")
    return "; ".join(words)


def records_table(records: Sequence[Record]) -> Table:
    """Format records as a table with one row for each."""
    table = _table("cpu", "layer", "goal", "status", "metric", "figure", "", "flash", "decisions")
    for position in (5, 6, 7):
        table.columns[position].justify = "right"
    for record in records:
        key = record.workload.key
        table.add_row(
            record.cpu,
            Text(key if len(key) <= _KEY_CHARACTERS else f"{key[: _KEY_CHARACTERS - 3]}..."),
            record.goal.value,
            record.status.value,
            record.metric,
            _amount(record.figure),
            _change(record.default_figure, record.figure),
            _amount(record.flash_bytes),
            Text(decisions_text(record)),
        )
    return table


def decisions_text(record: Record) -> str:
    """Format the decisions of a record as text."""
    return ", ".join(f"{name} {value}" for name, value in record.decisions.items())


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column)
    return table


def _amount(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _change(default: float | None, best: float | None) -> str:
    return "" if not default or best is None else f"{best / default - 1:+.1%}"
