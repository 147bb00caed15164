#!/usr/bin/env python3
"""Run the applications in ``examples/``, and write the tables and pictures of docs/examples.md.

    scripts/gallery.py --train NAME ...  # train these, write examples/models/, then as without
    scripts/gallery.py NAME ...  # run these, write docs/figures/examples/, then the page
    scripts/gallery.py           # only write the page and its pictures, from what is stored

Training needs the extra ``design``, and running the data that ``scripts/setup.sh dev`` brings. An
application is run as ``python examples/NAME.py`` does; then one inference is profiled on three
boards. The NAME wake_word stands for examples/wake_word, whose training needs espeak-ng.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "examples"), str(ROOT / "examples" / "wake_word")]

import tvmtiny  # noqa: E402
from tvmtiny.report.profile import profile  # noqa: E402
from tvmtiny.targets.energy import energy_figure  # noqa: E402

PAGE = ROOT / "docs" / "examples.md"
FIGURES = ROOT / "docs" / "figures" / "examples"

WAKE_WORD = ROOT / "docs" / "figures" / "wake_word.json"

#: Boards whose cores stand for the classes of small, medium and secure microcontrollers.
BOARDS = {"microbit": "Cortex-M0", "mps2-an386": "Cortex-M4", "mps2-an505": "Cortex-M33"}

ENERGY = "nucleo-l4r5zi"

_PARTS = re.compile(r"(<!-- gallery (\w+) -->\n).*?(?=<!-- end -->)", re.DOTALL)

#: Side of a cell, height of a bar, and width of the bars' area, in pixels.
_CELL, _BAR, _BARS = 22, 18, 300


def measure(name: str, training: bool) -> dict[str, Any]:
    """Run an application and profile its network with the front end on all boards."""
    application = import_module(name).APPLICATION
    steps = import_module("application")
    out = ROOT / "build" / name
    found = asdict(steps.run(application, out, training=training))
    del found["zephyr"], found["arduino"]
    if training:
        shutil.copy(out / f"{name}.tflite", steps.MODELS)
    else:
        stored = json.loads((FIGURES / f"{name}.json").read_text(encoding="utf-8"))
        found["float_accuracy"] = stored["float_accuracy"]
    model = steps.compiled_model(application, out)
    inputs = None
    for board in BOARDS:
        artifact = tvmtiny.compile(model, board)
        inputs = inputs or tvmtiny.make_inputs("random:1", artifact.inputs)
        made = profile(artifact, *inputs)
        found.setdefault("boards", {})[board] = {
            "cycles": made.total.estimated_cycles,
            "instructions": made.total.instructions,
            "arena_bytes": made.total.arena_bytes,
            "constants_bytes": made.total.weights_bytes,
        }
        if board == steps.BOARD:
            layers = [(layer.operator, layer.estimated_cycles) for layer in made.layers]
            found["layers"] = [layer for layer in layers if layer[1]]
    return found


def measure_wake_word(training: bool) -> dict[str, Any]:
    """Listen to the recording that train.py makes, and profile the step of a row of features."""
    hear, folder = import_module("hear"), ROOT / "build" / "wake_word"
    if training or not folder.exists():
        script = ROOT / "examples" / "wake_word" / "train.py"
        subprocess.run([sys.executable, str(script), str(folder)], check=True)
    model, boards, heard = hear.spotter(folder), {}, {}
    for board in BOARDS:
        artifact = tvmtiny.compile(model, board)
        made = profile(artifact, *tvmtiny.make_inputs("random:1", artifact.inputs))
        boards[board] = {
            "cycles": made.total.estimated_cycles,
            "ram_bytes": made.total.arena_bytes + artifact.state_bytes,
            "constants_bytes": made.total.weights_bytes,
        }
        if board == "mps2-an386":
            heard = {where: hear.hear(artifact, folder, where) for where in (None, board)}
    here, there = heard.values()
    return {
        "seconds": round(there.seconds),
        "words": there.words,
        "found": there.found,
        "false": there.false,
        "equal": here.heard == there.heard,
        "boards": boards,
    }


def wake_word(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the table of the wake word."""
    costs = found["boards"]
    energy = energy_figure(ENERGY).microjoules_per_megacycle
    cycles = [costs[board]["cycles"] for board in BOARDS]
    memory = costs["mps2-an386"]
    yield (
        f"| words heard | false alarms | RAM | constants | {' | '.join(BOARDS.values())} "
        "| energy on Cortex-M4 |"
    )
    yield f"| --- | --- | ---: | ---: | {' | '.join('---:' for _ in BOARDS)} | ---: |"
    yield (
        f"| {found['found']} of {found['words']} | {found['false']} in {found['seconds']} s "
        f"| {memory['ram_bytes']:,} | {memory['constants_bytes']:,} "
        f"| {' | '.join(f'{count:,}' for count in cycles)} | {cycles[1] / 1e6 * energy:.1f} uJ |"
    )


def results(all_found: Mapping[str, dict[str, Any]]) -> Iterator[str]:
    """Yield the table of accuracies and sizes."""
    yield "| application | held-out samples | float | int8, board = host | arena | constants |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    for name, found in all_found.items():
        verified = found["verified"]
        same = "" if verified["equal"] else " (outputs differ)"
        yield (
            f"| [{name}](../examples/{name}.py) | {verified['samples']} "
            f"| {found['float_accuracy']:.1%} | {verified['accuracy']:.1%}{same} "
            f"| {verified['arena_bytes']:,} | {verified['constants_bytes']:,} |"
        )


def rows(all_found: Mapping[str, dict[str, Any]]) -> Iterator[str]:
    """Yield the table of applications that run row by row."""
    yield "| application | samples row by row | arena, whole input | arena, rows |"
    yield "| --- | ---: | ---: | ---: |"
    for name, found in all_found.items():
        if pushed := found.get("rows"):
            same = "" if pushed["equal"] else " (outputs differ)"
            yield (
                f"| {name} | {pushed['samples']}{same} "
                f"| {found['verified']['arena_bytes']:,} | {pushed['arena_bytes']:,} |"
            )


def costs(all_found: Mapping[str, dict[str, Any]]) -> Iterator[str]:
    """Yield the table of cycles and energy."""
    energy = energy_figure(ENERGY).microjoules_per_megacycle
    yield f"| application | {' | '.join(BOARDS.values())} | energy on Cortex-M4 |"
    yield f"| --- | {' | '.join('---:' for _ in BOARDS)} | ---: |"
    for name, found in all_found.items():
        cycles = [found["boards"][board]["cycles"] for board in BOARDS]
        cells = [f"{count:,}" for count in cycles]
        yield f"| {name} | {' | '.join(cells)} | {cycles[1] / 1e6 * energy:.1f} uJ |"


def picture(name: str, found: dict[str, Any]) -> str:
    """Draw the classes that were found on the board, and the cycles of each layer there."""
    rows = found["verified"]["confusion"]
    side, left = _CELL * len(rows), 20
    top, bars = 34, left + side + 40
    height = top + max(side, _BAR * len(found["layers"])) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{bars + _BARS}" height="{height}" '
        f'font-family="sans-serif" font-size="11"><title>{name}</title>',
        f'<rect width="{bars + _BARS}" height="{height}" fill="#fff"/>',
        f'<text x="{left}" y="14">true class by row,</text>',
        f'<text x="{left}" y="28">found class by column</text>',
        f'<text x="{bars}" y="28">cycles of each layer on Cortex-M4</text>',
    ]
    for y, row in enumerate(rows):
        for x, count in enumerate(row):
            shade = round(100 - 55 * count / max(sum(row), 1))
            colour = f"hsl({210 if x == y else 10},70%,{shade}%)"
            place = f'x="{left + x * _CELL}" y="{top + y * _CELL}"'
            parts.append(f'<rect {place} width="{_CELL}" height="{_CELL}" fill="{colour}"/>')
            if count:
                place = f'x="{left + (x + 0.5) * _CELL}" y="{top + (y + 0.7) * _CELL}"'
                parts.append(f'<text {place} text-anchor="middle">{count}</text>')
    most = max(cycles for _, cycles in found["layers"])
    for number, (operator, cycles) in enumerate(found["layers"]):
        y = top + number * _BAR
        width = max(1, round(cycles / most * (_BARS - 170)))
        parts.append(f'<rect x="{bars}" y="{y}" width="{width}" height="14" fill="#4a90d9"/>')
        label = f"{operator} {cycles:,}"
        parts.append(f'<text x="{bars + width + 4}" y="{y + 11}">{label}</text>')
    return "\n".join((*parts, "</svg>", ""))


def main() -> None:
    """Run the named applications, then write pictures and tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="an application")
    parser.add_argument("--train", action="store_true", help="train these anew")
    given = parser.parse_args()
    FIGURES.mkdir(parents=True, exist_ok=True)
    for name in given.names:
        special = name == WAKE_WORD.stem
        found = (measure_wake_word if special else partial(measure, name))(given.train)
        file = WAKE_WORD if special else FIGURES / f"{name}.json"
        file.write_text(f"{json.dumps(found, indent=1)}\n", encoding="utf-8")
    all_found = {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(FIGURES.glob("*.json"))
    }
    for name, found in all_found.items():
        (FIGURES / f"{name}.svg").write_text(picture(name, found), encoding="utf-8")
    spotted = json.loads(WAKE_WORD.read_text(encoding="utf-8"))
    tables = {
        "results": results(all_found),
        "costs": costs(all_found),
        "rows": rows(all_found),
        "wake": wake_word(spotted),
    }
    text = PAGE.read_text(encoding="utf-8")
    text = _PARTS.sub(lambda match: match[1] + "\n".join((*tables[match[2]], "")), text)
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
