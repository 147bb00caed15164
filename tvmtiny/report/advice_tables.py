"""Output of ``tvmtiny advise``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from tvmtiny.design.advise import Advice, hint_line
from tvmtiny.design.figures import Figures
from tvmtiny.errors.base import short_name
from tvmtiny.report.fitting import FittingTable, TableColumn

_NAMES = {"ram_bytes": "RAM", "flash_bytes": "constants", "cycles": "cycles"}

_LAYERS = (
    TableColumn("#", number=True),
    TableColumn("operator"),
    TableColumn("output", spare=3),
    TableColumn("est. cycles", number=True),
    TableColumn("share", number=True),
    TableColumn("a MAC", number=True, spare=2),
    TableColumn("why", wrap_at=30),
)
_HINTS = (
    TableColumn("", number=True),
    TableColumn("change", wrap_at=36),
    TableColumn("est. cycles", number=True),
    TableColumn("RAM", number=True),
    TableColumn("constants", number=True),
    TableColumn("enough"),
)


def advice_summary(found: Advice) -> dict[str, Any]:
    """Summarize advice for ``--json``."""
    return asdict(found)


def advice_tables(found: Advice) -> Iterator[RenderableType]:
    """Yield the verdict, the most costly layers, and the hints."""
    yield Text(f"{found.model} on {found.cpu}: {_figures(found.now)}")
    limits = {name: limit for name, limit in vars(found.budget).items() if limit is not None}
    for name, limit in limits.items():
        now = getattr(found.now, name)
        verdict = f"{now - limit:,} too many" if name in found.over else "fits"
        yield Text(f"{_NAMES[name]}: {now:,} of {limit:,}, {verdict}")
    layers = FittingTable(_LAYERS)
    for layer in found.layers:
        layers.add_row(
            str(layer.index),
            layer.operator,
            Text(short_name(layer.name, 20)),
            f"{layer.cycles:,}",
            f"{layer.share:.0%}",
            f"{layer.cycles_per_mac:.2f}" if layer.cycles_per_mac else "",
            Text("; ".join(layer.reasons)),
        )
    yield Text("\nLayers that take most:")
    yield layers
    if not found.hints:
        yield Text("\nNothing was found that would save more than a percent of what is asked for.")
        return
    hints = FittingTable(_HINTS)
    for number, hint in enumerate(found.hints, 1):
        after = hint.predicted
        cells = ["?", "?", "?"]
        if after is not None:
            cells = [f"{n:,}" for n in (after.cycles, after.ram_bytes, after.flash_bytes)]
        enough = "yes" if hint.enough and limits else ""
        hints.add_row(str(number), Text(hint_line(hint)), *cells, enough)
    yield Text("\nWhat to change, each change alone:")
    yield hints
    yield Text(
        "Cycles are estimates; RAM is arena and states, constants are without code; both are exact "
        "for the change as it is named. Accuracy after a change of weights is for you to measure."
    )


def _figures(figures: Figures) -> str:
    return (
        f"{figures.cycles:,} cycles, {figures.ram_bytes:,} bytes of RAM, "
        f"{figures.flash_bytes:,} bytes of constants"
    )
