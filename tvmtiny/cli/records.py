"""``tvmtiny records``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tvmtiny.cli.console import JsonOption, console, print_json

_PlaceArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="[PATH]",
        help="A file of records or a folder of them; by default the shipped records.",
    ),
]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(no_args_is_help=True, help="Show tuned records, and clean them up.")
    group.command("list")(list_records)
    group.command("show")(show)
    group.command("prune")(prune)
    app.add_typer(group, name="records")


def list_records(
    path: _PlaceArgument = None,
    cpu: Annotated[str | None, typer.Option(help="Only records of this CPU.")] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Also trials that failed or that another beats.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """List the records that tvmtiny compile would use.

    Example: tvmtiny records list tuned --cpu cortex-m4
    """
    from tvmtiny.tuning.store import listed, read_records
    from tvmtiny.tuning.summary import records_table

    records = read_records(path)
    found = listed(records, cpu, every)
    if json:
        print_json(
            {
                "records": [record.to_json() for record in found],
                "dropped": list(records.dropped),
            }
        )
        return
    console().print(records_table(found))
    for message in records.dropped:
        console().print(message, style="yellow", markup=False, soft_wrap=True)


def show(
    workload: Annotated[
        str,
        typer.Argument(
            metavar="WORKLOAD", help="Part of a workload's key, such as CONV_2D or int8[1,25,5,64]."
        ),
    ],
    path: _PlaceArgument = None,
    json: JsonOption = False,
) -> None:
    """Show every trial of matching layers, with its decisions, log and origin.

    Example: tvmtiny records show AVERAGE_POOL_2D tuned
    """
    from tvmtiny.tuning.store import matching, read_records
    from tvmtiny.tuning.summary import decisions_text

    found = matching(read_records(path), workload)
    if json:
        print_json({"records": [record.to_json() for record in found]})
        return
    for record in found:
        figure = "" if record.figure is None else f" {record.figure:,.0f} {record.metric}"
        lines = [
            record.workload.key,
            f"  {record.cpu}, {record.goal.value}: {record.status.value}{figure}",
            f"  {decisions_text(record)}",
            f"  {', '.join(f'{k} {v}' for k, v in record.provenance.items())}",
            *(f"  | {line}" for line in record.log.splitlines()),
        ]
        for line in lines:
            console().print(line, markup=False, highlight=False, soft_wrap=True)


def prune(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A file of records.")],
    json: JsonOption = False,
) -> None:
    """Keep only what tvmtiny compile can use, and rewrite the file.

    What is removed is measured again when tuning is resumed with the file.

    Example: tvmtiny records prune tuned/trials.jsonl
    """
    from tvmtiny.tuning.store import prune_records

    kept, removed = prune_records(path)
    if json:
        print_json({"kept": kept, "removed": removed})
    else:
        console().print(f"{kept} records kept, {removed} removed", highlight=False)
