"""``tvmtiny update``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tvmtiny.cli.console import JsonOption, console, print_json, progress
from tvmtiny.cli.options import BaudrateOption


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("update")(update)


def update(
    image: Annotated[Path, typer.Argument(metavar="FILE", help="An image, such as model.tvmi.")],
    board: Annotated[
        str,
        typer.Option(
            "--board",
            "-b",
            help="Port of a board whose firmware loads images, such as /dev/ttyACM0 or "
            "socket://HOST:PORT; with --tracker, the board's key there.",
        ),
    ],
    known: Annotated[
        list[Path] | None,
        typer.Option(
            "--from",
            help="An image that the board may run: if it does, only the difference is sent; may "
            "be repeated.",
            metavar="OLD.tvmi",
        ),
    ] = None,
    tracker: Annotated[
        str | None, typer.Option(help="A lab's tracker.", metavar="HOST:PORT")
    ] = None,
    timeout: Annotated[
        float, typer.Option(help="Seconds after which a call counts as hung.")
    ] = 60.0,
    attempts: Annotated[
        int, typer.Option(help="Link failures after which the update is abandoned.", min=1)
    ] = 5,
    baudrate: BaudrateOption = 115200,
    json: JsonOption = False,
) -> None:
    """Update the model of a board, resuming an interrupted update.

    Example: tvmtiny update model.tvmi --board /dev/ttyACM0
    """
    with progress(quiet=json) as tell:
        from tvmtiny.images.image_format import read_image

        found = read_image(image)
        olds = [read_image(file) for file in known or ()]
        tell("importing TVM")
        from tvmtiny.report.image_tables import update_summary, update_table
        from tvmtiny.rpc.updating import update as update_board

        result = update_board(
            board,
            found,
            known=olds,
            tracker=tracker,
            timeout=timeout,
            baudrate=baudrate,
            attempts=attempts,
            progress=tell,
        )
    if json:
        print_json(update_summary(result))
        return
    console().print(update_table(result))
