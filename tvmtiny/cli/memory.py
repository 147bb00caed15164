"""``tvmtiny memory``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tvmtiny.cli.console import (
    DeadChannelsOption,
    FlashBudgetOption,
    IoOption,
    JsonOption,
    ModelArgument,
    OptimizeOption,
    OracleOption,
    PlaceOption,
    RamBudgetOption,
    console,
    model_path,
    parse_place,
    print_json,
    progress,
)


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("memory")(memory)


def memory(
    model: ModelArgument,
    board: Annotated[
        str, typer.Option("--board", "-b", help="A board; tvmtiny boards lists them.")
    ],
    svg: Annotated[
        Path | None,
        typer.Option("--svg", help="Draw the arena over time into this file.", metavar="FILE"),
    ] = None,
    oracle: OracleOption = "litert",
    optimize: OptimizeOption = "balanced",
    flash_budget: FlashBudgetOption = None,
    dead_channels: DeadChannelsOption = True,
    io: IoOption = "arena",
    ram_budget: RamBudgetOption = None,
    place: PlaceOption = None,
    json: JsonOption = False,
) -> None:
    """Show the arena over time, what bounds it, and which boards it fits; nothing is built.

    Example: tvmtiny memory model.tflite --board mps2-an386 --svg arena.svg
    """
    with progress(quiet=json) as tell:
        tell("importing TVM")
        import tvmtiny
        from tvmtiny.project.files import write_text
        from tvmtiny.report.memory import memory_report, memory_summary
        from tvmtiny.report.memory_svg import memory_svg
        from tvmtiny.report.memory_tables import memory_tables
        from tvmtiny.targets import find_board

        found_board = find_board(board)
        tell(f"reading {model}")
        loaded = tvmtiny.load(model_path(model), oracle=oracle)
        tell("planning memory on every board")
        report = memory_report(
            loaded,
            found_board,
            optimize=optimize,
            flash_budget=flash_budget,
            dead_channels=dead_channels,
            io=io,
            ram_budget=ram_budget,
            place=parse_place(place),
        )
        if svg is not None:
            write_text(svg, memory_svg(report))
    if json:
        print_json(memory_summary(report))
        return
    for table in memory_tables(report):
        console().print(table)
