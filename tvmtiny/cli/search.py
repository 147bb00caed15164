"""``tvmtiny search``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tvmtiny.cli.console import JsonOption, console, print_json, progress
from tvmtiny.cli.design_options import (
    CpuOption,
    DatasetArgument,
    DeadlineOption,
    FlashOption,
    RamOption,
    VerifyOption,
    budget,
    check_outputs,
)
from tvmtiny.errors import BudgetError

if TYPE_CHECKING:
    from tvmtiny.design.search import SearchResult


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("search")(search)


def search(
    data: DatasetArgument,
    cpu: CpuOption,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the .tflite files.", metavar="FOLDER")
    ],
    space: Annotated[
        str, typer.Option("--space", help="Family of networks: ds-cnn or mobilenet.")
    ] = "ds-cnn",
    build: Annotated[
        str | None,
        typer.Option(
            "--build",
            help="Instead of --space: a function that builds a Keras model from an Optuna trial.",
            metavar="FILE.py:FUNCTION",
        ),
    ] = None,
    objective: Annotated[
        list[str] | None,
        typer.Option(
            "--objective",
            help="accuracy, cycles, instructions, ram_bytes, flash_bytes or macs; may be repeated. "
            "By default accuracy and cycles.",
        ),
    ] = None,
    ram: RamOption = None,
    flash: FlashOption = None,
    deadline: DeadlineOption = None,
    trials: Annotated[
        int, typer.Option("--trials", help="Number of different networks.", min=1)
    ] = 100,
    epochs: Annotated[int, typer.Option("--epochs", help="Epochs of each training.", min=1)] = 20,
    seed: Annotated[
        int, typer.Option("--seed", help="Seed of the search and of each training.")
    ] = 0,
    storage: Annotated[
        str | None,
        typer.Option(
            "--storage",
            help="Optuna storage, such as sqlite:///study.db; processes with the same storage "
            "share trials.",
            metavar="URL",
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="File for an HTML page.", metavar="FILE")
    ] = None,
    verify: VerifyOption = None,
    json: JsonOption = False,
) -> None:
    """Search networks that are accurate and cheap on a CPU; only --verify builds firmware.

    Example: tvmtiny search digits.npz --cpu cortex-m4 --deadline 200k -o networks --trials 50
    """
    with progress(quiet=json) as tell:
        tell("importing TVM and Keras")
        from tvmtiny.design.data import read_dataset
        from tvmtiny.design.network_spaces import read_build, space_of
        from tvmtiny.design.search import search as search_networks
        from tvmtiny.design.training import TrainOptions
        from tvmtiny.design.verifying import verify_content
        from tvmtiny.host.files import write_text
        from tvmtiny.report.design_tables import search_summary, search_tables
        from tvmtiny.report.search_page import search_page

        limits = budget(ram, flash, deadline)
        check_outputs(report, folder=output, verify=verify)
        samples = read_dataset(data)
        chosen = read_build(build) if build else space_of(space, samples.shape, samples.classes)
        found = search_networks(
            chosen,
            samples,
            cpu,
            objectives=tuple(objective or ("accuracy", "cycles")),
            budget=limits,
            trials=trials,
            options=TrainOptions(epochs=epochs, seed=seed),
            storage=storage,
            folder=output,
            progress=tell,
        )
        verified = {}
        best = max(found.front, key=lambda c: c.accuracy or 0.0, default=None)
        if verify is not None and best is not None and best.file is not None:
            content = Path(best.file).read_bytes()
            verified[best.number] = verify_content(content, samples, verify, tell)
        if report is not None:
            write_text(report, search_page(found))
    if json:
        print_json(search_summary(found, verified))
    else:
        for table in search_tables(found, verified):
            console().print(table)
    if not found.front:
        raise BudgetError(
            "every network of the search", _over(found), "allow more, or search smaller networks"
        )


def _over(found: SearchResult) -> tuple[str, ...]:
    """Return the limits that candidates exceed."""
    exceeded = {name for one in found.candidates for name in found.budget.over(one.figures)}
    return tuple(sorted(exceeded))
