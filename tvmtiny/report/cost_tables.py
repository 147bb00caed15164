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
            _estimate(layer.instructions, layer.rough),
            _estimate(layer.estimated_cycles, layer.rough),
            _amount(layer.constants_bytes),
            _amount(layer.workspace_bytes),
            _estimate(layer.flash_read_bytes, layer.rough),
            _estimate(layer.ram_read_bytes, layer.rough),
            Text(layer.schedule),
        )
    entry, total = found.entry, found.total
    rough = total.rough_layers > 0
    table.add_row("", "entry", "", _amount(entry.instructions), _amount(entry.cycles))
    table.add_row(
        "",
        "total",
        _amount(total.macs),
        _estimate(total.instructions, rough),
        _estimate(total.estimated_cycles, rough),
        _amount(total.constants_bytes),
        "",
        _estimate(total.flash_read_bytes, rough),
        _estimate(total.ram_read_bytes, rough),
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
    if rough:
        layers = (
            "1 layer contains"
            if total.rough_layers == 1
            else f"{total.rough_layers} layers contain"
        )
        yield Text(
            f"~ is rough and may be far off: {layers} parts that were not measured; "
            "tvmtiny profile counts them."
        )


def _estimate(value: float, rough: bool) -> str:
    return f"~{_amount(value) or 0}" if rough else _amount(value)


def _amount(value: float) -> str:
    return f"{round(value):,}" if round(value) else ""
