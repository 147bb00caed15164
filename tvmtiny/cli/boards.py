"""``tvmtiny boards``."""

from __future__ import annotations

from dataclasses import asdict

import typer

from tvmtiny.cli.console import JsonOption, console, print_json


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("boards")(boards)


def boards(json: JsonOption = False) -> None:
    """List the boards and CPUs that code can be generated for."""
    from tvmtiny import targets

    known = targets.boards()
    if json:
        cpus = [{**asdict(c), "features": sorted(c.features)} for c in targets.cpus().values()]
        entries = [
            {
                "name": board.name,
                "description": board.description,
                "cpu": board.cpu.name,
                "platform": board.platform,
                "regions": [asdict(region) for region in board.regions],
            }
            for board in known.values()
        ]
        print_json({"boards": entries, "cpus": cpus})
        return
    from tvmtiny.report.tables import board_table

    console().print(board_table(known.values()))
