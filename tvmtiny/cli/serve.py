"""``tvmtiny serve``."""

from __future__ import annotations

from typing import Annotated

import typer

from tvmtiny.cli.console import JsonOption, console, print_json, progress
from tvmtiny.cli.options import BaudrateOption, WaitOption, compiles
from tvmtiny.cli.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("serve")(serve)


@compiles()
def serve(
    board: Annotated[
        str,
        typer.Option(
            "--board", "-b", help="A board to emulate in QEMU, or the port of a flashed board."
        ),
    ],
    tracker: Annotated[
        str, typer.Option(help="Address of a running tvm.exec.rpc_tracker.", metavar="HOST:PORT")
    ],
    key: Annotated[str, typer.Option(help="Key under which clients request the board.")],
    model: Annotated[
        str | None,
        typer.Argument(metavar="[MODEL]", help="A .tflite file, or the name of a shipped model."),
    ] = None,
    runner: Annotated[
        bool, typer.Option("--runner", help="Instead of a model: serve candidates of tvmtiny tune.")
    ] = False,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen at. Whoever can reach it can use the board, so change this "
            "only on networks that you trust."
        ),
    ] = "127.0.0.1",
    advertise: Annotated[
        str | None, typer.Option(help="Address that the tracker passes to clients.")
    ] = None,
    timeout: Annotated[
        float, typer.Option(help="Seconds after which a call counts as hung.")
    ] = 60.0,
    wait: WaitOption = 0.0,
    baudrate: BaudrateOption = 115200,
    json: JsonOption = False,
    *,
    settings: Settings,
) -> None:
    """Serve a board to other machines through a TVM tracker, until interrupted.

    Clients connect with tvmtiny.Session(artifact, tracker="HOST:PORT", key="KEY"), where the
    artifact is compiled with the same options.

    Example: tvmtiny serve kws.tflite --board mps2-an386 --tracker 127.0.0.1:9190 --key kws
    """
    with progress(quiet=json) as tell:
        tell("importing TVM")
        from dataclasses import asdict

        from tvmtiny.errors import InputError
        from tvmtiny.rpc.board import is_url, target_of
        from tvmtiny.rpc.serve import LOOPBACK, BoardServer

        if runner == (model is not None):
            raise InputError("give either a model to serve or --runner")
        artifact = None
        if model is not None:
            target = target_of(board, baudrate, timeout, settings.boards)
            artifact = settings.artifact(settings.read(model, tell), target, tell)
        server = BoardServer(
            artifact,
            board if is_url(board) else settings.board(board),
            tracker=tracker,
            key=key,
            host=host,
            advertise=advertise,
            timeout=timeout,
            baudrate=baudrate,
            wait=wait,
            progress=tell,
        )
    with server:
        served = server.served
        if json:
            print_json(asdict(served))
        else:
            reach = (
                "reached from this machine only (--host opens it to others)"
                if host == LOOPBACK
                else "open to the network: whoever can reach it can use the board, but no file or "
                "program of this machine"
            )
            console().print(
                f"serving {served.model} on {served.board} as {served.key!r} at {served.tracker}; "
                f"listening at {served.host}:{served.port}, {reach}",
                markup=False,
                soft_wrap=True,
            )
        server.wait()
