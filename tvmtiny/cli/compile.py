"""``tvmtiny compile``."""

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
    NameOption,
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
    app.command("compile")(compile_command)


def compile_command(
    model: ModelArgument,
    target: Annotated[str, typer.Option("--target", "-t", help="A CPU or a board.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the C files.")],
    name: NameOption = None,
    oracle: OracleOption = "litert",
    optimize: OptimizeOption = "balanced",
    flash_budget: FlashBudgetOption = None,
    dead_channels: DeadChannelsOption = True,
    io: IoOption = "arena",
    ram_budget: RamBudgetOption = None,
    place: PlaceOption = None,
    json: JsonOption = False,
) -> None:
    """Generate C for a model, with a Model Library Format archive beside it.

    Example: tvmtiny compile model.tflite --target cortex-m4 -o generated
    """
    with progress(quiet=json) as tell:
        tell("importing TVM")
        import tvmtiny
        from tvmtiny.project.capacity import check_capacity
        from tvmtiny.report.summary import artifact_summary

        # An unknown target or oracle is said before the model is read.
        resolved = tvmtiny.resolve(target)
        tell(f"reading {model}")
        loaded = tvmtiny.load(model_path(model), name=name, oracle=oracle)
        tell(f"compiling for {resolved.name}")
        artifact = tvmtiny.compile(
            loaded,
            resolved,
            optimize=optimize,
            flash_budget=flash_budget,
            dead_channels=dead_channels,
            io=io,
            ram_budget=ram_budget,
            place=parse_place(place),
        )
        if resolved.board is not None:
            # Start-up code, stack and application come on top; what they take is not known here.
            check_capacity(artifact, resolved.board, 0, 0, 0)
        files = artifact.save(output)
    summary = artifact_summary(artifact, files)
    if json:
        print_json(summary)
        return
    from tvmtiny.report.tables import artifact_tables

    for table in artifact_tables(artifact, files):
        console().print(table)
