"""``tvmtiny inspect``."""

from __future__ import annotations

from dataclasses import asdict

import typer

from tvmtiny.cli.console import JsonOption, ModelArgument, console, print_json
from tvmtiny.cli.options import SignatureOption
from tvmtiny.cli.settings import model_path


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("inspect")(inspect)


def inspect(
    context: typer.Context,
    model: ModelArgument,
    signature: SignatureOption = None,
    json: JsonOption = False,
) -> None:
    """Show a model's operators, their cost, and what prevents its compilation.

    Example: tvmtiny inspect model.tflite
    """
    from tvmtiny.report.inspection import inspect_model
    from tvmtiny.targets import own_boards

    own, _ = own_boards(context.obj or {})
    found = inspect_model(model_path(model), own.values(), signature=signature)
    if json:
        print_json({**asdict(found), "supported": found.supported})
        return
    from tvmtiny.report.terminal_tables import inspection_tables

    for table in inspection_tables(found):
        console().print(table)
