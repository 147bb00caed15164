"""``tvmtiny prune``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("prune")(prune)


def prune(
    model: Annotated[Path, typer.Argument(metavar="MODEL.keras", help="A trained Keras model.")],
    data: DatasetArgument,
    cpu: CpuOption,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="File for the int8 model.", metavar="FILE.tflite"),
    ],
    ram: RamOption = None,
    flash: FlashOption = None,
    deadline: DeadlineOption = None,
    method: Annotated[
        str,
        typer.Option(
            "--method",
            help="What to prune: filters, or blocks where the CPU has kernels for them.",
        ),
    ] = "filters",
    steps: Annotated[int, typer.Option("--steps", help="Number of pruning steps.", min=1)] = 4,
    epochs: Annotated[
        int, typer.Option("--epochs", help="Epochs of fine-tuning per step.", min=1)
    ] = 4,
    verify: VerifyOption = None,
    json: JsonOption = False,
) -> None:
    """Prune a Keras model until an inference meets its budget on a CPU.

    Example: tvmtiny prune big.keras digits.npz --cpu cortex-m4 --deadline 400k -o small.tflite
    """
    with progress(quiet=json) as tell:
        tell("importing TVM and Keras")
        from tvmtiny.design.data import read_dataset
        from tvmtiny.design.pruning import PruneOptions
        from tvmtiny.design.pruning import prune as prune_model
        from tvmtiny.design.training import TrainOptions, read_keras
        from tvmtiny.design.verifying import verify_content
        from tvmtiny.host.files import write_bytes
        from tvmtiny.report.design_tables import prune_summary, prune_tables

        limits = budget(ram, flash, deadline)
        check_outputs(output, verify=verify)
        samples = read_dataset(data)
        options = PruneOptions(method, steps, TrainOptions(epochs, rate=0.003))
        found = prune_model(read_keras(model), samples, cpu, limits, options, tell)
        write_bytes(output, found.after.content)
        verified = None
        if verify is not None:
            before, after = (
                verify_content(side.content, samples, verify, tell)
                for side in (found.before, found.after)
            )
            verified = (before, after)
    if json:
        print_json(prune_summary(found, verified))
    else:
        for table in prune_tables(found, verified):
            console().print(table)
    if found.over:
        raise BudgetError(
            "the pruned model", found.over, "allow more, or start from a smaller model"
        )
