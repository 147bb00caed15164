"""``tvmtiny report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tvmtiny.cli.console import JsonOption, ModelArgument, print_json, progress
from tvmtiny.cli.options import DataOption, TimeoutOption, compiles
from tvmtiny.cli.settings import Settings
from tvmtiny.errors.base import visible


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("report")(report)


@compiles(leave_out=("optimize", "place", "trainable"))
def report(
    model: ModelArgument,
    board: Annotated[
        list[str], typer.Option("--board", "-b", help="A board; give two to compare them.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File for the page.", metavar="FILE.html")
    ] = None,
    data: DataOption = "ramp",
    timeout: TimeoutOption = 600.0,
    optimize: Annotated[
        list[str] | None,
        typer.Option(
            "--optimize",
            help="Goal: speed, balanced or size; give two to compare them on one board.",
            metavar="GOAL",
        ),
    ] = None,
    json: JsonOption = False,
    *,
    settings: Settings,
) -> None:
    """Write one HTML page about a model: time, memory, schedules, graph; two columns to compare.

    Example: tvmtiny report model.tflite --board mps2-an386 --board mps2-an385 -o report.html
    """
    with progress(quiet=json) as tell:
        tell("importing TVM")
        from tvmtiny.host.files import make_directory, write_text
        from tvmtiny.inputs import make_inputs
        from tvmtiny.report.model_report import model_report, model_report_summary, variants
        from tvmtiny.report.page import report_page

        wanted = variants(
            [settings.board(name) for name in board], optimize or ["balanced"], settings.changed()
        )
        loaded = settings.read(model, tell)
        inputs = make_inputs(data, loaded.graph.inputs)
        path = output or Path(f"{loaded.name}.html")
        # Fail before minutes of work, not after.
        make_directory(path.parent)
        found = model_report(loaded, wanted, inputs, timeout=timeout, progress=tell)
        write_text(path, report_page(found))
    if json:
        print_json({**model_report_summary(found), "page": str(path)})
    else:
        typer.echo(visible(path))
