"""Output of ``tvmtiny search`` and ``tvmtiny prune``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from tvmtiny.design.measured import MeasuredModel
from tvmtiny.design.pruning import Pruned
from tvmtiny.design.search import Candidate, SearchResult
from tvmtiny.design.verifying import Verified
from tvmtiny.report.fitting import FittingTable, TableColumn

_FRONT = (
    TableColumn("trial", number=True),
    TableColumn("accuracy", number=True),
    TableColumn("est. cycles", number=True),
    TableColumn("RAM", number=True),
    TableColumn("constants", number=True),
    TableColumn("MACs", number=True, spare=1),
    TableColumn("choices", wrap_at=30, spare=2),
)
_SIDES = (
    TableColumn(""),
    TableColumn("accuracy", number=True),
    TableColumn("float", number=True, spare=1),
    TableColumn("est. instructions", number=True),
    TableColumn("est. cycles", number=True),
    TableColumn("RAM", number=True),
    TableColumn("constants", number=True),
)
_EVEN = (
    TableColumn("layer"),
    TableColumn("pruned"),
    TableColumn("cycles", number=True),
    TableColumn("constants", number=True),
    TableColumn("RAM", number=True),
)


def search_summary(
    found: SearchResult, verified: Mapping[int, Verified] | None = None
) -> dict[str, Any]:
    """Summarize a search for ``--json``; `verified` is keyed by number of the trial."""
    return {
        **asdict(found),
        "verified": {str(number): asdict(one) for number, one in (verified or {}).items()},
    }


def search_tables(
    found: SearchResult, verified: Mapping[int, Verified] | None = None
) -> Iterator[RenderableType]:
    """Yield the Pareto front, and the results of verification."""
    trained = sum(candidate.state == "complete" for candidate in found.candidates)
    over = len(found.candidates) - trained
    yield Text(f"{trained} networks on {found.cpu}, {over} more were over the budget")
    if not found.front:
        yield Text("No network is within the budget.")
        return
    table = FittingTable(_FRONT)
    for candidate in found.front:
        figures = candidate.figures
        table.add_row(
            str(candidate.number),
            share(candidate.accuracy),
            f"{figures.cycles:,}",
            f"{figures.ram_bytes:,}",
            f"{figures.flash_bytes:,}",
            f"{candidate.macs:,}",
            Text(choices(candidate)),
        )
    yield Text("\nNetworks that no other one beats:")
    yield table
    for number, one in (verified or {}).items():
        yield Text(f"trial {number}: ") + verified_line(one)


def choices(candidate: Candidate) -> str:
    """Format the parameters of a network on one line."""
    return ", ".join(f"{name} {value}" for name, value in candidate.parameters.items())


def share(value: float | None) -> str:
    """Format a share as a percentage; empty for None."""
    return "" if value is None else f"{value:.1%}"


def prune_summary(
    found: Pruned, verified: tuple[Verified, Verified] | None = None
) -> dict[str, Any]:
    """Summarize pruning for ``--json``; `verified` are the model before and after."""
    return {
        "cpu": found.cpu,
        "before": model_summary(found.before),
        "after": model_summary(found.after),
        "over": found.over,
        "kept": found.kept,
        "table": [asdict(row) for row in found.table],
        "verified_before": None if verified is None else asdict(verified[0]),
        "verified": None if verified is None else asdict(verified[1]),
    }


def model_summary(side: MeasuredModel) -> dict[str, Any]:
    """Summarize a model for ``--json``."""
    return {
        "figures": asdict(side.figures),
        "accuracy": side.accuracy,
        "float_accuracy": side.float_accuracy,
    }


def prune_tables(
    found: Pruned, verified: tuple[Verified, Verified] | None = None
) -> Iterator[RenderableType]:
    """Yield the savings from pruning each layer alone, and the model before and after."""
    even = FittingTable(_EVEN)
    for row in found.table:
        even.add_row(
            Text(row.layer),
            f"{row.share:.0%} of {row.method}",
            f"{row.cycles:,}",
            f"{row.flash_bytes:,}",
            f"{row.ram_bytes:,}",
        )
    yield Text(f"What pruning one layer alone saves on {found.cpu}:")
    yield even
    sides = model_table()
    model_row(sides, "before", found.before)
    model_row(sides, "after", found.after)
    yield Text("\nThe model:")
    yield sides
    kept = ", ".join(
        f"{layer} {left} of {there}" + (f" and {zeros:.0%} of blocks zero" if zeros else "")
        for layer, (left, there, zeros) in found.kept.items()
    )
    yield Text(f"Filters: {kept}")
    if found.over:
        yield Text(f"It is still over the budget of {', '.join(found.over)}.")
    if verified is not None:
        for name, one in zip(("Before: ", "After: "), verified, strict=True):
            yield Text(name) + verified_line(one)


def model_table() -> FittingTable:
    """Make a table of models, for rows of `model_row`."""
    return FittingTable(_SIDES)


def model_row(table: FittingTable, name: str, side: MeasuredModel) -> None:
    """Add a model with its accuracy and its cost."""
    figures = side.figures
    table.add_row(
        name,
        share(side.accuracy),
        share(side.float_accuracy),
        f"{figures.instructions:,}",
        f"{figures.cycles:,}",
        f"{figures.ram_bytes:,}",
        f"{figures.flash_bytes:,}",
    )


def verified_line(verified: Verified) -> Text:
    """Format the result of a run on a board."""
    same = "equal outputs" if verified.equal else "OTHER OUTPUTS"
    return Text(
        f"On {verified.board}: {verified.instructions:,} instructions, arena "
        f"{verified.arena_bytes:,}, accuracy {verified.accuracy:.1%} of {verified.samples} "
        f"samples, {verified.host_accuracy:.1%} on this machine, {same}"
    )
