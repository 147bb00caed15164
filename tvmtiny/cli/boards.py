"""``tvmtiny boards``."""

from __future__ import annotations

from dataclasses import asdict

import typer

from tvmtiny.cli.console import JsonOption, console, errors_console, print_json


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("boards")(boards)


def boards(context: typer.Context, json: JsonOption = False) -> None:
    """List the boards and CPUs that code can be generated for.

    Boards that the project's tvmtiny.toml names come first. The exit code is 2 if the file of a
    board is invalid; the others are still listed.

    Example: tvmtiny boards
    """
    from tvmtiny import targets

    own, broken = targets.own_boards(context.obj or {})
    known = (*own.values(), *targets.boards().values())
    if json:
        cpus = [{**asdict(c), "features": sorted(c.features)} for c in targets.cpus().values()]
        entries = [
            {
                "name": board.name,
                "description": board.description,
                "cpu": board.cpu.name,
                "platform": board.platform,
                "regions": [asdict(region) for region in board.regions],
                "file": board.file if board.name in own else None,
            }
            for board in known
        ]
        print_json({"boards": entries, "cpus": cpus, "problems": [str(error) for error in broken]})
    else:
        from tvmtiny.report.terminal_tables import board_table, cpu_table

        console().print(board_table(known))
        console().print()
        console().print(cpu_table(targets.cpus().values()))
    for error in broken:
        errors_console().print(f"tvmtiny: {error}", style="red", markup=False, soft_wrap=True)
    if broken:
        raise typer.Exit(broken[0].exit_code)
