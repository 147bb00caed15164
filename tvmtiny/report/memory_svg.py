"""Draw the arena over time."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from tvmtiny.codegen.occupancy import Occupant
from tvmtiny.errors.base import short_name
from tvmtiny.report.memory import MemoryReport

_LEFT, _TOP, _BOTTOM, _RIGHT = 76, 44, 150, 16
_HEIGHT = 460
#: Limits on the width of a step in pixels, and preferred total width.
_NARROWEST, _WIDEST, _WIDTH = 14, 72, 1200

_FILLS = {
    "input": ("#2f7d5b", "#3c9a72"),
    "output": ("#8a4fa3", "#a468bd"),
    "activation": ("#2f6db0", "#4a89cc", "#6ba3dd", "#3f5fa8"),
    "workspace": ("#c98a1b", "#dba23f"),
}
#: Colours for readers who prefer a dark page; the drawing may stand in one.
_DARK = (
    ".arena-paper { fill: #161b22 } .arena-grid { stroke: #343c47 } .arena-ink { fill: #d5dbe3 } "
    ".arena-hot { fill: #ff8a7a } .arena-peak { fill: #4a2320 }"
)
#: Approximate width of a character of a label in pixels.
_CHARACTER = 6.2
_LINE = 12


def memory_svg(report: MemoryReport) -> str:
    """Render the arena as SVG: steps on the x axis, addresses on the y axis, tensors as rectangles.

    Rectangles that share bytes are translucent; their tooltips show name, size and offset.
    """
    count = len(report.steps)
    step = max(_NARROWEST, min(_WIDEST, _WIDTH // max(count, 1)))
    return "\n".join(_document(report, step, _LEFT + count * step + _RIGHT)) + "\n"


def _document(report: MemoryReport, step: int, drawn: int) -> Iterator[str]:
    width, height = max(drawn, 520), _TOP + _HEIGHT + _BOTTOM
    scale = _HEIGHT / max(report.arena_bytes, 1)
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">'
    )
    yield f"<style>@media screen and (prefers-color-scheme: dark) {{ {_DARK} }}</style>"
    yield f'<rect class="arena-paper" width="{width}" height="{height}" fill="#ffffff"/>'
    title = f"{report.model} on {report.target}: arena of {report.arena_bytes:,} bytes"
    yield f'<text class="arena-ink" x="{_LEFT}" y="18" font-size="15">{escape(title)}</text>'
    proven = "proven smallest" if report.optimal else f"at least {report.lower_bound:,}"
    under = f"{proven}; peak at {report.peak_label}"
    yield f'<text class="arena-ink" x="{_LEFT}" y="34" fill="#555555">{escape(under)}</text>'
    yield from _axes(report, step, scale)
    for position, occupant in enumerate(report.occupants):
        yield from _rectangle(occupant, position, step, scale)
    yield "</svg>"


def _axes(report: MemoryReport, step: int, scale: float) -> Iterator[str]:
    right, bottom = _LEFT + len(report.steps) * step, _TOP + _HEIGHT
    for row in report.steps:
        x = _LEFT + row.step * step
        if row.peak:
            yield (
                f'<rect class="arena-peak" x="{x}" y="{_TOP}" width="{step}" '
                f'height="{_HEIGHT}" fill="#fbd9d3" stroke="#d0402b"/>'
            )
        middle = x + step / 2 + 4
        kind, color = ("hot", "#d0402b") if row.peak else ("ink", "#333333")
        yield (
            f'<text class="arena-{kind}" x="{middle:g}" y="{bottom + 8}" fill="{color}" '
            f'text-anchor="end" '
            f'transform="rotate(-60 {middle:g} {bottom + 8})">{escape(row.label)}</text>'
        )
    for quarter in range(5):
        offset = report.arena_bytes * quarter // 4
        y = bottom - offset * scale
        yield (
            f'<line class="arena-grid" x1="{_LEFT}" y1="{y:g}" x2="{right}" y2="{y:g}" '
            'stroke="#dddddd"/>'
        )
        yield (
            f'<text class="arena-ink" x="{_LEFT - 6}" y="{y + 4:g}" text-anchor="end">'
            f"{offset:,}</text>"
        )


def _rectangle(occupant: Occupant, position: int, step: int, scale: float) -> Iterator[str]:
    x = _LEFT + occupant.first * step + 0.5
    width = (occupant.last - occupant.first + 1) * step - 1
    height = occupant.bytes * scale
    y = _TOP + _HEIGHT - occupant.end * scale
    fills = _FILLS[occupant.kind]
    label = escape(occupant.label)
    yield (
        f'<rect x="{x:g}" y="{y:.2f}" width="{width}" height="{max(height, 0.6):.2f}" '
        f'fill="{fills[position % len(fills)]}" fill-opacity="0.78" stroke="#1d2b3a" '
        f'stroke-width="0.6"><title>{label}: {occupant.kind}, {occupant.bytes:,} bytes at '
        f"{occupant.offset:,}, steps {occupant.first} to {occupant.last}</title></rect>"
    )
    letters = int((width - 6) / _CHARACTER)
    if height >= _LINE and letters >= 5:
        text = occupant.label
        if occupant.kind == "workspace" and len(text) > letters:
            # The axis names the layer already.
            text = text.partition(" of ")[0]
        text = short_name(text, letters)
        yield (
            f'<text x="{x + 3:g}" y="{y + height / 2 + 4:.2f}" fill="#ffffff" '
            f'pointer-events="none">{escape(text)}</text>'
        )
