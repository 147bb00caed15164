"""``tvmtiny quantize``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tvmtiny.cli.console import NOTE, JsonOption, console, print_json, progress
from tvmtiny.cli.options import ImageRangeOption, SignatureOption, image_range_of
from tvmtiny.cli.settings import model_path


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("quantize")(quantize)


def quantize(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="A float .tflite file, or a file that tvmtiny import converts."
        ),
    ],
    data: Annotated[
        str,
        typer.Option(
            "--data",
            help="Samples: FILE.npz with an array per input and, optionally, labels as y; "
            "FILE.npy; or a folder of images, optionally in a folder per class.",
            metavar="FILE|FOLDER",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File for the model.", metavar="FILE")
    ],
    activations: Annotated[
        str,
        typer.Option("--activations", help="Dtype of activations: int8 or int16.", metavar="DTYPE"),
    ] = "int8",
    image_range: ImageRangeOption = "0,1",
    signature: SignatureOption = None,
    json: JsonOption = False,
) -> None:
    """Quantize a float model to full integer, and compare both on the given data.

    Example: tvmtiny quantize float.tflite --data samples.npz -o model.tflite
    """
    with progress(quiet=json) as tell:
        tell("importing TVM")
        from tvmtiny.host.files import write_bytes
        from tvmtiny.quantizing import quantize as quantize_model

        tell(f"quantizing {model}")
        made = quantize_model(
            model_path(model),
            data,
            activations=activations,
            image_range=image_range_of(image_range),
            signature=signature,
        )
        write_bytes(output, made.content)
        for note in made.notes:
            tell(f"{NOTE}{note}")
    if json:
        summary = {k: v for k, v in vars(made).items() if k != "content"}
        summary["outputs"] = [asdict(change) for change in made.outputs]
        print_json({**summary, "file": str(output)})
        return
    from tvmtiny.report.terminal_tables import quantized_tables

    for table in quantized_tables(made, str(output)):
        console().print(table)
