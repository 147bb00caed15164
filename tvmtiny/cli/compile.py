"""``tvmtiny compile``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tvmtiny.cli.console import (
    JsonOption,
    ModelArgument,
    console,
    print_json,
    progress,
)
from tvmtiny.cli.options import NameOption, TargetOption, compiles
from tvmtiny.cli.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("compile")(compile_command)


@compiles()
def compile_command(
    model: ModelArgument,
    target: TargetOption,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the C files.")],
    name: NameOption = None,
    json: JsonOption = False,
    *,
    settings: Settings,
) -> None:
    """Generate C for a model, with a Model Library Format archive beside it.

    Example: tvmtiny compile model.tflite --target cortex-m4 -o generated
    """
    with progress(quiet=json) as tell:
        tell("importing TVM")
        from tvmtiny.codegen.saving import save
        from tvmtiny.project.capacity import check_capacity
        from tvmtiny.report.summary import artifact_summary

        # Report an unknown target or oracle before reading the model.
        resolved = settings.target(target)
        artifact = settings.artifact(settings.read(model, tell, name), resolved, tell)
        if resolved.board is not None:
            # The sizes of start-up code, stack and application are unknown here and count as 0.
            check_capacity(artifact, resolved.board, 0, 0, 0)
        files = save(artifact, output)
    summary = artifact_summary(artifact, files)
    if json:
        print_json(summary)
        return
    from tvmtiny.report.terminal_tables import artifact_tables

    for table in artifact_tables(artifact, files):
        console().print(table)
