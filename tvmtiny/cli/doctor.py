"""``tvmtiny doctor``."""

from __future__ import annotations

import os
from dataclasses import asdict

import typer

from tvmtiny.cli.console import JsonOption, console, print_json, progress


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("doctor")(doctor)


def doctor(json: JsonOption = False) -> None:
    """Check compilers, emulators, Zephyr and serial ports, and give advice.

    The exit code is 4 if something is missing that a part of tvmtiny needs.

    Example: tvmtiny doctor
    """
    with progress(quiet=json) as tell:
        tell("checking the environment")
        from tvmtiny.errors import ToolMissingError
        from tvmtiny.report.doctor import Status, diagnose

        findings = diagnose(os.environ)
    if json:
        print_json({"findings": [asdict(finding) for finding in findings]})
    else:
        from tvmtiny.report.terminal_tables import doctor_table

        console().print(doctor_table(findings))
    if any(finding.status is Status.MISSING for finding in findings):
        raise typer.Exit(ToolMissingError.exit_code)
