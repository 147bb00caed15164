"""``tvmtiny listen``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tvmtiny.cli.console import JsonOption, ModelArgument, console, print_json, progress
from tvmtiny.cli.options import TimeoutOption, compiles
from tvmtiny.cli.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from tvmtiny.listening import Heard

#: Width of a bar in characters.
_BAR = 40


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("listen")(listen_command)


@compiles(leave_out=("place", "longest_slice", "io"))
def listen_command(
    model: ModelArgument,
    sound: Annotated[
        str,
        typer.Argument(
            metavar="FILE.wav|-",
            help="Mono sound of 16 bits; - reads a WAV file, or raw samples, from stdin.",
        ),
    ],
    board: Annotated[
        str | None,
        typer.Option(
            "--board",
            "-b",
            help="A board (tvmtiny boards lists them), or a board's FILE.toml; by default the "
            "generated C runs on this machine, with the same results.",
        ),
    ] = None,
    block: Annotated[
        int | None,
        typer.Option(
            help="Samples per call, as DMA delivers them; at most those of one decision.",
            metavar="SAMPLES",
        ),
    ] = None,
    timeout: TimeoutOption = 120.0,
    json: JsonOption = False,
    *,
    settings: Settings,
) -> None:
    """Run sound through a model with a front end, and show scores and events.

    Example: tvmtiny listen okay_nabu.tflite speech.wav --frontend microfrontend --average 5

    Example: arecord -t raw -f S16_LE -r 16000 | tvmtiny listen okay_nabu.tflite -
    """
    with progress(quiet=json) as tell:
        tell("importing TVM")
        from tvmtiny.listening import blocks_of, check_block, listen, read_samples

        target = settings.target(board or "cortex-m4")
        artifact = settings.artifact(settings.read(model, tell), target, tell)
        count = check_block(artifact, block)
        assert artifact.feed is not None
        rate = artifact.feed.feed.sample_rate
        if sound == "-":
            blocks = blocks_of(sys.stdin.buffer, rate, count)
        else:
            samples = read_samples(sound, rate)
            blocks = (samples[i : i + count] for i in range(0, len(samples), count))
        where = target.board if board else None
        tell(f"listening on {target.name if board else 'this machine'}")
    decisions, events, highest = 0, [], [0.0] * len(artifact.feed.feed.classes)
    with _display(json) as show:
        for heard in listen(artifact, blocks, board=where, timeout=timeout):
            decisions += 1
            highest = [max(pair) for pair in zip(highest, heard.scores, strict=True)]
            if heard.event is not None:
                events.append({"seconds": round(heard.seconds, 3), "event": heard.event})
            show(heard)
    summary: dict[str, Any] = {
        "model": artifact.name,
        "board": target.name if board else None,
        "decisions": decisions,
        "seconds": decisions * artifact.feed.feed.milliseconds / 1000,
        "events": events,
        "highest_scores": highest,
    }
    if json:
        print_json(summary)
        return
    plural = "" if len(events) == 1 else "s"
    console().print(f"{len(events)} event{plural} in {decisions} decisions", highlight=False)


@contextmanager
def _display(quiet: bool) -> Iterator[Callable[[Heard], None]]:
    """Provide a function that shows a decision: a live bar on a terminal, event lines elsewhere."""
    from rich.live import Live

    out = console()

    def event(heard: Heard) -> None:
        if heard.event is not None:
            out.print(f"{heard.seconds:8.2f} s  event {heard.event}", highlight=False)

    if quiet:
        yield lambda heard: None
    elif not out.is_terminal:
        yield event
    else:
        with Live(console=out, transient=True, refresh_per_second=20) as live:

            def show(heard: Heard) -> None:
                event(heard)
                live.update(_bars(heard))

            yield show


def _bars(heard: Heard) -> str:
    lines = [f"{heard.seconds:8.2f} s"]
    for score in heard.scores:
        full = round(_BAR * min(max(score, 0.0), 1.0))
        lines.append(f"{score:8.3f}  {'#' * full}{'.' * (_BAR - full)}")
    return "\n".join(lines)
