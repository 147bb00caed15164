"""Output of ``tvmtiny evaluate``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import RenderableType

from tvmtiny.evaluating import Evaluation
from tvmtiny.report.fitting import FittingTable, TableColumn

_NAMES = {
    "accuracy": "accuracy",
    "auc": "area under the ROC curve",
    "error": "mean absolute error",
}


def evaluation_summary(found: Evaluation, model: str) -> dict[str, Any]:
    """Summarize an evaluation for ``--json``."""
    return {
        "model": model,
        "where": found.where,
        "samples": found.samples,
        "metric": found.metric,
        "value": found.value,
        "right": found.right,
    }


def evaluation_tables(found: Evaluation) -> Iterator[RenderableType]:
    """Show the metric, the number of samples, and where they were run."""
    figure = f"{found.value:.4g}"
    if found.right is not None:
        figure = f"{found.value:.1%} ({found.right} of {found.samples})"
    table = FittingTable(
        (
            TableColumn(_NAMES[found.metric]),
            TableColumn("samples", number=True),
            TableColumn("ran on"),
        )
    )
    table.add_row(figure, f"{found.samples:,}", found.where)
    yield table
