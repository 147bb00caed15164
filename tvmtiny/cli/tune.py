"""``tvmtiny tune``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tvmtiny.cli.console import JsonOption, ModelArgument, console, print_json, progress
from tvmtiny.cli.options import WaitOption, compiles
from tvmtiny.cli.settings import Settings
from tvmtiny.cli.tune_display import tuning_display

#: Options of `tvmtiny.compile` that `tvmtiny.tuning.tune` lacks.
_LEFT_OUT = (
    "flash_budget",
    "io",
    "ram_budget",
    "place",
    "records",
    "stream",
    "longest_slice",
    "trainable",
    "tuned_for",
)


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("tune")(tune)


@compiles(leave_out=_LEFT_OUT)
def tune(
    model: ModelArgument,
    board: Annotated[
        str,
        typer.Option(
            "--board",
            "-b",
            help="A board to emulate in QEMU, or the port of a board with the runner (tvmtiny "
            "project create --mode runner).",
        ),
    ],
    trials: Annotated[
        int, typer.Option(help="Number of candidates to measure, including resumed ones.", min=1)
    ] = 200,
    metric: Annotated[
        str,
        typer.Option(
            help="Metric to minimize: cycles (estimated for emulated boards) or instructions.",
            metavar="NAME",
        ),
    ] = "cycles",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder for trials.jsonl, best.jsonl and curve.svg; by default "
            "tuned/<model>-<board>.",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the trials in the output folder.")
    ] = False,
    tracker: Annotated[
        str | None,
        typer.Option(
            help="A TVM tracker; --board names the kind of its boards.", metavar="HOST:PORT"
        ),
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="Key under which boards with the runner are served.")
    ] = None,
    wait: WaitOption = 0.0,
    boards: Annotated[
        int, typer.Option(help="Number of boards that measure at the same time.", min=1)
    ] = 1,
    repeats: Annotated[
        int | None,
        typer.Option(
            help="Measurements per candidate; their median counts. By default 1 in QEMU, else 5.",
            min=1,
            max=1000,
        ),
    ] = None,
    transport: Annotated[
        str, typer.Option(help="Port of emulated boards: socket or pty.", metavar="KIND")
    ] = "socket",
    workers: Annotated[
        int, typer.Option(help="Processes that build candidates and estimate cycles.", min=1)
    ] = 2,
    seed: Annotated[int, typer.Option(help="Seed of the search.", min=1)] = 1,
    date: Annotated[
        str | None, typer.Option(help="Date to write to the records; by default none.")
    ] = None,
    json: JsonOption = False,
    *,
    settings: Settings,
) -> None:
    """Search faster schedules for the layers of a model by measuring them on a board.

    Afterwards, compile with them: tvmtiny compile --records FOLDER.

    Example: tvmtiny tune model.tflite --board mps2-an386 --trials 200
    """
    with progress(quiet=json) as tell:
        tell("importing TVM")
        from tvmtiny.rpc.board import is_url
        from tvmtiny.tuning import TRIALS_FILE, save_result
        from tvmtiny.tuning import tune as tune_model
        from tvmtiny.tuning.runner import runner_board
        from tvmtiny.tuning.summary import tune_summary, tune_tables

        where = (
            runner_board(board, files=settings.boards) if is_url(board) else settings.board(board)
        )
        loaded = settings.read(model, tell)
        folder = output or Path("tuned") / f"{loaded.name}-{where.name}"
    with tuning_display(quiet=json) as display:
        result = tune_model(
            loaded,
            where,
            records=folder / TRIALS_FILE,
            trials=trials,
            metric=metric,
            seed=seed,
            resume=resume,
            boards_at_once=boards,
            transport=transport,
            url=board if is_url(board) else None,
            tracker=tracker,
            key=key,
            wait=wait,
            repeats=repeats,
            workers=workers,
            date=date,
            progress=display.show,
            tell=display.tell,
            **settings.compile,
        )
    files = save_result(result, folder)
    if json:
        print_json(tune_summary(result, files))
        return
    for table in tune_tables(result, files):
        console().print(table)
