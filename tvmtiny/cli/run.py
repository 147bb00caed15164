"""``tvmtiny run``."""

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
    app.command("run")(run)


def run(
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
    check: Annotated[
        bool, typer.Option("--check", help="Compare every layer with LiteRT's reference kernels.")
    ] = False,
    timeout: Annotated[float, typer.Option(help="Seconds until a run counts as hung.")] = 120.0,
    oracle: OracleOption = "litert",
    optimize: OptimizeOption = "balanced",
    flash_budget: FlashBudgetOption = None,
    dead_channels: DeadChannelsOption = True,
    io: IoOption = "arena",
    ram_budget: RamBudgetOption = None,
    place: PlaceOption = None,
    json: JsonOption = False,
) -> None:
    """Compile a model, run it on a board, and count its instructions.

    Example: tvmtiny run model.tflite --board mps2-an386 --check
    """
    with progress(quiet=json) as tell:
        tell("importing TVM")
        import tvmtiny
        from tvmtiny.report.summary import run_summary
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
        result = tvmtiny.run(artifact, *inputs, timeout=timeout, progress=tell)
        checked = None
        if check:
            tell("comparing with the oracle")
            checked = tvmtiny.check(loaded, artifact, result, inputs)
    if json:
        print_json(run_summary(result, checked))
    else:
        from tvmtiny.report.tables import run_tables

        for table in run_tables(result, checked):
            console().print(table)
    if checked is not None and not checked.exact:
        checked.raise_mismatch()
