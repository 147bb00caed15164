"""Render a model report as a single HTML page without external resources."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from tvmtiny.errors.base import short_name
from tvmtiny.report.graph_svg import graph_svg
from tvmtiny.report.memory_svg import memory_svg
from tvmtiny.report.model_report import ModelReport, VariantReport, model_report_summary
from tvmtiny.report.terminal_tables import size_text

__all__ = ["report_page"]

#: Figures shown side by side: title, path in a variant's summary, unit.
_FIGURES = (
    ("instructions", "run.instructions", "per inference"),
    ("estimated cycles", "profile.total.estimated_cycles", "per inference"),
    ("arena", "run.arena_bytes", "bytes of RAM"),
    ("stack", "run.stack_bytes", "bytes"),
    ("code", "run.flash.code", "bytes of flash"),
    ("constants", "run.flash.constants", "bytes of flash"),
)


def report_page(report: ModelReport) -> str:
    """Render a report.

    Returns
    -------
    str
        HTML. The page contains the result of `model_report_summary` as JSON in the element
        ``report-data``. Each element that shows a figure gives the path of the figure in that JSON
        in the attribute ``data-figure``. Equal reports give equal bytes.
    """
    summary = model_report_summary(report)
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["figure"] = _figure
    environment.filters["memory"] = size_text
    environment.filters["short"] = short_name
    environment.filters["shape"] = lambda shape: "x".join(map(str, shape)) or "scalar"
    folder = resources.files("tvmtiny").joinpath("report").joinpath("templates")
    template = environment.from_string(
        folder.joinpath("report.html.j2").read_text(encoding="utf-8")
    )
    columns = [
        _column(position, variant, shown)
        for position, (variant, shown) in enumerate(
            zip(report.variants, summary["variants"], strict=True)
        )
    ]
    return template.render(
        summary=summary,
        columns=columns,
        comparison=_comparison(summary["variants"]),
        # Escape "<", because "</script>" inside a string would end the element.
        data=Markup(json.dumps(summary).replace("<", "\\u003c")),
    )


def _column(position: int, report: VariantReport, shown: dict[str, Any]) -> dict[str, Any]:
    profile = shown["profile"]
    layers = []
    for index, layer in enumerate(shown["layers"]):
        timed = None if profile is None else profile["layers"][index]
        layers.append(
            {**layer, "path": f"variants.{position}.profile.layers.{index}", "time": timed}
        )
    flash = shown["run"]["flash"]
    return {
        "path": f"variants.{position}",
        "shown": shown,
        "figures": [
            (title, f"variants.{position}.{path}", _at(shown, path), unit)
            for title, path, unit in _FIGURES
            if _at(shown, path) is not None
        ],
        "layers": layers,
        "code_share": flash["code"] / max(flash["total"], 1),
        "arena": Markup(memory_svg(report.memory)),
        "graph": Markup(graph_svg(report.artifact)),
        "settings": ", ".join(_setting(key, value) for key, value in shown["options"].items()),
    }


def _setting(key: str, value: Any) -> str:
    return f"{key.replace('_', ' ')} {value}"


def _comparison(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Make a row for each figure of two variants: both values, and their relative change."""
    if len(found) < 2:
        return []
    rows = []
    for title, path, unit in _FIGURES:
        values = [_at(variant, path) for variant in found]
        ratio = None
        if all(values):
            ratio = values[1] / values[0] - 1
        rows.append({"title": title, "path": path, "unit": unit, "values": values, "change": ratio})
    return rows


def _at(value: Any, path: str) -> Any:
    for part in path.split("."):
        if value is None:
            return None
        value = value[part]
    return value


def _figure(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.2f}"
