"""``tvmtiny advise``."""

from __future__ import annotations

from typing import Annotated

import typer

from tvmtiny.cli.console import JsonOption, ModelArgument, console, print_json, progress
from tvmtiny.cli.options import compiles
from tvmtiny.cli.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("advise")(advise)


@compiles(
    leave_out=(
        "place",
        "input_names",
        "output_names",
        "stream",
        "longest_slice",
        "trainable",
        "ram_budget",
    )
)
def advise(
    model: ModelArgument,
    cpu: Annotated[
        str,
        typer.Option("--cpu", help="A CPU or a board (tvmtiny boards), or a board's FILE.toml."),
    ],
    ram: Annotated[
        str | None,
        typer.Option("--ram", help="RAM for arena and states: bytes, or 32K.", metavar="SIZE"),
    ] = None,
    flash: Annotated[
        str | None,
        typer.Option("--flash", help="Flash for constants: bytes, or 256K.", metavar="SIZE"),
    ] = None,
    deadline: Annotated[
        str | None,
        typer.Option(
            "--deadline",
            help="Of an inference: cycles (1.5M), or a time and the clock (20ms@80MHz).",
            metavar="TIME",
        ),
    ] = None,
    json: JsonOption = False,
    *,
    settings: Settings,
) -> None:
    """Say what would bring a model within a budget, and what each change would cost.

    Example: tvmtiny advise model.tflite --cpu cortex-m4 --ram 32K --deadline 50ms@80MHz
    """
    with progress(quiet=json) as tell:
        tell("importing TVM")
        from tvmtiny.design.advise import advise as advise_model
        from tvmtiny.design.figures import Budget, parse_deadline
        from tvmtiny.report.advice_tables import advice_summary, advice_tables
        from tvmtiny.targets import parse_size

        budget = Budget(
            None if ram is None else parse_size(ram),
            None if flash is None else parse_size(flash),
            None if deadline is None else parse_deadline(deadline),
        )
        target = settings.target(cpu)
        loaded = settings.read(model, tell)
        tell(f"trying changes of {loaded.name} on {target.cpu.name}")
        found = advise_model(loaded, target, budget, **settings.compile)
    if json:
        print_json(advice_summary(found))
        return
    for table in advice_tables(found):
        console().print(table)
