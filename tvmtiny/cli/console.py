"""What every command prints with: results on stdout, progress and errors on stderr."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
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
IoOption = Annotated[
    str,
    typer.Option(
        "--io",
        help="Where inputs and outputs lie: in the arena, or external, in memory of the caller.",
        metavar="WHERE",
    ),
]
RamBudgetOption = Annotated[
    int | None,
    typer.Option(
        "--ram-budget",
        help="The most bytes of arena; slower kernels are taken where that makes it fit.",
        metavar="BYTES",
        min=0,
    ),
]
PlaceOption = Annotated[
    list[str] | None,
    typer.Option(
        "--place",
        help="Memory regions of the board: arena=REGION weights=REGION, one or both.",
        metavar="WHAT=REGION",
    ),
]
NameOption = Annotated[
    str | None,
    typer.Option("--name", help="Prefix of the generated code; by default the file's name."),
]


def parse_place(words: list[str] | None) -> dict[str, str]:
    """What ``--place`` asks for, by what is to be placed.

    Raises
    ------
    InputError
        If a word is not ``WHAT=REGION``, or places the same thing again.
    """
    from tvmtiny.errors import InputError

    place: dict[str, str] = {}
    for word in words or ():
        what, equals, region = word.partition("=")
        if not equals or not region or what in place:
            raise InputError(
                f"--place {word!r} is not understood; give arena=REGION, weights=REGION or both"
            )
        place[what] = region
    return place


def separate_places(words: Sequence[str]) -> list[str]:
    """Repeat ``--place`` in front of each of the words that follow it."""
    separated: list[str] = []
    placing = False
    for word in words:
        more = placing and "=" in word and not word.startswith("-")
        if more and separated[-1] != "--place":
            separated.append("--place")
        placing = word == "--place" or more
        separated.append(word)
    return separated


#: Columns where stdout is no terminal, such as a file or a pager, and COLUMNS does not say.
_PLAIN_WIDTH = 120


def console() -> Console:
    """For results."""
    from rich.console import Console

    result = Console()
    known = result.is_terminal or os.environ.get("COLUMNS", "").isdigit()
    return result if known else Console(width=_PLAIN_WIDTH)


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
