"""``tvmtiny report``."""

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
    OracleOption,
    RamBudgetOption,
    model_path,
    print_json,
    progress,
)


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("report")(report)


def report(
    model: ModelArgument,
    board: Annotated[
        list[str], typer.Option("--board", "-b", help="A board; give two to compare them.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The page to write.", metavar="FILE.html")
    ] = None,
    data: Annotated[
        str,
        typer.Option(
            "--input", "-i", help="ramp, zeros, random:SEED, FILE.npy or FILE.npz", metavar="DATA"
        ),
    ] = "ramp",
    timeout: Annotated[float, typer.Option(help="Seconds until a run counts as hung.")] = 600.0,
    oracle: OracleOption = "litert",
    optimize: Annotated[
        list[str] | None,
        typer.Option(
            "--optimize",
            help="speed, balanced or size; give two to compare them on one board.",
            metavar="GOAL",
        ),
    ] = None,
    flash_budget: FlashBudgetOption = None,
    dead_channels: DeadChannelsOption = True,
    io: IoOption = "arena",
    ram_budget: RamBudgetOption = None,
    json: JsonOption = False,
) -> None:
    """Write one HTML page about a model: time, memory, schedules, graph; two columns to compare.

    Example: tvmtiny report model.tflite --board mps2-an386 --board mps2-an385 -o report.html
    """
    with progress(quiet=json) as tell:
        tell("importing TVM")
        import tvmtiny
        from tvmtiny.project.files import make_directory, write_text
        from tvmtiny.report.model_report import model_report, model_report_summary, variants
        from tvmtiny.report.page import report_page
        from tvmtiny.targets import find_board

        given = {
            "flash_budget": (flash_budget, None),
            "dead_channels": (dead_channels, True),
            "io": (io, "arena"),
            "ram_budget": (ram_budget, None),
        }
        options = {key: value for key, (value, default) in given.items() if value != default}
        wanted = variants([find_board(name) for name in board], optimize or ["balanced"], options)
        tell(f"reading {model}")
        loaded = tvmtiny.load(model_path(model), oracle=oracle)
        inputs = tvmtiny.make_inputs(data, loaded.graph.inputs)
        path = output or Path(f"{loaded.name}.html")
        # Before minutes of work, not after.
        make_directory(path.parent)
        found = model_report(loaded, wanted, inputs, timeout=timeout, progress=tell)
        write_text(path, report_page(found))
    if json:
        print_json({**model_report_summary(found), "page": str(path)})
    else:
        typer.echo(f"{path}")
