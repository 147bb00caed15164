"""``tvmtiny export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tvmtiny.cli.console import JsonOption, console, print_json, progress
from tvmtiny.cli.options import ModelsArgument, NamesOption, TargetOption, compiles
from tvmtiny.cli.settings import Settings
from tvmtiny.errors.base import visible


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("export")(export)


@compiles()
def export(
    models: ModelsArgument,
    format: Annotated[
        str,
        typer.Option(
            "--format",
            "-f",
            help="cmake, makefile, arduino, zephyr, cmsis-pack, esp-idf, platformio or "
            "edge-impulse.",
            metavar="FORMAT",
        ),
    ],
    target: TargetOption,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the exported files.")],
    name: NamesOption = None,
    library_name: Annotated[
        str,
        typer.Option(help="Name of the library or pack; by default the model's.", metavar="NAME"),
    ] = "",
    library_version: Annotated[
        str, typer.Option(help="Version of the library or pack.", metavar="VERSION")
    ] = "1.0.0",
    vendor: Annotated[
        str, typer.Option(help="Publisher of the library or pack.", metavar="NAME")
    ] = "tvmtiny",
    url: Annotated[
        str, typer.Option(help="Address at which the library or pack is published.", metavar="URL")
    ] = "",
    json: JsonOption = False,
    *,
    settings: Settings,
) -> None:
    """Write models as a folder that can be dropped into a project, with an example.

    Example: tvmtiny export digits --format arduino --target cortex-m4 -o digits
    """
    with progress(quiet=json) as tell:
        tell("importing TVM")
        from tvmtiny.project.capacity import check_capacities
        from tvmtiny.project.exports.exporting import Library, check_library
        from tvmtiny.project.exports.exporting import export as write_export
        from tvmtiny.report.export_tables import export_summary, export_table

        # Report errors in these options before reading any model.
        resolved = settings.target(target)
        library = Library(library_name, library_version, vendor, url)
        check_library(format, library)
        loaded = settings.read_all(models, name or (), tell)
        artifacts = [settings.artifact(model, resolved, tell) for model in loaded]
        if resolved.board is not None:
            # The sizes of start-up code, stack and application are unknown here and count as 0.
            check_capacities(artifacts, resolved.board, 0, 0, 0)
        tell(f"writing {output}")
        written = write_export(artifacts, format, output, library)
    if json:
        print_json(export_summary(written))
        return
    console().print(export_table(written))
    readme = visible(written.directory / "README.md")
    console().print(f"how to use it: {readme}", markup=False, highlight=False, soft_wrap=True)
