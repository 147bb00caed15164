"""Tables that omit columns on a narrow terminal instead of breaking figures apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from tvmtiny.errors.base import short_name, visible

__all__ = ["FittingTable", "Name", "TableColumn"]

#: A width in columns that exceeds that of any table.
_UNLIMITED = 10_000


#: Least width for a name that is longer than this.
_NAME_WIDTH = 12


@dataclass(frozen=True)
class Name:
    """A name of any length and content, shown on one line and shortened as necessary.

    Attributes
    ----------
    name
        Any text, such as the name of a tensor.
    """

    name: str

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        width = cell_len(visible(self.name))
        return Measurement(min(width, _NAME_WIDTH), width)

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        shown = short_name(self.name, options.max_width)
        yield Text(shown, no_wrap=True, overflow="crop")


@dataclass(frozen=True)
class TableColumn:
    """A column of a table.

    Attributes
    ----------
    name
        Heading of the column.
    number
        Whether the column contains numbers, which are right-aligned.
    wrap_at
        Least width at which the text may be wrapped; 0 to never wrap it.
    spare
        Order in which columns are omitted, starting with 1; 0 for a column that is always shown.
    """

    name: str
    number: bool = False
    wrap_at: int = 0
    spare: int = 0


@dataclass
class FittingTable:
    """A table whose less important columns are omitted if the terminal is too narrow.

    Attributes
    ----------
    columns
        Columns from left to right.
    padding
        Number of spaces between columns.
    """

    columns: Sequence[TableColumn]
    padding: int = 2
    _rows: list[tuple[tuple[RenderableType, ...], str | None]] = field(default_factory=list)

    def add_row(self, *cells: RenderableType, style: str | None = None) -> None:
        """Add a row; missing cells are empty."""
        empty = len(self.columns) - len(cells)
        self._rows.append(((*cells, *[""] * empty), style))

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        shown = list(self.columns)
        left_out = []
        for column in sorted((c for c in self.columns if c.spare), key=lambda c: c.spare):
            unlimited = options.update_width(_UNLIMITED)
            least = Measurement.get(console, unlimited, self._table(shown)).minimum
            if least <= options.max_width:
                break
            shown.remove(column)
            left_out.append(column.name)
        yield self._table(shown)
        if names := ", ".join(name for name in left_out if name):
            yield Text(f"not shown at this width: {names}", style="dim")

    def _table(self, shown: Sequence[TableColumn]) -> Table:
        table = Table(
            box=None, pad_edge=False, header_style="bold", padding=(0, self.padding, 0, 0)
        )
        for column in shown:
            table.add_column(
                column.name,
                justify="right" if column.number else "left",
                no_wrap=not column.wrap_at,
                min_width=column.wrap_at or len(column.name),
                overflow="fold",
            )
        places = [index for index, column in enumerate(self.columns) if column in shown]
        for cells, style in self._rows:
            table.add_row(*(cells[place] for place in places), style=style)
        return table
