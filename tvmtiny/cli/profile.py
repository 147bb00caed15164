"""``tvmtiny profile``."""

from __future__ import annotations

from typing import Annotated

import typer

from tvmtiny.cli.console import (
    JsonOption,
    ModelArgument,
    console,
    model_path,
    print_json,
    progress,
)
from tvmtiny.cli.options import Settings, compiles


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("profile")(profile)


@compiles()
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
    json: JsonOption = False,
    *,
    settings: Settings,
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
        loaded = tvmtiny.load(model_path(model), **settings.load)
        inputs = tvmtiny.make_inputs(data, loaded.graph.inputs)
        tell(f"compiling for {board}")
        artifact = tvmtiny.compile(
            loaded,
            target,
            **settings.compile,
        )
        found = profile_artifact(artifact, *inputs, timeout=timeout, progress=tell)
    if json:
        print_json(profile_summary(found))
        return
    for table in profile_tables(found):
        console().print(table)
