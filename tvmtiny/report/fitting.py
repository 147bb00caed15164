"""Tables that leave out columns on a narrow terminal rather than cut figures in two."""

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

#: More columns of a terminal than any table needs.
_UNLIMITED = 10_000


#: The least width for a name, where it is longer.
_NAME_WIDTH = 12


@dataclass(frozen=True)
class Name:
    """A name of any length and with any characters, on one line, as much of it as fits.

    Attributes
    ----------
    name
        Such as that of a tensor.
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
    """A column.

    Attributes
    ----------
    name
        Its heading.
    number
        Whether it holds numbers, which are aligned to the right.
    wrap_at
        The least width at which its text may be wrapped; 0 where it is never wrapped.
    spare
        0: always shown; otherwise its turn to be left out, 1 being the first to go.
    """

    name: str
    number: bool = False
    wrap_at: int = 0
    spare: int = 0


@dataclass
class FittingTable:
    """A table of text whose less important columns go where the terminal is too narrow.

    Attributes
    ----------
    columns
        From left to right.
    padding
        Blanks between columns.
    """

    columns: Sequence[TableColumn]
    padding: int = 2
    _rows: list[tuple[tuple[RenderableType, ...], str | None]] = field(default_factory=list)

    def add_row(self, *cells: RenderableType, style: str | None = None) -> None:
        """Add a row; cells that are not given are empty."""
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
