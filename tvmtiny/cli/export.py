"""``tvmtiny export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tvmtiny.cli.console import JsonOption, console, model_path, print_json, progress
from tvmtiny.cli.options import Settings, compiles


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("export")(export)


@compiles()
def export(
    models: Annotated[
        list[str],
        typer.Argument(metavar="MODEL...", help=".tflite files, or names of shipped models."),
    ],
    format: Annotated[
        str,
        typer.Option(
            "--format",
            "-f",
            help="cmake, makefile, arduino, zephyr or cmsis-pack.",
            metavar="FORMAT",
        ),
    ],
    target: Annotated[str, typer.Option("--target", "-t", help="A CPU or a board.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")],
    library_name: Annotated[
        str,
        typer.Option(
            help="Of the Arduino library or the pack; by default the model's.", metavar="NAME"
        ),
    ] = "",
    library_version: Annotated[
        str, typer.Option(help="Of the Arduino library or the pack.", metavar="VERSION")
    ] = "1.0.0",
    vendor: Annotated[
        str, typer.Option(help="Who publishes the Arduino library or the pack.", metavar="NAME")
    ] = "tvmtiny",
    url: Annotated[str, typer.Option(help="Where it is published.", metavar="URL")] = "",
    json: JsonOption = False,
    *,
    settings: Settings,
) -> None:
    """Write models as a folder that can be dropped into a project, with an example.

    Example: tvmtiny export digits --format arduino --target cortex-m4 -o digits
    """
    with progress(quiet=json) as tell:
        tell("importing TVM")
        import tvmtiny
        from tvmtiny.project.capacity import check_capacities
        from tvmtiny.project.exports.export import check_library
        from tvmtiny.report.export import export_summary, export_table

        # What is wrong with these is said before a model is read.
        resolved = tvmtiny.resolve(target)
        library = tvmtiny.Library(library_name, library_version, vendor, url)
        check_library(format, library)
        artifacts = []
        for model in models:
            tell(f"reading {model}")
            loaded = tvmtiny.load(model_path(model), **settings.load)
            tell(f"compiling {loaded.name} for {resolved.name}")
            artifacts.append(tvmtiny.compile(loaded, resolved, **settings.compile))
        if resolved.board is not None:
            # Start-up code, stack and application come on top; what they take is not known here.
            check_capacities(artifacts, resolved.board, 0, 0, 0)
        tell(f"writing {output}")
        written = tvmtiny.export(artifacts, format, output, library)
    if json:
        print_json(export_summary(written))
        return
    console().print(export_table(written))
    readme = written.directory / "README.md"
    console().print(f"how to use it: {readme}", markup=False, highlight=False, soft_wrap=True)
