"""Tables on narrow terminals: columns are dropped, figures stay whole."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from tvmtiny.report.fitting import FittingTable, TableColumn

COLUMNS = (
    TableColumn("layer"),
    TableColumn("MACs", number=True, spare=2),
    TableColumn("instructions", number=True),
    TableColumn("schedule", wrap_at=12, spare=1),
)


def printed(width: int) -> str:
    table = FittingTable(COLUMNS)
    table.add_row("CONV_2D", "123,456", "1,234,567", "dsp, tile 3x2, w8, pixels")
    table.add_row("total", "7", style="bold")
    output = io.StringIO()
    Console(file=output, width=width).print(table)
    lines = output.getvalue().splitlines()
    assert all(len(line) <= width for line in lines)
    return "\n".join(line.rstrip() for line in lines)


def test_all_columns_where_there_is_room() -> None:
    text = printed(80)
    assert "123,456     1,234,567  dsp, tile 3x2, w8, pixels" in text
    assert "not shown" not in text


def test_text_is_wrapped_before_a_column_goes() -> None:
    text = printed(45)
    assert "schedule" in text and "tile\n" in text and "pixels" in text
    assert "not shown" not in text


@pytest.mark.parametrize(
    ("width", "gone", "stays"),
    [(40, "schedule", ["123,456", "1,234,567"]), (26, "schedule, MACs", ["1,234,567"])],
)
def test_columns_go_in_their_turn(width: int, gone: str, stays: list[str]) -> None:
    text = printed(width)
    assert " ".join(text.split()).endswith(f"not shown at this width: {gone}")
    for figure in stays:
        assert figure in text
    assert "tile" not in text


def test_two_columns_of_one_name() -> None:
    columns = (TableColumn("/MAC", number=True), TableColumn("/MAC", number=True, spare=1))
    table = FittingTable(columns)
    table.add_row("1.25", "2.50")
    output = io.StringIO()
    Console(file=output, width=5).print(table)
    assert "1.25" in output.getvalue()
    assert "2.50" not in output.getvalue()
