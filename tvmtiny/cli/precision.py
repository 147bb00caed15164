"""``tvmtiny precision``."""

from __future__ import annotations

from dataclasses import replace
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
    app.command("precision")(precision)


def precision(
    model: Annotated[Path, typer.Argument(metavar="MODEL.keras", help="A trained Keras model.")],
    data: DatasetArgument,
    cpu: CpuOption,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File for the chosen model.", metavar="FILE.tflite"),
    ] = None,
    ram: RamOption = None,
    flash: FlashOption = None,
    deadline: DeadlineOption = None,
    least: Annotated[
        float,
        typer.Option(
            "--least-agreement",
            help="Share of training samples that keep the class of the float model, even with four "
            "times the difference from its outputs.",
            metavar="SHARE",
        ),
    ] = 0.99,
    fine_tune: Annotated[
        int,
        typer.Option(
            "--fine-tune",
            help="Epochs of quantization-aware fine-tuning of the chosen model.",
            metavar="EPOCHS",
            min=0,
        ),
    ] = 0,
    verify: VerifyOption = None,
    json: JsonOption = False,
) -> None:
    """Show what int4 weights and int16 activations cost and gain in each layer, and choose.

    Example: tvmtiny precision model.keras digits.npz --cpu cortex-m4 --flash 4K -o mixed.tflite
    """
    with progress(quiet=json) as tell:
        tell("importing TVM and Keras")
        from tvmtiny.design.data import read_dataset
        from tvmtiny.design.fine_tuning import FINE_TUNING
        from tvmtiny.design.precision import PrecisionOptions, advise_precision
        from tvmtiny.design.training import read_keras
        from tvmtiny.design.verifying import verify_content
        from tvmtiny.host.files import write_bytes
        from tvmtiny.report.training_tables import precision_summary, precision_tables

        limits = budget(ram, flash, deadline)
        check_outputs(output, verify=verify)
        samples = read_dataset(data)
        tuning = replace(FINE_TUNING, epochs=fine_tune) if fine_tune else None
        options = PrecisionOptions(least_agreement=least, fine_tuning=tuning)
        found = advise_precision(read_keras(model), samples, cpu, limits, options, tell)
        if output is not None:
            write_bytes(output, found.content)
        verified = None
        if verify is not None:
            verified = verify_content(found.content, samples, verify, tell)
    if json:
        print_json(precision_summary(found, verified))
    else:
        for table in precision_tables(found, verified):
            console().print(table)
    if found.over:
        raise BudgetError("the chosen model", found.over, "allow more, or prune the model first")
