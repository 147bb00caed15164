"""Output shared by all commands: results on stdout, progress and errors on stderr."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tvmtiny.errors.base import bearable, visible

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.segment import Segment

ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="A .tflite, .onnx or .keras file, or the name of a shipped model."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


def separate_places(words: Sequence[str]) -> list[str]:
    """Repeat ``--place`` before each of the words that follow it."""
    separated: list[str] = []
    placing = False
    for word in words:
        more = placing and "=" in word and not word.startswith("-")
        if more and separated[-1] != "--place":
            separated.append("--place")
        placing = word == "--place" or more
        separated.append(word)
    return separated


#: Width in columns if stdout is not a terminal, such as a file or a pager, and COLUMNS is unset.
_PLAIN_WIDTH = 120


def console() -> Console:
    """Create the console for results."""
    from rich.console import Console

    result = Console()
    known = result.is_terminal or os.environ.get("COLUMNS", "").isdigit()
    return _showing(result if known else Console(width=_PLAIN_WIDTH))


def errors_console() -> Console:
    """Create the console for progress and errors."""
    from rich.console import Console

    return _showing(Console(stderr=True))


def _showing(console: Console) -> Console:
    """Make a console escape control characters in any text that it prints."""
    from rich.console import ConsoleOptions, RenderHook, RenderResult
    from rich.segment import Segment

    class Escaped:
        def __init__(self, renderable: RenderableType) -> None:
            self._renderable = renderable

        def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
            segments = console.render(self._renderable, options)
            for text, style, control in (
                segments if console.is_terminal else without_trailing_spaces(segments)
            ):
                # Rich marks its own control sequences, such as cursor movements.
                plain = text if control else "\n".join(map(visible, text.split("\n")))
                yield Segment(_encodable(plain, console.encoding), style, control)

    class Hook(RenderHook):
        def process_renderables(self, renderables: list[Any]) -> list[Any]:
            return [Escaped(renderable) for renderable in renderables]

    def end() -> None:
        # Rich would exit with an error, but there is no reader left to report it to.
        raise BrokenPipeError

    console.on_broken_pipe = end  # type: ignore[method-assign, assignment]
    console.push_render_hook(Hook())
    return console


def without_trailing_spaces(segments: Iterable[Segment]) -> Iterator[Segment]:
    """Remove the trailing spaces with which rich pads tables."""
    held: list[Segment] = []
    for segment in segments:
        if segment.control:
            yield segment
            continue
        for number, line in enumerate(segment.text.split("\n")):
            if number > 0:
                held.clear()
                yield segment._replace(text="\n")
            kept = line.rstrip(" ")
            if kept:
                yield from held
                held.clear()
                yield segment._replace(text=kept)
            held.append(segment._replace(text=line[len(kept) :]))
    yield from held


#: Replacements for drawing characters that the output's encoding lacks.
_PLAIN_CHARACTERS = str.maketrans("█▓▒░▲▼━─│", "#%=.^v--|")


def _encodable(text: str, encoding: str) -> str:
    """Replace characters of `text` that the encoding lacks with plain ones or escapes."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        plain = text.translate(_PLAIN_CHARACTERS)
        return plain.encode(encoding, "backslashreplace").decode(encoding)
    return text


def escape_unknown_characters() -> None:
    """Make the standard streams escape characters that they cannot encode, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        # A stream that a test or program has substituted may have no encoding.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def message_lines(message: str) -> str:
    """Format a message for display: escaped, and on one line except for a trailing list.

    Names of thousands of characters are shortened.
    """
    # Lines of a list are indented.
    return "\n".join(bearable(visible(line)) for line in re.split(r"\n(?=  )", message))


def print_json(value: Any) -> None:
    """Print a value as JSON on stdout."""
    typer.echo(json.dumps(value, indent=2))


#: Prefix of a remark about a model.
NOTE = "note: "


@contextmanager
def progress(quiet: bool) -> Iterator[Callable[[str], None]]:
    """Show the current step on a terminal; elsewhere print one line per step on stderr.

    A message that starts with `NOTE` is not a step and remains visible.

    Parameters
    ----------
    quiet
        Whether to show nothing.
    """
    if quiet:
        yield lambda _: None
        return
    output = errors_console()

    def show(text: str) -> None:
        output.print(visible(text), markup=False, highlight=False, soft_wrap=True)

    if not output.is_terminal:
        yield lambda step: show(step if step.startswith(NOTE) else f"{step} ...")
        return
    from rich.text import Text

    spinner = "line" if output.options.ascii_only else "dots"
    with output.status("starting", spinner=spinner) as status:
        yield (
            lambda step: show(step) if step.startswith(NOTE) else status.update(Text(visible(step)))
        )
