"""Output about Zephyr applications."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.table import Table

from tvmtiny.project.zephyr.application import Application
from tvmtiny.project.zephyr.build import ApplicationBuild


def application_summary(application: Application) -> dict[str, Any]:
    """Summarize an application for ``--json``."""
    return {
        "directory": str(application.directory),
        "board": application.board.name,
        "cpu": application.board.cpu.name,
        "mode": application.mode,
        "models": [asdict(model) for model in application.models],
    }


def application_table(application: Application) -> Table:
    """List the memory demand of an application's models, in bytes."""
    table = _table("model", "arena", "constants", "stack")
    for model in application.models:
        table.add_row(
            model.name,
            f"{model.arena_bytes:,}",
            f"{model.constants_bytes:,}",
            f"{model.stack_bytes:,}" if model.stack_bytes else "not measured",
        )
    return table


def build_summary(build: ApplicationBuild) -> dict[str, Any]:
    """Summarize a build for ``--json``."""
    return {
        **application_summary(build.application),
        "zephyr": ".".join(map(str, build.zephyr_version)),
        "zephyr_board": build.zephyr_board,
        "elf": str(build.elf),
        "log": str(build.log),
        "memory": {
            region: {"used": used, "size": size} for region, (used, size) in build.memory.items()
        },
    }


def build_table(build: ApplicationBuild) -> Table:
    """List the memory usage of a build, in bytes."""
    table = _table("region", "bytes", "of")
    for region, (used, size) in build.memory.items():
        table.add_row(region, f"{used:,}", f"{size:,}")
    return table


def _table(first: str, *numbers: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(first)
    for column in numbers:
        table.add_column(column, justify="right")
    return table
