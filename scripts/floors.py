#!/usr/bin/env python3
"""Draw docs/floors.svg from the floors in ``tests/test_layers.py``.

Neighbouring floors of one package become one row of the drawing.
"""

from __future__ import annotations

import runpy
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DRAWING = ROOT / "docs" / "floors.svg"

#: Groups of the drawing from the ground up, each with the last package that belongs to it.
_GROUPS = (
    ("Foundations", "models"),
    ("Models and operators", "importers"),
    ("Schedules, memory, C", "codegen"),
    ("Compiler and estimates", "results"),
    ("Firmware, links, boards", "creating"),
    ("What people do", "report"),
    ("Command line, public names", ""),
)
_WIDTH, _ROW, _LABEL, _PAD = 720, 30, 210, 12
_STYLE = """\
  text { font: 14px ui-monospace, "DejaVu Sans Mono", monospace; fill: #1a2230 }
  .group { font: 600 14px system-ui, "DejaVu Sans", sans-serif }
  .paper { fill: #ffffff }
  .even { fill: #e8eef7 }
  .odd { fill: #f6f3e9 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6e9ef }
    .paper { fill: #1e2129 }
    .even { fill: #28344a }
    .odd { fill: #3a3629 }
  }
"""


def packages(floors: tuple[str, ...]) -> list[str]:
    """Top-level packages in the order in which their floors first appear, from the ground up."""
    return list(dict.fromkeys(floor.split(".")[0] for floor in floors))


def drawing(floors: tuple[str, ...]) -> str:
    """The floors as SVG, the ground at the bottom.

    Raises
    ------
    ValueError
        A group of the drawing ends with a package that is on no floor.
    """
    names = packages(floors)
    groups, begin = [], 0
    for title, last in _GROUPS:
        end = names.index(last) + 1
        groups.append((title, _lines(names[begin:end])))
        begin = end
    rows, y = [], _PAD
    for index, (title, lines) in reversed(list(enumerate(groups))):
        height = _ROW * len(lines) + _PAD
        kind = "odd" if index % 2 else "even"
        rows.append(
            f'  <rect class="{kind}" x="{_PAD}" y="{y}" width="{_WIDTH - 2 * _PAD}" '
            f'height="{height}" rx="4"/>\n'
            f'  <text class="group" x="{2 * _PAD}" y="{y + 26}">{title}</text>\n'
        )
        rows += [
            f'  <text x="{_PAD + _LABEL}" y="{y + 26 + _ROW * (len(lines) - 1 - number)}">'
            f"{line}</text>\n"
            for number, line in enumerate(lines)
        ]
        y += height + 6
    height = y - 6 + _PAD
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">\n'
        f"  <title>Floors of the package tvmtiny, from the ground up</title>\n"
        f"  <style>\n{_STYLE}  </style>\n"
        f'  <rect class="paper" width="{_WIDTH}" height="{height}" rx="6"/>\n'
        f"{''.join(rows)}</svg>\n"
    )


def _lines(names: list[str]) -> list[str]:
    """Names put together to lines that fit the drawing, from the ground up."""
    lines = [""]
    for name in names:
        name = name or "tvmtiny"
        longer = f"{lines[-1]} · {name}" if lines[-1] else name
        if len(longer) <= 54:
            lines[-1] = longer
        else:
            lines.append(name)
    return lines


if __name__ == "__main__":
    layers = runpy.run_path(str(ROOT / "tests" / "test_layers.py"))
    DRAWING.write_text(drawing(layers["FLOORS"]), encoding="utf-8")
