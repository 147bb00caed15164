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
