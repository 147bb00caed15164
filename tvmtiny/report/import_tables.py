"""Output of ``tvmtiny import``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rich.console import RenderableType

from tvmtiny.frontend import Model
from tvmtiny.importers import Imported
from tvmtiny.report.fitting import FittingTable, Name, TableColumn
from tvmtiny.report.terminal_tables import fact_table


def import_tables(made: Imported, model: Model, file: str) -> Iterator[RenderableType]:
    """Compare inputs and outputs before and after the import, and list the operators."""
    table = FittingTable(
        (
            TableColumn(""),
            TableColumn("tensor", wrap_at=20),
            TableColumn(f"shape in {made.framework}"),
            TableColumn("shape here"),
            TableColumn("dtype"),
            TableColumn("scale", number=True),
            TableColumn("zero point", number=True),
        )
    )
    for what, tensors in (("input", made.inputs), ("output", made.outputs)):
        for t in tensors:
            scale = ("", "") if t.scale is None else (f"{t.scale:.8g}", str(t.zero_point))
            shapes = ("x".join(map(str, shape)) for shape in (t.original_shape, t.shape))
            table.add_row(what, Name(t.name), *shapes, t.dtype, *scale)
    yield table
    counts = Counter(node.operator for node in model.graph.nodes)
    yield fact_table(
        ("file", f"{file} ({len(made.content):,} bytes)"),
        ("operators", ", ".join(f"{count} {name}" for name, count in counts.most_common())),
    )
