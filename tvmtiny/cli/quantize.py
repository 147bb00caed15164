"""``tvmtiny quantize``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tvmtiny.cli.console import JsonOption, console, print_json, progress
from tvmtiny.cli.settings import model_path


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("quantize")(quantize)


def quantize(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A float .tflite file.")],
    data: Annotated[
        Path,
        typer.Option(
            "--data",
            help="Samples: an array per input by name, and perhaps labels.",
            metavar="FILE.npz",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Where to write the model.", metavar="FILE")
    ],
    activations: Annotated[
        str, typer.Option("--activations", help="int8 or int16.", metavar="DTYPE")
    ] = "int8",
    json: JsonOption = False,
) -> None:
    """Make a full-integer model from a float one, and show what that changes on the given data.

    Example: tvmtiny quantize float.tflite --data samples.npz -o model.tflite
    """
    with progress(quiet=json) as tell:
        tell("importing TVM")
        from tvmtiny.host.files import write_bytes
        from tvmtiny.quantizing import quantize as quantize_model

        tell(f"quantizing {model}")
        made = quantize_model(model_path(model), data, activations=activations)
        write_bytes(output, made.content)
    if json:
        summary = {k: v for k, v in vars(made).items() if k != "content"}
        summary["outputs"] = [asdict(change) for change in made.outputs]
        print_json({**summary, "file": str(output)})
        return
    from tvmtiny.report.tables import quantized_tables

    for table in quantized_tables(made, str(output)):
        console().print(table)
