"""``tvmtiny devices``."""

from __future__ import annotations

from dataclasses import asdict

import typer

from tvmtiny.cli.console import JsonOption, console, print_json


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("devices")(devices)


def devices(json: JsonOption = False) -> None:
    """List serial ports with what is attached to them, and boards that run in QEMU.

    Example: tvmtiny devices
    """
    from tvmtiny.rpc.discovery import find_devices

    found = find_devices()
    if json:
        print_json(asdict(found))
        return
    from tvmtiny.report.terminal_tables import device_tables

    for table in device_tables(found):
        console().print(table)
