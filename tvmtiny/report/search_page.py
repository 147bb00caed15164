"""Render a search as a single HTML page without external resources."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from tvmtiny.design.search import SearchResult
from tvmtiny.report.design_tables import choices, search_summary

__all__ = ["search_page"]

#: Size of the plot, and its margin.
_WIDTH, _HEIGHT, _MARGIN = 720, 360, 50


def search_page(found: SearchResult) -> str:
    """Render a search: accuracy over cycles as a plot, and the Pareto front as a table.

    Returns
    -------
    str
        HTML that contains all figures as JSON in the element ``search-data``. Equal searches give
        equal bytes.
    """
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    folder = resources.files("tvmtiny").joinpath("report").joinpath("templates")
    template = environment.from_string(
        folder.joinpath("search.html.j2").read_text(encoding="utf-8")
    )
    return template.render(
        found=found,
        points=list(_points(found)),
        rows=[(candidate, choices(candidate)) for candidate in found.front],
        width=_WIDTH,
        height=_HEIGHT,
        margin=_MARGIN,
        # Escape "<", because "</script>" inside a string would end the element.
        data=Markup(json.dumps(search_summary(found)).replace("<", "\\u003c")),
    )


def _points(found: SearchResult) -> list[dict[str, Any]]:
    """Compute the position of each trained network in the plot."""
    shown = [c for c in found.candidates if c.state == "complete" and c.accuracy is not None]
    front = {candidate.number for candidate in found.front}
    most = max((c.figures.cycles for c in shown), default=1)
    least = min((c.accuracy or 0.0 for c in shown), default=0.0)
    points = []
    for c in shown:
        up = ((c.accuracy or 0.0) - least) / max(1 - least, 1e-9)
        points.append(
            {
                "x": round(_MARGIN + (_WIDTH - 2 * _MARGIN) * c.figures.cycles / most, 1),
                "y": round(_HEIGHT - _MARGIN - (_HEIGHT - 2 * _MARGIN) * up, 1),
                "front": c.number in front,
                "title": f"trial {c.number}: {c.accuracy:.1%}, {c.figures.cycles:,} cycles",
            }
        )
    return points
