"""Draw the layers of an artifact: boxes from top to bottom, connected by lines for tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from tvmtiny.codegen import Artifact
from tvmtiny.codegen.artifact import LayerInfo

_BOX_WIDTH, _BOX_HEIGHT, _GAP = 300, 34, 22
_LEFT, _TOP = 8, 8
#: Distance between the boxes and the first line that bypasses them, and between such lines.
_DETOUR = 16

#: Fill colour of boxes by operator.
_FILLS = {
    "CONV_2D": "#2f6db0",
    "DEPTHWISE_CONV_2D": "#2f7d5b",
    "FULLY_CONNECTED": "#8a4fa3",
}
_OTHER_FILL = "#5b6675"


@dataclass(frozen=True)
class _Edge:
    """A connection from the row that writes a tensor to one that reads it; inputs are in row 0."""

    source: int
    target: int


def graph_svg(artifact: Artifact) -> str:
    """Render the graph after all passes as SVG.

    Boxes show operator, output shape and MACs; their tooltips show tensor name and schedule. The
    line of a tensor that skips rows bypasses them on the right.
    """
    edges = _edges(artifact)
    lanes = _lanes([edge for edge in edges if edge.target > edge.source + 1])
    width = _LEFT + _BOX_WIDTH + _DETOUR * (2 + max(lanes.values(), default=-1)) + 8
    rows = len(artifact.layers) + 2
    height = _TOP + rows * (_BOX_HEIGHT + _GAP)
    return "\n".join(_document(artifact, edges, lanes, width, height)) + "\n"


def _document(
    artifact: Artifact, edges: Sequence[_Edge], lanes: dict[_Edge, int], width: int, height: int
) -> Iterator[str]:
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">'
    )
    for edge in edges:
        yield _line(edge, lanes.get(edge))
    inputs = ", ".join(f"{t.name} {_shape(t.shape)}" for t in artifact.inputs)
    yield from _box(0, "#1d2b3a", f"input {inputs}", "", inputs)
    for layer in artifact.layers:
        fill = _FILLS.get(layer.operator, _OTHER_FILL)
        macs = f"{layer.macs:,} MACs" if layer.macs else ""
        title = f"{layer.index} {layer.operator}"
        text = f"{layer.name}; {layer.schedule}"
        yield from _box(layer.index + 1, fill, title, f"{_shape(layer.shape)}  {macs}", text)
    outputs = ", ".join(f"{t.name} {_shape(t.shape)}" for t in artifact.outputs)
    yield from _box(len(artifact.layers) + 1, "#1d2b3a", f"output {outputs}", "", outputs)
    yield "</svg>"


def _edges(artifact: Artifact) -> list[_Edge]:
    written = {f"input.{position}": 0 for position in range(len(artifact.inputs))}
    found = []
    for layer in artifact.layers:
        found += [_Edge(written[name], layer.index + 1) for name in _reads(layer, written)]
        written[layer.writes] = layer.index + 1
    last = {layer.tensor: layer.index + 1 for layer in artifact.layers}
    tensors = {t.index for t in artifact.graph.outputs}
    found += [_Edge(row, len(artifact.layers) + 1) for t, row in last.items() if t in tensors]
    return list(dict.fromkeys(found))


def _reads(layer: LayerInfo, written: dict[str, int]) -> list[str]:
    # A tensor in the caller's memory has no request in the plan.
    return [name for name in layer.reads if name in written]


def _lanes(detours: Sequence[_Edge]) -> dict[_Edge, int]:
    """Assign a lane to each line, so that lines in the same lane do not overlap."""
    lanes: dict[_Edge, int] = {}
    for edge in sorted(detours, key=lambda e: (e.target - e.source, e.source)):
        taken = {
            lane
            for other, lane in lanes.items()
            if other.source < edge.target and edge.source < other.target
        }
        lanes[edge] = next(lane for lane in range(len(detours)) if lane not in taken)
    return lanes


def _y(row: int) -> int:
    return _TOP + row * (_BOX_HEIGHT + _GAP)


def _line(edge: _Edge, lane: int | None) -> str:
    middle = _LEFT + _BOX_WIDTH / 2
    style = 'fill="none" stroke="#7d8896" stroke-width="1.6"'
    if lane is None:
        return f'<path d="M{middle:g} {_y(edge.source) + _BOX_HEIGHT} V{_y(edge.target)}" {style}/>'
    right = _LEFT + _BOX_WIDTH
    x = right + _DETOUR * (lane + 1)
    top, bottom = _y(edge.source) + _BOX_HEIGHT / 2, _y(edge.target) + _BOX_HEIGHT / 2
    return f'<path d="M{right} {top:g} H{x} V{bottom:g} H{right}" {style}/>'


def _box(row: int, fill: str, title: str, detail: str, text: str) -> Iterator[str]:
    y = _y(row)
    yield (
        f'<g><rect x="{_LEFT}" y="{y}" width="{_BOX_WIDTH}" height="{_BOX_HEIGHT}" rx="5" '
        f'fill="{fill}"><title>{escape(text)}</title></rect>'
    )
    lower = y + (15 if detail else 21)
    yield (
        f'<text x="{_LEFT + 10}" y="{lower}" fill="#ffffff" pointer-events="none">'
        f"{escape(_fit(title))}</text>"
    )
    if detail:
        yield (
            f'<text x="{_LEFT + 10}" y="{y + 29}" fill="#e3e9f0" font-size="11" '
            f'pointer-events="none">{escape(detail)}</text>'
        )
    yield "</g>"


def _fit(text: str, letters: int = 44) -> str:
    return text if len(text) <= letters else f"{text[: letters - 3]}..."


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "scalar"
