"""``tvmtiny federate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tvmtiny.cli.console import JsonOption, ModelArgument, console, print_json, progress
from tvmtiny.cli.options import BaudrateOption, TimeoutOption, WaitOption, compiles
from tvmtiny.cli.settings import Settings

if TYPE_CHECKING:
    from tvmtiny.rpc.federating import Federation


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("federate")(federate)


@compiles(leave_out=("trainable", "io", "stream", "longest_slice", "place"))
def federate(
    model: ModelArgument,
    boards: Annotated[
        list[str],
        typer.Option(
            "--boards",
            help="A board to emulate in QEMU, or a port; with --tracker, the kind of a board "
            "there; may be repeated.",
            metavar="BOARD",
        ),
    ],
    data: Annotated[
        list[Path],
        typer.Option(
            "--data",
            help="Samples of a board with their labels, FILE.npz or a folder of images for each "
            "class; once per board, in order.",
            metavar="DATA",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="File for the weights.", metavar="FILE.npz"),
    ],
    rounds: Annotated[
        int, typer.Option(help="Number of rounds; each ends with averaging.", min=1)
    ] = 20,
    passes: Annotated[
        int, typer.Option(help="Passes over a board's samples in a round.", min=1)
    ] = 1,
    rate: Annotated[float, typer.Option(help="Step size of gradient descent.")] = 0.03,
    clip: Annotated[
        float, typer.Option(help="Largest change of a weight at once, in int8 steps.")
    ] = 8.0,
    tracker: Annotated[
        str | None,
        typer.Option(
            help="A TVM tracker whose boards are trained; --boards names their kinds.",
            metavar="HOST:PORT",
        ),
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(help="Key of the boards at the tracker; once, or once per board, in order."),
    ] = None,
    wait: WaitOption = 0.0,
    timeout: TimeoutOption = 60.0,
    baudrate: BaudrateOption = 115200,
    json: JsonOption = False,
    *,
    settings: Settings,
) -> None:
    """Train the last layer on several boards, and average what they learn (FedAvg).

    Example: tvmtiny federate model.tflite --boards microbit --data a.npz -o weights.npz
    """
    with progress(quiet=json) as tell:
        tell("importing TVM")
        from tvmtiny.compiler import compile
        from tvmtiny.errors import InputError
        from tvmtiny.learning import Rule
        from tvmtiny.report.federation import read_samples, save_weights
        from tvmtiny.rpc.board import is_url, target_of
        from tvmtiny.rpc.federating import federate as run_rounds
        from tvmtiny.rpc.federating import open_boards

        if len(data) != len(boards):
            raise InputError(
                f"there are {len(boards)} boards but {len(data)} files of samples; give --data "
                "once per board, in the same order"
            )
        rule = Rule(rate, 0.0, clip)
        loaded = settings.read(model, tell)
        targets = [target_of(board, baudrate, timeout, settings.boards) for board in boards]
        artifacts = {}
        for target in targets:
            if target.name not in artifacts:
                tell(f"compiling {loaded.name} for {target.name}")
                artifacts[target.name] = compile(
                    loaded, target, **settings.compile, trainable="last"
                )
        compiled = [artifacts[target.name] for target in targets]
        samples = [read_samples(*pair) for pair in zip(data, compiled, strict=True)]
        with open_boards(
            [
                board if is_url(board) else target.board
                for board, target in zip(boards, targets, strict=True)
            ],
            compiled,
            samples,
            passes,
            tracker=tracker,
            keys=key or (),
            wait=wait,
            timeout=timeout,
            baudrate=baudrate,
            progress=tell,
        ) as opened:
            found = run_rounds(opened, rounds, rule, progress=tell)
        save_weights(output, found, compiled[0])
    _print(found, output, json)


def _print(found: Federation, output: Path, json: bool) -> None:
    from tvmtiny.report.federation import federation_summary, federation_table

    if json:
        print_json({**federation_summary(found), "file": str(output)})
        return
    console().print(federation_table(found))
