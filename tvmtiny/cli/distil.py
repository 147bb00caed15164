"""``tvmtiny distil``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from tvmtiny.cli.console import JsonOption, console, print_json, progress
from tvmtiny.cli.design_options import CpuOption, DatasetArgument, VerifyOption, check_outputs


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("distil")(distil)


def distil(
    teacher: Annotated[
        Path, typer.Argument(metavar="TEACHER.keras", help="A trained Keras classifier.")
    ],
    student: Annotated[
        Path,
        typer.Argument(metavar="STUDENT.keras", help="A small Keras classifier, trained or not."),
    ],
    data: DatasetArgument,
    cpu: CpuOption,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="File for the int8 student.", metavar="FILE.tflite"),
    ],
    temperature: Annotated[
        float,
        typer.Option("--temperature", help="Softness of the teacher's probabilities, from 1."),
    ] = 4.0,
    share: Annotated[
        float, typer.Option("--share", help="Weight of the teacher in the loss, from 0 to 1.")
    ] = 0.7,
    epochs: Annotated[
        int, typer.Option("--epochs", help="Epochs of the student's training.", min=1)
    ] = 30,
    fine_tune: Annotated[
        int,
        typer.Option(
            "--fine-tune",
            help="Epochs of quantization-aware fine-tuning, if int8 loses accuracy.",
            metavar="EPOCHS",
            min=0,
        ),
    ] = 0,
    compare: Annotated[
        bool, typer.Option("--compare", help="Also train the student without the teacher.")
    ] = False,
    verify: VerifyOption = None,
    json: JsonOption = False,
) -> None:
    """Train a small Keras classifier on the outputs of a large one, and quantize it.

    Example: tvmtiny distil big.keras small.keras digits.npz --cpu cortex-m4 -o small.tflite
    """
    with progress(quiet=json) as tell:
        tell("importing TVM and Keras")
        from tvmtiny.design.data import read_dataset
        from tvmtiny.design.distilling import DistilOptions
        from tvmtiny.design.distilling import distil as distil_model
        from tvmtiny.design.fine_tuning import FINE_TUNING
        from tvmtiny.design.training import TrainOptions, read_keras
        from tvmtiny.design.verifying import verify_content
        from tvmtiny.host.files import write_bytes
        from tvmtiny.report.training_tables import distil_summary, distil_tables

        check_outputs(output, verify=verify)
        samples = read_dataset(data)
        tuning = replace(FINE_TUNING, epochs=fine_tune) if fine_tune else None
        options = DistilOptions(temperature, share, TrainOptions(epochs), tuning, compare)
        models = read_keras(teacher), read_keras(student)
        found = distil_model(*models, samples, cpu, options, tell)
        write_bytes(output, found.student.content)
        verified = None
        if verify is not None:
            verified = verify_content(found.student.content, samples, verify, tell)
    if json:
        print_json(distil_summary(found, verified))
        return
    for table in distil_tables(found, verified):
        console().print(table)
