"""Terminal output of ``tvmtiny memory``."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from tvmtiny.codegen.occupancy import Occupant
from tvmtiny.errors.base import short_name
from tvmtiny.report.fitting import FittingTable, TableColumn
from tvmtiny.report.memory import MemoryReport
from tvmtiny.report.terminal_tables import size_text

#: Rows of the drawing.
_ROWS = 20

#: Limit on the columns of the drawing; if there are more steps, several share a column.
_MOST_COLUMNS = 96

_COLORS = ("cyan", "green", "blue", "magenta", "bright_cyan", "bright_green", "bright_blue")
#: Patterns that distinguish neighbours on terminals without colours.
_BLOCKS = "█▓▒"
_WORKSPACE = "░"


def memory_tables(report: MemoryReport) -> Iterator[RenderableType]:
    """Yield the arena over time, its drawing, the peak, and the boards."""
    yield _steps(report)
    yield Text()
    yield drawing(report)
    yield Text()
    yield _peak(report)
    yield Text()
    yield _facts(report)
    yield Text()
    yield _boards(report)


def drawing(report: MemoryReport) -> Text:
    """Draw the arena: time from left to right, addresses from bottom to top."""
    count = len(report.steps)
    each = -(-count // _MOST_COLUMNS) if count > _MOST_COLUMNS else 1
    width = 1 if count * 2 > _MOST_COLUMNS else 2 if count * 3 > _MOST_COLUMNS else 3
    columns = [range(first, min(first + each, count)) for first in range(0, count, each)]
    row_bytes = max(1, -(-report.arena_bytes // _ROWS))
    rows = -(-report.arena_bytes // row_bytes) if report.arena_bytes else 0
    shades = {o.name: position for position, o in enumerate(report.occupants)}
    text = Text(no_wrap=True, overflow="crop")
    for row in reversed(range(rows)):
        text.append(f"{min((row + 1) * row_bytes, report.arena_bytes):>9,} ")
        for column in columns:
            occupant = _at(report, column, row * row_bytes, row_bytes)
            if occupant is None:
                text.append(" " * width)
                continue
            position = shades[occupant.name]
            workspace = occupant.kind == "workspace"
            block = _WORKSPACE if workspace else _BLOCKS[position % len(_BLOCKS)]
            style = "yellow" if workspace else _COLORS[position % len(_COLORS)]
            text.append(block * width, style=style)
        text.append("\n")
    marks = "".join(
        ("▲" if any(report.steps[step].peak for step in column) else " ").ljust(width)
        for column in columns
    )
    text.append(" " * 10)
    text.append(f"{marks}\n", style="bold red")
    text.append(f"{'':10}steps 0 to {count - 1} from left to right; {_WORKSPACE} workspace, ▲ peak")
    return text


def _at(report: MemoryReport, column: range, start: int, size: int) -> Occupant | None:
    """Return the tensor that fills most of a cell; of overlapping tensors, the later one."""
    best: tuple[int, int, int] | None = None
    found = None
    for position, occupant in enumerate(report.occupants):
        if occupant.last < column.start or occupant.first >= column.stop:
            continue
        common = min(occupant.end, start + size) - max(occupant.offset, start)
        rank = (common, occupant.first, position)
        if common > 0 and (best is None or rank > best):
            best, found = rank, occupant
    return found


def _steps(report: MemoryReport) -> Table:
    labels = {o.name: f"{short_name(o.label)} {o.bytes:,}" for o in report.occupants}
    table = _table(("step", True), ("", False), ("live", False), ("bytes", True), ("", False))
    for step in report.steps:
        table.add_row(
            str(step.step),
            step.label,
            Text(", ".join(labels[name] for name in step.live)),
            f"{step.bytes:,}",
            "peak" if step.peak else "",
            style="bold red" if step.peak else None,
        )
    return table


def _peak(report: MemoryReport) -> Table:
    table = _table(
        (f"at the peak, {report.peak_label}", False),
        ("kind", False),
        ("bytes", True),
        ("offset", True),
        ("arena without it", True),
    )
    for tensor in report.peak_tensors:
        occupant = tensor.occupant
        table.add_row(
            Text(short_name(occupant.label)),
            occupant.kind,
            f"{occupant.bytes:,}",
            f"{occupant.offset:,}",
            f"{tensor.arena_without:,}",
        )
    return table


def _facts(report: MemoryReport) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    distance = report.arena_bytes - report.lower_bound
    bound = "proven, the arena is as small as it can be"
    if distance:
        bound = f"the arena is at most {distance:,} bytes larger than necessary"
    place = "without inputs and outputs" if report.external else "with inputs and outputs"
    table.add_row("arena", f"{report.arena_bytes:,} bytes, {place}")
    table.add_row("lower bound", f"{report.lower_bound:,} bytes: {bound}")
    table.add_row("peak step alone", f"{report.step_bound:,} bytes")
    if report.state_bytes:
        table.add_row("state", f"{report.state_bytes:,} bytes beside the arena")
    if report.stream is not None:
        for segment in report.stream["segments"]:
            rows = ", ".join(map(str, segment["rows"]))
            text = f"layers {segment['first']} to {segment['last']}, rows at a time: {rows}"
            table.add_row("row by row", text)
        pauses = f"about {report.stream['longest_slice_estimated_cycles']:,} cycles"
        table.add_row("in steps", f"{report.stream['slices']:,}, the longest {pauses}")
    table.add_row("constants", f"{report.constants_bytes:,} bytes")
    table.add_row("would be lower with", Text("\n".join(report.advice)))
    return table


def _boards(report: MemoryReport) -> FittingTable:
    table = FittingTable(
        (
            TableColumn("board"),
            TableColumn("cpu", spare=1),
            TableColumn("fits"),
            TableColumn("RAM and constants of memory", wrap_at=40),
        )
    )
    for fit in report.boards:
        memory = ", ".join(
            f"{name} {needed:,} of {size_text(available)}"
            for name, (needed, available) in fit.regions.items()
        )
        verdict = Text("yes", style="green") if fit.fits else Text("no", style="red")
        table.add_row(fit.board, fit.cpu, verdict, memory)
    return table


def _table(*columns: tuple[str, bool]) -> Table:
    """Create a table from titles and whether each column contains numbers."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title, number in columns:
        table.add_column(
            title,
            justify="right" if number else "left",
            overflow="fold",
            no_wrap=number,
        )
    return table
