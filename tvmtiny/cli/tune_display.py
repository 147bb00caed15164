"""Progress display of ``tvmtiny tune``: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tvmtiny.cli.console import errors_console

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

    from tvmtiny.tuning.progress import Progress

__all__ = ["Display", "tuning_display"]

#: Seconds between lines if there is no terminal.
_LINE_SECONDS = 5.0


class Display:
    """A display that shows nothing."""

    def tell(self, step: str) -> None:
        """Show the current step."""

    def show(self, progress: Progress) -> None:
        """Show the progress of the run."""


class _Lines(Display):
    def __init__(self, console: Console) -> None:
        self._console = console
        self._next = 0.0

    def tell(self, step: str) -> None:
        self._print(f"{step} ...")

    def show(self, progress: Progress) -> None:
        now = time.monotonic()
        if now < self._next and progress.trials < progress.total:
            return
        self._next = now + _LINE_SECONDS
        from tvmtiny.tuning.summary import progress_text

        change = ""
        if progress.default and progress.best:
            change = f"; {progress.best / progress.default - 1:+.1%}"
        self._print(f"{progress_text(progress)}{change}")

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


class _Table(Display):
    def __init__(self, live: Live) -> None:
        self._live = live

    def tell(self, step: str) -> None:
        self._live.update(step)

    def show(self, progress: Progress) -> None:
        from rich.console import Group

        from tvmtiny.tuning.summary import progress_table, progress_text

        self._live.update(Group(progress_table(progress), progress_text(progress)))


@contextmanager
def tuning_display(quiet: bool) -> Iterator[Display]:
    """Show a tuning run while it lasts.

    Parameters
    ----------
    quiet
        Whether to show nothing.
    """
    output = errors_console()
    if quiet:
        yield Display()
    elif not output.is_terminal:
        yield _Lines(output)
    else:
        from rich.live import Live

        with Live(console=output, refresh_per_second=4, transient=True) as live:
            yield _Table(live)
