"""Output about exported models."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.table import Table

from tvmtiny.project.exports.exporting import Export


def export_summary(export: Export) -> dict[str, Any]:
    """Summarize an export for ``--json``."""
    return {
        "format": export.format,
        "directory": str(export.directory),
        "library": asdict(export.library),
        "models": [asdict(model) for model in export.models],
        "files": [str(path) for path in export.files],
        "pack": None if export.pack is None else str(export.pack),
    }


def export_table(export: Export) -> Table:
    """List the memory demand of exported models, in bytes."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("model")
    table.add_column("code for")
    for column in ("RAM", "constants"):
        table.add_column(column, justify="right")
    for model in export.models:
        table.add_row(
            model.name,
            model.target,
            f"{model.arena_bytes + model.state_bytes:,}",
            f"{model.constants_bytes:,}",
        )
    return table
