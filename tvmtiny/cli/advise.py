"""``tvmtiny advise``."""

from __future__ import annotations

import typer

from tvmtiny.cli.console import JsonOption, ModelArgument, console, print_json, progress
from tvmtiny.cli.design_options import (
    CpuOption,
    DeadlineOption,
    FlashOption,
    RamOption,
    budget,
)
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
    cpu: CpuOption,
    ram: RamOption = None,
    flash: FlashOption = None,
    deadline: DeadlineOption = None,
    json: JsonOption = False,
    *,
    settings: Settings,
) -> None:
    """Show changes that would bring a model within a budget, and what each would cost.

    Example: tvmtiny advise model.tflite --cpu cortex-m4 --ram 32K --deadline 50ms@80MHz
    """
    with progress(quiet=json) as tell:
        tell("importing TVM")
        from tvmtiny.design.advise import advise as advise_model
        from tvmtiny.report.advice_tables import advice_summary, advice_tables

        limits = budget(ram, flash, deadline)
        target = settings.target(cpu)
        loaded = settings.read(model, tell)
        tell(f"trying changes of {loaded.name} on {target.cpu.name}")
        found = advise_model(loaded, target, limits, **settings.compile)
    if json:
        print_json(advice_summary(found))
        return
    for table in advice_tables(found):
        console().print(table)
