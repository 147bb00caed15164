"""``tvmtiny profile``."""

from __future__ import annotations

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
    app.command("profile")(profile)


def profile(
    model: ModelArgument,
    board: Annotated[
        str, typer.Option("--board", "-b", help="A board; tvmtiny boards lists them.")
    ],
    data: Annotated[
        str,
        typer.Option(
            "--input", "-i", help="ramp, zeros, random:SEED, FILE.npy or FILE.npz", metavar="DATA"
        ),
    ] = "ramp",
    timeout: Annotated[float, typer.Option(help="Seconds until a run counts as hung.")] = 600.0,
    oracle: OracleOption = "litert",
    optimize: OptimizeOption = "balanced",
    flash_budget: FlashBudgetOption = None,
    dead_channels: DeadChannelsOption = True,
    io: IoOption = "arena",
    ram_budget: RamBudgetOption = None,
    place: PlaceOption = None,
    json: JsonOption = False,
) -> None:
    """Count instructions and estimate cycles of each layer.

    Cycles are estimated from the timings in the core's manual, without wait states of the flash.

    Example: tvmtiny profile model.tflite --board mps2-an386
    """
    with progress(quiet=json) as tell:
        tell("importing TVM")
        import tvmtiny
        from tvmtiny.report.profile import profile as profile_artifact
        from tvmtiny.report.profile_tables import profile_summary, profile_tables
        from tvmtiny.targets import Target, find_board

        target = Target(find_board(board).cpu, find_board(board))
        tell(f"reading {model}")
        loaded = tvmtiny.load(model_path(model), oracle=oracle)
        inputs = tvmtiny.make_inputs(data, loaded.graph.inputs)
        tell(f"compiling for {board}")
        artifact = tvmtiny.compile(
            loaded,
            target,
            optimize=optimize,
            flash_budget=flash_budget,
            dead_channels=dead_channels,
            io=io,
            ram_budget=ram_budget,
            place=parse_place(place),
        )
        found = profile_artifact(artifact, *inputs, timeout=timeout, progress=tell)
    if json:
        print_json(profile_summary(found))
        return
    for table in profile_tables(found):
        console().print(table)
