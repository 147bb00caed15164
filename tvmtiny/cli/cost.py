"""``tvmtiny cost``."""

from __future__ import annotations

from typing import Annotated

import typer

from tvmtiny.cli.console import JsonOption, ModelArgument, console, print_json, progress
from tvmtiny.cli.options import compiles
from tvmtiny.cli.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("cost")(cost)


@compiles(
    leave_out=("place", "input_names", "output_names", "stream", "longest_slice", "trainable")
)
def cost(
    model: ModelArgument,
    cpu: Annotated[
        str,
        typer.Option("--cpu", help="A CPU or a board (tvmtiny boards), or a board's FILE.toml."),
    ],
    json: JsonOption = False,
    *,
    settings: Settings,
) -> None:
    """Estimate instructions, cycles and memory of each layer; nothing is built or run.

    Example: tvmtiny cost model.tflite --cpu cortex-m4 --optimize speed
    """
    with progress(quiet=json) as tell:
        tell("importing TVM")
        from tvmtiny.estimation.model import cost as cost_of_model
        from tvmtiny.report.cost_tables import cost_summary, cost_tables

        target = settings.target(cpu)
        loaded = settings.read(model, tell)
        tell(f"estimating {loaded.name} on {target.cpu.name}")
        found = cost_of_model(loaded, target, **settings.compile)
    if json:
        print_json(cost_summary(found))
        return
    for table in cost_tables(found):
        console().print(table)
