"""``tvmtiny`` and ``python -m tvmtiny``: the command line."""

from __future__ import annotations

import gc

from tvmtiny.host import interrupts

#: A tenth of the time of a compilation goes to looking for garbage with Python's own thresholds:
#: what TVM and the graph hold stays to the end, and reference counts free the rest.
_GARBAGE_THRESHOLDS = (100_000, 50, 100)


def start() -> None:
    """Run the command line and exit; signals are handled before anything else is imported."""
    interrupts.install()
    gc.set_threshold(*_GARBAGE_THRESHOLDS)
    from tvmtiny.cli.main import main

    main()


if __name__ == "__main__":
    start()
