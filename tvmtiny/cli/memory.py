"""``tvmtiny memory``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tvmtiny.cli.console import JsonOption, ModelArgument, console, print_json, progress
from tvmtiny.cli.options import compiles
from tvmtiny.cli.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("memory")(memory)


@compiles(leave_out=("trainable",))
def memory(
    model: ModelArgument,
    board: Annotated[
        str,
        typer.Option(
            "--board",
            "-b",
            help="A board (tvmtiny boards lists them), a board's FILE.toml, or a CPU with --ram "
            "and --flash.",
        ),
    ],
    ram: Annotated[
        str | None,
        typer.Option("--ram", help="RAM of a CPU, such as 65536, 256K or 1M.", metavar="SIZE"),
    ] = None,
    flash: Annotated[
        str | None,
        typer.Option("--flash", help="Flash of a CPU, such as 65536, 256K or 1M.", metavar="SIZE"),
    ] = None,
    svg: Annotated[
        Path | None,
        typer.Option("--svg", help="File for a drawing of the arena over time.", metavar="FILE"),
    ] = None,
    json: JsonOption = False,
    *,
    settings: Settings,
) -> None:
    """Show the arena over time, what bounds it, and which boards it fits; nothing is built.

    Example: tvmtiny memory model.tflite --board mps2-an386 --svg arena.svg

    Example: tvmtiny memory model.tflite --board cortex-m4 --ram 256K --flash 1M
    """
    with progress(quiet=json) as tell:
        tell("importing TVM")
        from tvmtiny.host.files import write_text
        from tvmtiny.report.memory import memory_report, memory_summary
        from tvmtiny.report.memory_svg import memory_svg
        from tvmtiny.report.memory_tables import memory_tables

        found = settings.board_with_memory(board, ram, flash)
        loaded = settings.read(model, tell)
        tell("planning memory on every board")
        report = memory_report(loaded, found, settings.own_boards(), **settings.compile)
        if svg is not None:
            write_text(svg, memory_svg(report))
    if json:
        print_json(memory_summary(report))
        return
    for table in memory_tables(report):
        console().print(table)
