"""``tvmtiny import``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tvmtiny.cli.console import NOTE, JsonOption, console, print_json, progress


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("import")(import_model)


def import_model(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A file of another framework: .onnx, PyTorch's .pt2, .keras, or scikit-learn's "
            ".joblib or .pkl.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File for the model.", metavar="FILE")
    ],
    keep_layout: Annotated[
        bool,
        typer.Option(
            "--keep-layout",
            help="Keep channels before pixels in inputs and outputs, as the framework orders "
            "them, at the cost of transpositions.",
        ),
    ] = False,
    dtype: Annotated[
        str,
        typer.Option(
            help="Dtype of decision-tree features: float32, int8 or int16.", metavar="DTYPE"
        ),
    ] = "float32",
    scale: Annotated[
        float,
        typer.Option(help="Real value of one step of int8 or int16 features.", metavar="NUMBER"),
    ] = 1.0,
    trust: Annotated[
        bool,
        typer.Option(
            "--trust", help="Read a pickle, which can run any code; only for files that you trust."
        ),
    ] = False,
    python: Annotated[
        str | None,
        typer.Option(
            help="Python interpreter with litert-torch, for .pt2 files.", metavar="PROGRAM"
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Convert a model of another framework to a .tflite file.

    Every command that takes a model also takes such a file and converts it.

    Example: tvmtiny import model.onnx -o model.tflite
    """
    with progress(quiet=json) as tell:
        tell("importing TVM")
        from tvmtiny.frontend import load
        from tvmtiny.host.files import write_bytes
        from tvmtiny.importers import ImportOptions
        from tvmtiny.importers import import_model as imported
        from tvmtiny.report.import_tables import import_tables

        options = ImportOptions(keep_layout, dtype, scale, trust, python)
        tell(f"converting {model}")
        made = imported(model, options)
        tell("checking what can be compiled")
        loaded = load(made.content, name=Path(model).stem)
        write_bytes(output, made.content)
        for note in made.notes:
            tell(f"{NOTE}{note}")
    if json:
        summary = {k: v for k, v in vars(made).items() if k != "content"}
        for key in ("inputs", "outputs"):
            summary[key] = [asdict(tensor) for tensor in getattr(made, key)]
        operators = [node.operator for node in loaded.graph.nodes]
        print_json({**summary, "operators": operators, "file": str(output)})
        return
    for table in import_tables(made, loaded, str(output)):
        console().print(table)
