"""``tvmtiny`` and ``python -m tvmtiny``: the command line."""

from __future__ import annotations

from tvmtiny.host import interrupts


def start() -> None:
    """Run the command line and exit; signals are handled before anything else is imported."""
    interrupts.install()
    from tvmtiny.cli.main import main

    main()


if __name__ == "__main__":
    start()
