"""What every command prints with: results on stdout, progress and errors on stderr."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="A .tflite file, or the name of a shipped model.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
OracleOption = Annotated[
    str,
    typer.Option(
        "--oracle", help="Whose rounding the code reproduces: litert or tflm.", metavar="NAME"
    ),
]
OptimizeOption = Annotated[
    str,
    typer.Option(
        "--optimize",
        help="speed may widen weights to int16, size prefers short code; or balanced.",
        metavar="GOAL",
    ),
]
FlashBudgetOption = Annotated[
    int | None,
    typer.Option(
        "--flash-budget",
        help="With --optimize speed: widen weights only while all constants fit these bytes.",
        metavar="BYTES",
        min=0,
    ),
]
DeadChannelsOption = Annotated[
    bool,
    typer.Option(
        "--dead-channels/--no-dead-channels",
        help="Remove channels that are constant or that nothing depends on; results are the same.",
    ),
]
NameOption = Annotated[
    str | None,
    typer.Option("--name", help="Prefix of the generated code; by default the file's name."),
]


#: Columns where stdout is no terminal, such as a file or a pager.
_PLAIN_WIDTH = 120


def console() -> Console:
    """For results."""
    from rich.console import Console

    result = Console()
    return result if result.is_terminal else Console(width=_PLAIN_WIDTH)


def errors_console() -> Console:
    """For progress and errors."""
    from rich.console import Console

    return Console(stderr=True)


def print_json(value: Any) -> None:
    """Print one JSON object on stdout."""
    typer.echo(json.dumps(value, indent=2))


@contextmanager
def progress(quiet: bool) -> Iterator[Callable[[str], None]]:
    """Show the current step on a terminal; elsewhere print a line per step on stderr.

    Parameters
    ----------
    quiet
        Show nothing.
    """
    if quiet:
        yield lambda _: None
        return
    output = errors_console()
    if not output.is_terminal:
        yield lambda step: output.print(
            f"{step} ...", markup=False, highlight=False, soft_wrap=True
        )
        return
    with output.status("starting") as status:
        yield lambda step: status.update(step)


def model_path(model: str) -> str:
    """The path of a shipped model by name, or `model` itself."""
    from tvmtiny import models

    return str(models.path(model)) if model in models.names() else model
