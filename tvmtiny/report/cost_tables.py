"""Output of ``tvmtiny cost``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from tvmtiny.estimation.model import ModelCost
from tvmtiny.report.fitting import FittingTable, TableColumn

_COLUMNS = (
    TableColumn("#", number=True),
    TableColumn("operator"),
    TableColumn("MACs", number=True, spare=5),
    TableColumn("est. instructions", number=True),
    TableColumn("est. cycles", number=True),
    TableColumn("constants", number=True, spare=4),
    TableColumn("workspace", number=True, spare=3),
    TableColumn("flash read", number=True, spare=1),
    TableColumn("RAM read", number=True, spare=1),
    TableColumn("schedule", wrap_at=24, spare=2),
)


def cost_summary(found: ModelCost) -> dict[str, Any]:
    """Summarize costs for ``--json``."""
    summary = asdict(found)
    summary["entry"] = {name: round(value) for name, value in summary["entry"].items()}
    return summary


def cost_tables(found: ModelCost) -> Iterator[RenderableType]:
    """List the layers in order, and their total."""
    table = FittingTable(_COLUMNS)
    for layer in found.layers:
        table.add_row(
            str(layer.index),
            layer.operator,
            _amount(layer.macs),
            _amount(layer.instructions),
            _amount(layer.estimated_cycles),
            _amount(layer.constants_bytes),
            _amount(layer.workspace_bytes),
            _amount(layer.flash_read_bytes),
            _amount(layer.ram_read_bytes),
            Text(layer.schedule),
        )
    entry, total = found.entry, found.total
    table.add_row("", "entry", "", _amount(entry.instructions), _amount(entry.cycles))
    table.add_row(
        "",
        "total",
        _amount(total.macs),
        _amount(total.instructions),
        _amount(total.estimated_cycles),
        _amount(total.constants_bytes),
        "",
        _amount(total.flash_read_bytes),
        _amount(total.ram_read_bytes),
        style="bold",
    )
    yield table
    yield Text(f"\n{found.model} on {found.cpu}: arena {total.arena_bytes:,} bytes")
    if total.wait_cycles:
        yield Text(f"{total.wait_cycles:,} of the cycles wait for constants in flash.")
    yield Text(
        "Instructions, cycles and reads are estimated from layers that were measured on "
        f"{found.calibrated_on}; arena and constants are exact."
    )


def _amount(value: float) -> str:
    return f"{round(value):,}" if round(value) else ""
