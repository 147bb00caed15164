"""``tvmtiny profile``."""

from __future__ import annotations

import typer

from tvmtiny.cli.console import JsonOption, ModelArgument, console, print_json, progress
from tvmtiny.cli.options import BoardOption, DataOption, TimeoutOption, compiles
from tvmtiny.cli.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("profile")(profile)


@compiles()
def profile(
    model: ModelArgument,
    board: BoardOption,
    data: DataOption = "ramp",
    timeout: TimeoutOption = 600.0,
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
        from tvmtiny.inputs import make_inputs
        from tvmtiny.report.profile import profile as profile_artifact
        from tvmtiny.report.profile_tables import profile_summary, profile_tables

        target = settings.board(board).target
        loaded = settings.read(model, tell)
        inputs = make_inputs(data, loaded.graph.inputs)
        artifact = settings.artifact(loaded, target, tell)
        found = profile_artifact(artifact, *inputs, timeout=timeout, progress=tell)
    if json:
        print_json(profile_summary(found))
        return
    for table in profile_tables(found):
        console().print(table)
